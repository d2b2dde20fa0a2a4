"""The digit of the cell in guids and secrets."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.cell_digit import DIGITS, FIRST, GUID, digit_of_guid, in_cell
from coatcheck.grants.secrets import Kind, digit_of_secret, generate, parse_secret
from coatcheck.ids import derived, new

KEY = b"k" * 32
OLD_TOKEN = "cct_0lt000000000000000000000000000000000000000000708XvVe"
"""A token without a digit, as earlier versions made them."""
digits = st.sampled_from(DIGITS)


@given(digits)
def test_a_guid_and_a_secret_name_the_cell_that_made_them(digit: str) -> None:
    with in_cell(digit):
        guid, secret = new("USR"), generate(Kind.TOKEN, KEY, period=7)
    assert GUID.fullmatch(guid)
    assert (digit_of_guid(guid), digit_of_secret(secret.text)) == (digit, digit)
    presented = parse_secret(Kind.TOKEN, secret.text, KEY)
    assert presented is not None
    assert (presented.hash, presented.period) == (secret.hash, 7)


@given(digits)
def test_a_guid_is_a_uuid_of_rfc_9562_and_sorts_by_its_time(digit: str) -> None:
    earlier = new("USR")
    with in_cell(digit):
        uuid = UUID(new("USR")[4:])
    assert uuid.variant == "specified in RFC 4122"
    assert uuid.version == (7 if digit == FIRST else 8)
    assert uuid.int >> 80 >= UUID(earlier[4:]).int >> 80


def test_what_was_made_before_there_were_digits_is_of_the_first_cell() -> None:
    assert digit_of_guid("USR-0197c1de-5a1b-7fff-bfff-ffffffffffff") == FIRST
    presented = parse_secret(Kind.TOKEN, OLD_TOKEN, KEY)
    assert presented is not None
    assert digit_of_secret(OLD_TOKEN) == FIRST


def test_the_six_bits_that_are_no_digit_name_the_first_cell() -> None:
    assert digit_of_guid("USR-0197c1de-5a1b-8fff-bfff-ffffffffffff") == FIRST


def test_a_derived_guid_is_the_same_everywhere_and_differs_by_its_parts() -> None:
    assert derived("PPR", "a", "b") == derived("PPR", "a", "b") != derived("PPR", "ab", "")
    assert GUID.fullmatch(derived("PPR", "a", "b"))
    assert digit_of_guid(derived("PPR", "a", "b")) == FIRST
