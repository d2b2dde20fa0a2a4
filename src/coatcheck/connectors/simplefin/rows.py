"""Accounts and transactions of SimpleFIN as records. Version 1 and 2 of the protocol, read tolerantly."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from coatcheck.connectors.contract import BankAccount, BankTransaction
from coatcheck.connectors.json_answers import Row

TYPES: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(rf"\b(?:{words})\b"), kind)
    for words, kind in (
        ("line of credit|heloc", "LINE_OF_CREDIT"),
        ("checking|chequing|debit", "CHECKING"),
        ("(?:credit ?)?cards?|visa|mastercard|american express|amex", "CREDIT_CARD"),
        ("mortgage", "MORTGAGE"),
        ("loans?", "LOAN"),
        ("savings?|money market", "SAVINGS"),
        (r"brokerage|invest\w*|401\w*|ira", "INVESTMENT"),
    )
]
"""The type of an account by words of its name: the protocol has none. The first that fits. A part of a word is not
enough: an account of Cardinal Bank would be a card, whose balance is what the user owes."""
DEFAULT_TYPE = "CHECKING"
OWED = frozenset({"CREDIT_CARD", "LINE_OF_CREDIT", "LOAN", "MORTGAGE"})
"""Types whose balance is positive if the user owes it (MX docs: accounts). SimpleFIN has it negative."""
LIMIT = 10**15
"""No amount and no time in seconds is as great."""
NO_CURRENCY = "XXX"
"""ISO 4217 for a unit that is no currency: SimpleFIN has a URL there, for points and miles."""


def connection(row: Row) -> str:
    """What tells the connection of an account from the others: its id, or in version 1 its organization."""
    org = row.get("org")
    named = org if isinstance(org, dict) else {}
    return text(row.get("conn_id")) or next(
        filter(None, (text(named.get(each)) for each in ("id", "domain", "name", "sfin-url"))), ""
    )


def account(row: Row, account_id: str) -> BankAccount | None:
    """None for an account without a balance: it must not get a wrong one."""
    name = text(row.get("name")) or "Account"
    kind = _type(name)
    balance = _decimal(row.get("balance"))
    if balance is None:
        return None
    available = _decimal(row.get("available-balance"))
    is_owed = kind in OWED
    return BankAccount(
        id=account_id,
        name=name,
        type=kind,
        balance=-balance if is_owed else balance,
        available_balance=None if is_owed else available,
        available_credit=available if is_owed and available is not None and available >= 0 else None,
        currency_code=currency(row),
    )


def currency(row: Row) -> str:
    code = text(row.get("currency")).strip().upper()
    return code if code.isascii() and code.isalpha() and len(code) == 3 else NO_CURRENCY


def transaction(row: Row, account_id: str, currency_code: str) -> BankTransaction:
    """A transaction. The session leaves out one that has no amount or no date: its amount is NaN."""
    posted, made = _instant(row.get("posted")), _instant(row.get("transacted_at"))
    is_pending = row.get("pending") is True or posted is None
    amount = _decimal(row.get("amount"))
    description = text(row.get("description"))
    day = (made if is_pending else None) or posted or made
    return BankTransaction(
        account_id=account_id,
        id=text(row.get("id")),
        amount=Decimal("NaN") if amount is None or day is None else abs(amount),
        type="DEBIT" if amount is not None and amount < 0 else "CREDIT",
        status="PENDING" if is_pending else "POSTED",
        date=day.date() if day else date.min,
        description=text(row.get("payee")) or description,
        original_description=description,
        transacted_at=made,
        posted_at=None if is_pending else posted,
        currency_code=currency_code,
        memo=text(row.get("memo")) or None,
        merchant_category_code=_category(row.get("mcc")),
    )


def _type(name: str) -> str:
    folded = name.casefold()
    return next((kind for words, kind in TYPES if words.search(folded)), DEFAULT_TYPE)


def text(value: object) -> str:
    """The text; empty if it is none."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _decimal(value: object) -> Decimal | None:
    """A number, which the protocol has as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    # The end user chooses the server: `int` of a number such as 1e999999999 would stop the worker for hours.
    return number if number.is_finite() and -LIMIT < number < LIMIT else None


def _instant(value: object) -> datetime | None:
    """Seconds since 1970; None for 0, which stands for not yet."""
    number = _decimal(value)
    if not number:
        return None
    try:
        return datetime.fromtimestamp(int(number), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _category(value: object) -> int | None:
    code = text(value)
    return int(code) if code.isascii() and code.isdigit() and len(code) == 4 else None
