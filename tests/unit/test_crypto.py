"""Sealing alone: what was sealed opens only whole, only in its place and only with its key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.crypto import context, new_key, open_sealed, seal
from coatcheck.errors import SealBroken

PLACE = context("account_number", "USR-1", "ACT-1", "ACN-1")

text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


@given(st.binary(max_size=300), st.lists(text, min_size=1, max_size=4))
def test_what_is_sealed_opens_again_in_its_place(value: bytes, place: list[str]) -> None:
    key = new_key()
    assert open_sealed(key, seal(key, value, context(*place)), context(*place)) == value


@given(st.lists(text, min_size=1, max_size=4), st.lists(text, min_size=1, max_size=4))
def test_two_places_never_read_the_same(one: list[str], other: list[str]) -> None:
    assert (context(*one) == context(*other)) == (one == other)


@given(st.binary(max_size=40), st.data())
def test_a_single_flipped_bit_breaks_the_seal(value: bytes, data: st.DataObject) -> None:
    key = new_key()
    sealed = bytearray(seal(key, value, PLACE))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(SealBroken):
        open_sealed(key, bytes(sealed), PLACE)


@pytest.mark.parametrize("length", range(30))
def test_a_cut_value_breaks_the_seal(length: int) -> None:
    key = new_key()
    sealed = seal(key, b"1", PLACE)
    assert len(sealed) == 30
    with pytest.raises(SealBroken):
        open_sealed(key, sealed[:length], PLACE)


def test_another_key_or_another_place_breaks_the_seal_and_the_error_tells_nothing() -> None:
    key = new_key()
    sealed = seal(key, b"123456789", PLACE)
    told = set()
    for wrong_key, place in (
        (new_key(), PLACE),
        (key, context("account_number", "USR-1", "ACT-1", "ACN-2")),
        (key, context("account_owner", "USR-1", "ACT-1", "ACN-1")),
    ):
        with pytest.raises(SealBroken) as broken:
            open_sealed(wrong_key, sealed, place)
        assert broken.value.__cause__ is None
        assert broken.value.detail is None
        told.add(str(broken.value))
    assert len(told) == 1


def test_a_nonce_is_never_used_twice_and_equal_values_look_different() -> None:
    key = new_key()
    sealed = {seal(key, b"same", PLACE) for _ in range(10_000)}
    assert len({value[1:13] for value in sealed}) == 10_000
    assert len({value[13:] for value in sealed}) == 10_000
