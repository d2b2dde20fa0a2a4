"""What a connector reads is stored in canonical spelling, or is an unusable row."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from coatcheck.connectors.records import BankNumbers, BankOwner, BankTransaction
from coatcheck.connectors.rows import UnusableRow, checked
from tests.spellings import SPELLINGS, spelled

NUMBERS = {
    "account_number": "6366816006",
    "routing_number": "091000019",
    "institution_number": "0004",
    "transit_number": "12345",
}


@pytest.mark.parametrize("name", NUMBERS)
def test_account_numbers_are_stored_in_canonical_form_or_refused(name: str) -> None:
    for spelling in SPELLINGS:
        try:
            row = checked(BankNumbers("account", **{**NUMBERS, name: spelled(NUMBERS[name], spelling)}))
        except UnusableRow as unusable:
            assert unusable.field == name  # noqa: PT017 (most spellings are refused, some are not)
            continue
        assert getattr(row, name).isascii(), spelling
        assert getattr(row, name) == getattr(row, name).strip(), spelling
        assert name != "routing_number" or row.routing_number == "091000019", spelling


@pytest.mark.parametrize(
    ("name", "value"), [("postal_code", "84043"), ("phone", "8015551234"), ("owner_name", "Ann 2nd")]
)
def test_what_identifies_an_owner_has_ascii_digits_and_nothing_invisible(name: str, value: str) -> None:
    for spelling in SPELLINGS:
        row = checked(BankOwner("account", **{name: spelled(value, spelling)}))
        text = getattr(row, name)
        assert text == " ".join(text.split()), spelling
        assert all(each.isascii() for each in text if each.isdecimal()), spelling
        assert not set(text) & set("\u200b\u2060\ufeff\u202e\x00\x07\x1b\x7f"), spelling


def test_a_routing_number_of_the_wrong_length_is_unusable() -> None:
    with pytest.raises(UnusableRow, match="routing_number"):
        checked(BankNumbers("account", routing_number="12345678"))


@pytest.mark.parametrize("amount", ["1e-999999", "0e-999999", f"0.{'1' * 51}"])
def test_an_amount_with_more_decimals_than_any_currency_is_unusable(amount: str) -> None:
    row = BankTransaction(
        account_id="account",
        id="1",
        amount=Decimal(amount),
        type="CREDIT",
        status="POSTED",
        date=date(2026, 11, 27),
        description="Shop",
        original_description="SHOP",
    )
    assert checked(replace(row, amount=Decimal("0.123456789012345678"))).amount
    with pytest.raises(UnusableRow, match="amount"):
        checked(row)
