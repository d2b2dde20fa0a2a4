"""Converts rows of Enable Banking's API to the records of connectors."""

import re
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any

from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankTransaction,
    Institution,
    JobKind,
)
from coatcheck.connectors.json_answers import Row, object_of, text_of

TYPES: Mapping[str, str] = {"CACC": "CHECKING", "SVGS": "SAVINGS", "CARD": "CREDIT_CARD", "LOAN": "LOAN"}
"""MX's type for a `cash_account_type` (ISO 20022 ExternalCashAccountType1Code)."""
BOOKED = ("CLBD", "ITBD", "XPCD", "PRCD", "OPBD")
AVAILABLE = ("CLAV", "ITAV", "FWAV", "OTHR")
"""Kinds of balance (ISO 20022 ExternalBalanceType1Code), the preferred ones first."""
DIRECTIONS: Mapping[object, str] = {"CRDT": "CREDIT", "DBIT": "DEBIT"}
STATUSES: Mapping[object, str] = {"BOOK": "POSTED", "PDNG": "PENDING"}
SUPPORTS = frozenset(
    {
        JobKind.AGGREGATION,
        JobKind.BALANCE,
        JobKind.HISTORY,
        JobKind.VERIFICATION,
        JobKind.IDENTIFICATION,
    }
)
_INSTITUTIONS = uuid.UUID("1c5b8c7e-7d55-5b0e-8d0b-3c41f2a5e9d2")


def institution(row: Row) -> Institution:
    """A bank, which Enable Banking knows by its name and its country."""
    name, country = text_of(row, "name"), text_of(row, "country")
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    code = f"eb_{country.lower()}_{re.sub(r'[^a-z0-9]+', '_', ascii_name).strip('_')}"
    return Institution(
        code=code,
        guid=f"INS-{uuid.uuid5(_INSTITUTIONS, code)}",
        name=name,
        url="",
        iso_country_code=country,
        supports=SUPPORTS,
        supports_oauth=True,
    )


def account(id: str, details: Row, balances: Iterable[Row]) -> BankAccount | None:
    """An account with its booked and its available balance; None if the bank gave no balance."""
    amounts = {each.get("balance_type"): _amount(object_of(each, "balance_amount")) for each in balances}
    booked, available = _first(amounts, BOOKED), _first(amounts, AVAILABLE)
    balance = booked if booked is not None else available
    if balance is None:
        return None
    number = _number(details) or ""
    return BankAccount(
        id=id,
        name=details.get("product") or details.get("details") or details.get("name") or "Account",
        type=TYPES.get(details.get("cash_account_type") or "", "CHECKING"),
        balance=balance,
        available_balance=available,
        currency_code=details.get("currency") or "EUR",
        account_number_mask=number[-4:] or None,
        # The other usage is PRIV, of a private person (Berlin Group's NextGenPSD2).
        is_business=details.get("usage") == "ORGA",
    )


def numbers(id: str, details: Row) -> BankNumbers | None:
    """The IBAN, or the number by which the bank names the account."""
    number = _number(details)
    return BankNumbers(account_id=id, account_number=number) if number else None


def owner(id: str, details: Row) -> BankOwner | None:
    """The holder's name. The API gives no address."""
    name = details.get("name")
    return BankOwner(account_id=id, owner_name=name) if isinstance(name, str) and name else None


class Transactions:
    """The transactions of one account in one run."""

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id
        self._occurrences: Counter[str] = Counter()

    def convert(self, row: Row) -> BankTransaction | None:
        """None for a row that is neither booked nor pending, such as a rejected one."""
        status = STATUSES.get(row.get("status"))
        if status is None:
            return None
        text = " ".join(map(str, row.get("remittance_information") or ())).strip()
        is_credit = row.get("credit_debit_indicator") == "CRDT"
        partner = object_of(row, "debtor" if is_credit else "creditor").get("name")
        amount = _amount(object_of(row, "transaction_amount"))
        values: dict[str, Any] = {
            "amount": amount if amount is None else abs(amount),
            "type": DIRECTIONS.get(row.get("credit_debit_indicator"), ""),
            "date": _day(row.get("booking_date") or row.get("transaction_date") or row.get("value_date")),
            "description": str(partner or text),
            "original_description": text or str(partner or ""),
        }
        return BankTransaction(
            account_id=self._account_id,
            id=self._id(row, values),
            status=status,
            currency_code=object_of(row, "transaction_amount").get("currency") or "EUR",
            memo=row.get("note") if isinstance(row.get("note"), str) else None,
            **values,
        )

    def _id(self, row: Row, values: Mapping[str, Any]) -> str:
        """The bank's reference, else one of the content: the nth of several equal rows is the nth again."""
        if isinstance(reference := row.get("entry_reference"), str) and reference:
            return reference
        content = sha256(repr(sorted(values.items())).encode()).hexdigest()[:32]
        self._occurrences[content] += 1
        return f"{content}-{self._occurrences[content]}"


def _number(details: Row) -> str | None:
    identified = object_of(details, "account_id")
    number = identified.get("iban") or object_of(identified, "other").get("identification")
    return number if isinstance(number, str) and number else None


def _amount(row: Row) -> Decimal | None:
    try:
        return Decimal(str(row.get("amount")))
    except InvalidOperation:
        return None


def _first(amounts: Mapping[Any, Decimal | None], kinds: Iterable[str]) -> Decimal | None:
    return next((amounts[kind] for kind in kinds if amounts.get(kind) is not None), None)


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
