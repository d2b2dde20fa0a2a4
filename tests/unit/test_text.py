"""Text input: every spelling is refused or converted to the canonical form."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.us import rtn

from coatcheck import text
from coatcheck.errors import InvalidRequest
from tests.spellings import SPELLINGS, spelled


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_routing_number_is_refused_or_canonical(spelling):
    try:
        number = text.routing_number(spelled("091000019", spelling))
    except InvalidRequest:
        return
    assert number == "091000019"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_account_number_is_refused_or_canonical(spelling):
    try:
        number = text.account_number(spelled("3333000042", spelling))
    except InvalidRequest:
        return
    assert number == "3333000042"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_email_address_is_refused_or_canonical(spelling):
    try:
        address = text.email(spelled("ann1@example.com", spelling))
    except InvalidRequest:
        return
    assert address.replace("-", "").replace(",", "") in {"ann1@example.com", "ann1@exa.mple.com"}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_name_is_refused_or_canonical(spelling):
    try:
        name = text.name(spelled("Account 12345", spelling))
    except InvalidRequest:
        return
    assert name == name.strip() == unicodedata.normalize("NFC", name)
    assert not any(unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} for each in name)
    assert all(each.isascii() for each in name if each.isdecimal())


@given(st.text())
def test_a_canonical_value_is_unchanged(value):
    for canonical in (
        text.routing_number,
        text.account_number,
        text.name,
        text.email,
        text.login,
        text.secret,
    ):
        try:
            once = canonical(value)
        except InvalidRequest:
            continue
        assert canonical(once) == once


@given(st.text(), st.sampled_from([text.routing_number, text.account_number]))
def test_numbers_are_ascii_digits(value, canonical):
    try:
        number = canonical(value)
    except InvalidRequest:
        return
    assert number.isascii()
    assert number.isdecimal()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Jose\u0301", "Jos\u00e9"),
        ("  Ann \u00a0 Example\u2009", "Ann Example"),
        ("نسترن\u200cکریمی", "نسترن\u200cکریمی"),
        ("Lane ７", "Lane 7"),  # noqa: RUF001 (a full-width digit)
        ("", ""),
    ],
)
def test_a_name_has_its_canonical_form(value, expected):
    assert text.name(value) == expected


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x7f", "\u200b", "\u202e", "\ufeff"])
def test_a_name_with_invisible_characters_is_refused(character):
    with pytest.raises(InvalidRequest, match="first_name"):
        text.name(f"An{character}n", "first_name")


def test_a_name_is_at_most_1000_characters():
    assert text.name("x" * 1000)
    with pytest.raises(InvalidRequest):
        text.name("x" * 1001)


@pytest.mark.parametrize("value", ["", "a b@c.d", "a@b\x00", "ann@ex\u00e4mple.com"])
def test_an_email_with_other_than_visible_ascii_characters_is_refused(value):
    with pytest.raises(InvalidRequest):
        text.email(value)


def test_a_password_keeps_its_spaces_and_letter_forms():
    assert text.secret(" pássword　") == " pássword　"
    with pytest.raises(InvalidRequest):
        text.secret("pass\x00word")


def test_logins_in_nfc_and_nfd_are_one():
    assert text.login(" Jose\u0301 ") == text.login("Jos\u00e9")


def test_whether_a_bank_can_have_a_routing_number_is_verified_separately():
    assert text.is_possible_routing_number("091000019")
    assert not text.is_possible_routing_number("091000018")
    assert text.routing_number("091000018") == "091000018"


@pytest.mark.parametrize(
    "number",
    ["000000518", "011000015", "122000661", "211000006", "322000005", "610000005", "720000005", "800000006"],
)
def test_a_bank_can_have_a_routing_number_of_each_kind(number):
    assert text.is_possible_routing_number(number)


@pytest.mark.parametrize(
    "number",
    ["000000000", "130000006", "200000004", "330000000", "600000002", "730000008", "810000009", "999999992"],
)
def test_no_bank_has_a_routing_number_outside_the_assigned_ranges(number):
    assert rtn.is_valid(number)
    assert not text.is_possible_routing_number(number)
