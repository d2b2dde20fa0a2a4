"""Converts rows of Plaid's API to the records of connectors."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from coatcheck.connectors.contract import BankAccount, BankNumbers, BankOwner, BankTransaction
from coatcheck.connectors.json_answers import Row, object_of, rows_of

TYPES: Mapping[tuple[object, object], str] = {
    ("depository", "checking"): "CHECKING",
    ("depository", "prepaid"): "PREPAID",
    ("loan", "mortgage"): "MORTGAGE",
    ("loan", "line of credit"): "LINE_OF_CREDIT",
}
"""MX's type for a type and a subtype of Plaid's."""
OTHER_TYPES: Mapping[object, str] = {
    "depository": "SAVINGS",
    "credit": "CREDIT_CARD",
    "loan": "LOAN",
    "investment": "INVESTMENT",
}
"""MX's type for any other subtype."""


def account(row: Row) -> BankAccount | None:
    """None for an account without a balance."""
    balances = object_of(row, "balances")
    current, available = _decimal(balances.get("current")), _decimal(balances.get("available"))
    balance = current if current is not None else available
    if balance is None:
        return None
    kind, subtype = row.get("type"), row.get("subtype")
    return BankAccount(
        id=row.get("account_id") or "",
        name=row.get("official_name") or row.get("name") or "",
        type=TYPES.get((kind, subtype)) or OTHER_TYPES.get(kind, "ANY"),
        subtype=subtype.upper().replace(" ", "_") if isinstance(subtype, str) else None,
        balance=balance,
        available_balance=available,
        # The `limit` of a current account is its overdraft (Plaid docs: balances).
        credit_limit=_decimal(balances.get("limit")) if kind == "credit" else None,
        currency_code=_currency(balances),
        account_number_mask=row.get("mask") or None,
    )


def numbers(answer: Row) -> Iterator[BankNumbers]:
    """The numbers for ACH, for Canadian EFT and IBANs. British sort codes have no place in MX's API."""
    found = object_of(answer, "numbers")
    for row in found.get("ach") or ():
        is_tokenized = row.get("is_tokenized_account_number")
        yield BankNumbers(
            row.get("account_id") or "",
            row.get("account"),
            row.get("routing"),
            is_tokenized=is_tokenized if isinstance(is_tokenized, bool) else None,
        )
    for row in found.get("eft") or ():
        yield BankNumbers(
            row.get("account_id") or "",
            row.get("account"),
            institution_number=row.get("institution"),
            transit_number=row.get("branch"),
        )
    for row in found.get("international") or ():
        yield BankNumbers(row.get("account_id") or "", row.get("iban"))


def owners(row: Row) -> Iterator[BankOwner]:
    """The owners of an account of `/identity/get`."""
    for each in rows_of(row, "owners"):
        address = object_of(_primary(each.get("addresses")), "data")
        yield BankOwner(
            account_id=row.get("account_id") or "",
            owner_name=next(iter(each.get("names") or ()), None),
            address=address.get("street"),
            city=address.get("city"),
            state=address.get("region"),
            postal_code=address.get("postal_code"),
            country=address.get("country"),
            email=_primary(each.get("emails")).get("data"),
            phone=_primary(each.get("phone_numbers")).get("data"),
        )


def transaction(row: Row) -> BankTransaction:
    """Plaid's amount is positive for money that leaves the account."""
    amount = _decimal(row.get("amount"))
    text = row.get("original_description") or row.get("name") or ""
    location = object_of(row, "location")
    values: dict[str, Any] = {
        # A missing amount stays None: the session leaves the row out and counts it.
        "amount": None if amount is None else abs(amount),
        # The `date` of a transaction moves when it posts, `authorized_date` does not (Plaid docs: transactions).
        "date": _day(row.get("authorized_date") or row.get("date")),
    }
    return BankTransaction(
        account_id=row.get("account_id") or "",
        id=transaction_id(row),
        type="CREDIT" if amount is not None and amount < 0 else "DEBIT",
        status="PENDING" if row.get("pending") is True else "POSTED",
        description=row.get("merchant_name") or row.get("name") or text,
        original_description=text,
        currency_code=_currency(row),
        check_number_string=row.get("check_number") or None,
        city=location.get("city"),
        state=location.get("region"),
        country=location.get("country"),
        postal_code=location.get("postal_code"),
        **values,
    )


def transaction_id(row: Row) -> str:
    """The id of the pending transaction that it was, so that it stays the same when the transaction posts."""
    return str(row.get("pending_transaction_id") or row.get("transaction_id") or "")


def _primary(rows: object) -> Row:
    found = [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []
    return next((each for each in found if each.get("primary") is True), found[0] if found else {})


def _currency(row: Row) -> str:
    return row.get("iso_currency_code") or row.get("unofficial_currency_code") or "USD"


def _decimal(value: object) -> Decimal | None:
    return Decimal(value) if isinstance(value, Decimal | int) and not isinstance(value, bool) else None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
