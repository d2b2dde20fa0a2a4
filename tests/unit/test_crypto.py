"""Sealing: a value can be opened only unchanged, in its own context and with its own key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.crypto import context, derive_key, keyed_hash, new_key, open_sealed, seal
from coatcheck.errors import SealBroken
from coatcheck.grants.idempotency import open_token, seal_token

PLACE = context("account_number", "USR-1", "ACT-1", "ACN-1")

text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


@given(st.binary(max_size=300), st.lists(text, min_size=1, max_size=4))
def test_a_sealed_value_can_be_opened_in_its_own_context(value: bytes, place: list[str]) -> None:
    key = new_key()
    assert open_sealed(key, seal(key, value, context(*place)), context(*place)) == value


@given(st.lists(text, min_size=1, max_size=4), st.lists(text, min_size=1, max_size=4))
def test_two_contexts_never_have_the_same_bytes(one: list[str], other: list[str]) -> None:
    assert (context(*one) == context(*other)) == (one == other)


@given(st.binary(max_size=40), st.data())
def test_a_value_with_one_flipped_bit_cannot_be_opened(value: bytes, data: st.DataObject) -> None:
    key = new_key()
    sealed = bytearray(seal(key, value, PLACE))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(SealBroken):
        open_sealed(key, bytes(sealed), PLACE)


@pytest.mark.parametrize("length", range(30))
def test_a_truncated_value_cannot_be_opened(length: int) -> None:
    key = new_key()
    sealed = seal(key, b"1", PLACE)
    assert len(sealed) == 30
    with pytest.raises(SealBroken):
        open_sealed(key, sealed[:length], PLACE)


def test_another_key_or_context_cannot_open_a_value_and_the_error_does_not_say_which() -> None:
    key = new_key()
    sealed = seal(key, b"123456789", PLACE)
    messages = set()
    for wrong_key, place in (
        (new_key(), PLACE),
        (key, context("account_number", "USR-1", "ACT-1", "ACN-2")),
        (key, context("account_owner", "USR-1", "ACT-1", "ACN-1")),
    ):
        with pytest.raises(SealBroken) as broken:
            open_sealed(wrong_key, sealed, place)
        assert broken.value.__cause__ is None
        assert broken.value.detail is None
        messages.add(str(broken.value))
    assert len(messages) == 1


def test_nonces_are_not_reused_and_equal_values_have_different_ciphertexts() -> None:
    key = new_key()
    sealed = {seal(key, b"same", PLACE) for _ in range(10_000)}
    assert len({value[1:13] for value in sealed}) == 10_000
    assert len({value[13:] for value in sealed}) == 10_000


@given(text, text, st.sampled_from(["login", "micro-deposit", "cca"]))
def test_a_keyed_hash_is_equal_for_equal_values_of_one_purpose_under_one_key(
    one: str, other: str, purpose: str
) -> None:
    key = new_key()
    assert (keyed_hash(key, purpose, one) == keyed_hash(key, purpose, other)) == (one == other)
    assert keyed_hash(key, purpose, one) != keyed_hash(key, "idempotency", one)
    assert keyed_hash(key, purpose, one) != keyed_hash(new_key(), purpose, one)


def test_a_derived_key_depends_on_the_secret_and_the_purpose() -> None:
    keys = {derive_key(secret, purpose) for secret in ("one", "two") for purpose in ("reply", "other")}
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 4
    assert derive_key("one", "reply") in keys


def test_the_token_of_an_exchange_opens_with_its_code_alone() -> None:
    sealed = seal_token("code-1", "token")
    assert open_token("code-1", sealed) == "token"
    assert b"token" not in sealed
    with pytest.raises(SealBroken):
        open_token("code-2", sealed)
