"""Monthly statements of deposit accounts, computed from the ledger; `pdf` renders them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from coatcheck.connectors.sandbox import bank_data
from coatcheck.connectors.sandbox.bank_data import BankRecords, money
from coatcheck.connectors.sandbox.household import first_day, month_of
from coatcheck.connectors.sandbox.ledger import DAY

MONTHS = 12
"""Statements cover this many full months."""


@dataclass(frozen=True, slots=True)
class Line:
    day: date
    text: str
    amount: Decimal
    """Negative for a debit."""
    balance: Decimal


@dataclass(frozen=True, slots=True, repr=False)
class Statement:
    account_id: str
    bank: str
    account_name: str
    mask: str
    """The last four digits."""
    owner_lines: Sequence[str]
    start: date
    end: date
    currency_code: str
    opening: Decimal
    closing: Decimal
    lines: Sequence[Line]


def statements(records: BankRecords) -> Iterator[Statement]:
    """Those of the last 12 full months of checking and savings accounts; the records must reach as far back."""
    if records.login.has("scope_reduced"):
        return
    this_month = month_of(records.today)
    for position in records.shared:
        account = records.household.accounts[position]
        if account.kind.type in {"CHECKING", "SAVINGS"}:
            for month in range(this_month - MONTHS, this_month):
                yield _statement(records, position, month)


def _statement(records: BankRecords, position: int, month: int) -> Statement:
    account = records.household.accounts[position]
    first, after = first_day(month), first_day(month + 1)
    running = opening = records.balance(position, first * DAY - 1)
    lines = []
    for each in records.posted(position, first * DAY, after * DAY - 1):
        running += each.cents
        day = date.fromordinal(each.posted // DAY)
        lines.append(Line(day, each.entry.description, money(each.cents), money(running)))
    return Statement(
        account_id=account.id,
        bank=records.institution.name,
        account_name=account.name,
        mask=account.number[-4:],
        owner_lines=_owner_lines(records, account.id),
        start=date.fromordinal(first),
        end=date.fromordinal(after - 1),
        currency_code=records.currency_code,
        opening=money(opening),
        closing=money(running),
        lines=lines,
    )


def _owner_lines(records: BankRecords, account_id: str) -> tuple[str, ...]:
    owned = [each for each in bank_data.owners(records) if each.account_id == account_id]
    names = tuple(each.owner_name or "" for each in owned)
    return (*names, *(f"{each.address}, {each.city} {each.state} {each.postal_code}" for each in owned[:1]))
