"""Secrets: their format, and what is parsed as one."""

import string
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.grants.secrets import Kind, day_of, generate, parse_secret, week_of

KEY = b"k" * 32
kinds = st.sampled_from(Kind)
periods = st.integers(0, 62**3 - 1)


@given(kinds, periods)
def test_a_generated_secret_is_parsed_to_its_period_and_hash(kind: Kind, period: int) -> None:
    generated = generate(kind, KEY, period=period)
    presented = parse_secret(kind, generated.text, KEY)
    assert presented is not None
    assert (presented.hash, presented.period) == (generated.hash, period)


@given(kinds, kinds)
def test_a_secret_is_parsed_only_as_its_own_kind(made: Kind, asked: Kind) -> None:
    assert (parse_secret(asked, generate(made, KEY).text, KEY) is not None) == (made is asked)


@given(st.data())
def test_a_secret_with_one_changed_character_is_refused_without_a_query(data: st.DataObject) -> None:
    text = generate(Kind.TOKEN, KEY, period=7).text
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != text[place]))
    assert parse_secret(Kind.TOKEN, text[:place] + other + text[place + 1 :], KEY) is None


@given(st.text())
def test_text_that_is_not_a_secret_is_refused(text: str) -> None:
    assert parse_secret(Kind.TOKEN, text, KEY) is None


def test_the_same_text_hashes_differently_under_another_key_and_as_another_kind() -> None:
    token, code = (generate(kind, KEY, entropy=5).text for kind in (Kind.TOKEN, Kind.CODE))
    assert token[4:-6] == code[4:-6]
    hashes = {
        presented.hash
        for kind, text, key in (
            (Kind.TOKEN, token, KEY),
            (Kind.TOKEN, token, b"q" * 32),
            (Kind.CODE, code, KEY),
        )
        if (presented := parse_secret(kind, text, key))
    }
    assert len(hashes) == 3


@pytest.mark.parametrize("kind", Kind)
def test_a_secret_has_256_random_bits(kind: Kind) -> None:
    """Each bit is set in some of 200 secrets and not in others; by chance that fails once in 2 ** 191 runs."""
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    numbers = [
        reduce(lambda number, character: number * 62 + alphabet.index(character), text[8:-6], 0)
        for text in (generate(kind, KEY).text for _ in range(200))
    ]
    assert all(number < 2**256 for number in numbers)
    assert {bit for bit in range(256) if 0 < sum(number >> bit & 1 for number in numbers) < 200} == set(
        range(256)
    )


@given(st.sampled_from(Kind), st.integers(0, 56), st.characters(min_codepoint=128))
def test_a_secret_that_is_not_ascii_is_refused(kind: Kind, place: int, character: str) -> None:
    text = generate(kind, KEY).text
    assert parse_secret(kind, text[:place] + character + text[place + 1 :], KEY) is None


def test_a_repr_contains_only_the_kind() -> None:
    generated = generate(Kind.CODE, KEY)
    assert repr(generated) == "GeneratedSecret(cca_...)"


@pytest.mark.parametrize("second", [-1, 0, 1])
def test_a_partition_begins_at_the_start_of_its_day_or_week(second: int) -> None:
    midnight = datetime(2026, 11, 26, tzinfo=UTC)  # a Thursday, when weeks since 1970 begin
    moment = midnight + timedelta(seconds=second)
    assert day_of(moment) == day_of(midnight) - (second < 0)
    assert week_of(moment) == week_of(midnight) - (second < 0)
