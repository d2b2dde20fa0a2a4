"""The transactions of a run, as the login's controls change them, in pages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from coatcheck.connectors.contract import BankTransaction
from coatcheck.connectors.sandbox import bank_data
from coatcheck.connectors.sandbox.bank_data import EMPTY, BankRecords

PAGE, SHORT_PAGE = 500, 20
"""Transactions of one page; the second with `reordered_pages`, so that there are several."""
DUPLICATES = 5
BACKDATED_BY = timedelta(days=10)
UNKNOWN_STATUS = "SETTLING"
DEPENDENT = ("backdated", "duplicate_tx", "schema_drift", "unusable_rows")
"""Controls that change a transaction by its place among all others, and need them all."""


def pages_of(
    records: BankRecords, since: date, known_since: Mapping[str, date] = EMPTY
) -> Sequence[Sequence[BankTransaction]]:
    """As `bank_data.transactions`, with what the login's controls change, in pages."""
    has, first_id = records.login.has, records.household.accounts[0].id
    if any(map(has, DEPENDENT)):
        known_since = EMPTY
    rows: Sequence[BankTransaction] = bank_data.transactions(records, since, known_since)
    if has("backdated"):
        rows = _backdated(rows, first_id)
    if has("duplicate_tx"):
        rows = _with_duplicates(rows, first_id)
    if has("schema_drift"):
        rows = _with_unknown_status(rows, first_id)
    if has("unusable_rows"):
        rows = _with_unusable_rows(rows)
    size = SHORT_PAGE if has("reordered_pages") else PAGE
    pages = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [*reversed(pages), *pages[:1]] if has("reordered_pages") else pages


def _with_unusable_rows(rows: Sequence[BankTransaction]) -> Sequence[BankTransaction]:
    """The transactions, with unusable text in some and with rows that cannot be stored."""
    if len(rows) < 2:
        return rows
    first, second, *others = rows
    return [
        replace(first, description=f"{first.description}\0"),
        replace(second, memo="long " * 1_000),
        *others,
        replace(second, memo="long " * 1_000),
        replace(first, id=""),
        replace(first, id="not-a-number", amount=Decimal("NaN")),
        replace(first, id="of-no-account", account_id="unknown"),
    ]


def _backdated(rows: Sequence[BankTransaction], account_id: str) -> Sequence[BankTransaction]:
    """Chosen by their ids, so that a transaction keeps its date in every run."""
    return [
        replace(
            each,
            date=each.date - BACKDATED_BY,
            transacted_at=each.transacted_at and each.transacted_at - BACKDATED_BY,
        )
        if _is_posted(each, account_id) and int(each.id.rpartition("-")[2]) % 5 == 0
        else each
        for each in rows
    ]


def _with_duplicates(rows: Sequence[BankTransaction], account_id: str) -> Sequence[BankTransaction]:
    posted = [each for each in rows if _is_posted(each, account_id)]
    return [*rows, *(replace(each, id=f"{each.id}-again") for each in posted[-DUPLICATES:])]


def _with_unknown_status(rows: Sequence[BankTransaction], account_id: str) -> Sequence[BankTransaction]:
    newest = {each.id for each in [each for each in rows if each.account_id == account_id][-2:]}
    return [replace(each, status=UNKNOWN_STATUS) if each.id in newest else each for each in rows]


def _is_posted(row: BankTransaction, account_id: str) -> bool:
    return row.account_id == account_id and row.status == "POSTED"
