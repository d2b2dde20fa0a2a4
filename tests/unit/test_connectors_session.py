"""A run's session: its rows, its limits, and that a replaced secret is always saved."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from coatcheck.connectors import collected, session
from coatcheck.connectors.collected import BATCH, CollectedData
from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
    JobKind,
    Session,
    Task,
)
from coatcheck.connectors.rows import MAX_KEY, MAX_PDF_BYTES, MAX_TEXT, UnusableRow, checked
from coatcheck.errors import BankDataUnusable
from tests.member_setup import PATIENCE

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
ACCOUNT = BankAccount(id="a", name="Checking", type="CHECKING", balance=Decimal("10.50"))
ROW = BankTransaction(
    account_id="a",
    id="t1",
    amount=Decimal("4.20"),
    type="DEBIT",
    status="POSTED",
    date=date(2026, 3, 1),
    description="Coffee",
    original_description="POS 4711 COFFEE",
)


def data_of(*transactions: BankTransaction) -> CollectedData:
    data = CollectedData()
    data.add_accounts([ACCOUNT])
    data.add_transactions(transactions)
    return data


def rows_of(data: CollectedData) -> list[BankTransaction]:
    return [row for batch in data.transaction_batches() for row in batch]


# --- rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("plain", "plain"),
        ("Caisse Érablière 日本 🙂", "Caisse Érablière 日本 🙂"),
        ("a\0b", "ab"),
        ("bell\x07 and escape\x1b[31m", "bell and escape[31m"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("next\x85line", "nextline"),
        ("x" * 5_000, "x" * MAX_TEXT),
        ("", ""),
    ],
)
def test_only_characters_that_cannot_be_stored_are_removed_from_text(given, clean):
    assert checked(replace(ROW, description=given, memo=given)) == replace(ROW, description=clean, memo=clean)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "a\0"),
        ("id", "x" * (MAX_KEY + 1)),
        ("id", None),
        ("id", 7),
        ("account_id", ""),
        ("amount", Decimal("NaN")),
        ("amount", Decimal("sNaN")),
        ("amount", Decimal("Infinity")),
        ("amount", Decimal("-0.01")),
        ("amount", Decimal(10) ** 15),
        ("amount", Decimal("1000000000000000.00")),
        ("amount", 4.2),
        ("amount", "4.20"),
        ("amount", None),
        ("type", "debit"),
        ("type", ""),
        ("status", "MEMO"),
        ("date", "2026-03-01"),
        ("transacted_at", datetime(2026, 3, 1)),  # noqa: DTZ001 (what is refused)
        ("merchant_category_code", 2**31),
        ("is_fee", "yes"),
        ("description", b"bytes"),
    ],
)
def test_the_error_about_an_unusable_transaction_names_the_field(field, value):
    row = replace(ROW, **{field: value})
    with pytest.raises(UnusableRow) as refused:
        checked(row)
    assert refused.value.field == field
    assert str(refused.value) == field, "the value is not in the message"


@pytest.mark.parametrize(
    "number", ["", "12\0", "1" * (MAX_KEY + 1), "12\n3"], ids=["empty", "NUL", "long", "newline"]
)
def test_a_number_is_never_changed_to_make_it_usable(number):
    with pytest.raises(UnusableRow):
        checked(BankNumbers(account_id="a", account_number=number))


def test_a_usable_row_is_the_same_object():
    for row in (
        ROW,
        ACCOUNT,
        BankNumbers("a", "0012"),
        BankOwner("a", "Ann"),
        BankStatement("a", "s", b"%PDF"),
    ):
        assert checked(row) is row


# --- what a run holds --------------------------------------------------------------------------------------


def test_unusable_transactions_are_left_out_and_counted_by_field():
    data = data_of(ROW, replace(ROW, id=""), replace(ROW, id=""), replace(ROW, amount=Decimal("NaN")))
    assert rows_of(data) == [ROW]
    assert data.skipped == {("BankTransaction", "id"): 2, ("BankTransaction", "amount"): 1}


def test_a_transaction_or_statement_of_an_unknown_account_is_left_out():
    data = data_of(replace(ROW, account_id="other"))
    data.add_statements([BankStatement("other", "s", b"%PDF")])
    assert (rows_of(data), data.statements) == ([], ())
    assert set(data.skipped) == {("BankTransaction", "account_id"), ("BankStatement", "account_id")}


@pytest.mark.parametrize(
    "add",
    [
        lambda data: data.add_accounts([replace(ACCOUNT, balance=Decimal("NaN"))]),
        lambda data: data.add_accounts([replace(ACCOUNT, id="")]),
        lambda data: data.add_numbers([BankNumbers("a", "12\0")]),
        lambda data: data.add_numbers([BankNumbers("other", "12")]),
        lambda data: data.add_owners([BankOwner("other", "Ann")]),
    ],
)
def test_an_unusable_account_number_or_owner_ends_the_run_without_naming_the_value(add):
    with pytest.raises(BankDataUnusable) as ended:
        add(data_of())
    assert "12" not in ended.value.problem


def test_of_two_accounts_with_one_id_the_last_counts():
    data = data_of()
    data.add_accounts([replace(ACCOUNT, name="New name")])
    assert [each.name for each in data.accounts] == ["New name"]


def test_transactions_are_returned_unchanged_in_batches():
    rows = [
        replace(
            ROW,
            id=f"t{number}",
            amount=Decimal(number) / 100,
            transacted_at=NOW if number % 2 else None,
            check_number_string="0012",
            is_fee=bool(number % 3),
        )
        for number in range(2 * BATCH + 7)
    ]
    data = data_of(*rows)
    assert [len(batch) for batch in data.transaction_batches()] == [BATCH, BATCH, 7]
    assert rows_of(data) == rows
    assert rows_of(data) == rows, "a second time as well"
    assert repr(rows_of(data)[1]) == repr(rows[1])


def test_a_run_that_holds_too_much_ends(monkeypatch):
    monkeypatch.setattr(collected, "MAX_BYTES", 5_000)
    with pytest.raises(BankDataUnusable, match="more data"):
        data_of(*(replace(ROW, id=f"t{number}") for number in range(BATCH)))
    monkeypatch.setattr(collected, "MAX_ROWS", 3)
    data = data_of()
    with pytest.raises(BankDataUnusable, match="more rows"):
        data.add_owners([BankOwner("a", "Ann")] * 4)


def test_statement_documents_count_towards_the_limit_and_a_huge_one_is_left_out(monkeypatch):
    data = data_of()
    data.add_statements([BankStatement("a", "s", b"x" * (MAX_PDF_BYTES + 1))])
    assert data.skipped == {("BankStatement", "pdf"): 1}
    monkeypatch.setattr(collected, "MAX_BYTES", 10)
    with pytest.raises(BankDataUnusable):
        data.add_statements([BankStatement("a", "s", b"%PDF and more")])


# --- state ---------------------------------------------------------------------------------------------------


class Stored:
    def __init__(self, *, seconds: float = 0, error: Exception | None = None) -> None:
        self.states: list[bytes] = []
        self.seconds = seconds
        self.error = error

    async def __call__(self, state: bytes) -> None:
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        self.states.append(state)


def session_with(store: Stored) -> Session:
    task = Task(JobKind.BALANCE, "bank", "MBR-1", NOW)
    return Session(task, {"LOGIN": "a-secret"}, state=b"old", store_state=store)


async def test_a_state_is_stored_at_once_and_read_back():
    store = Stored()
    running = session_with(store)
    assert running.state == b"old"
    await running.save_state(b"new")
    assert (store.states, running.state) == ([b"new"], b"new")
    assert await running.rotate(exchange_of(b"newer")) == b"newer"
    assert (store.states, running.state) == ([b"new", b"newer"], b"newer")


async def test_a_state_that_was_not_stored_is_not_the_state():
    running = session_with(Stored(error=session.SessionEnded()))
    with pytest.raises(session.SessionEnded):
        await running.save_state(b"new")
    assert running.state == b"old"


async def test_a_state_that_is_too_long_is_refused():
    store = Stored()
    with pytest.raises(ValueError, match="64 KiB"):
        await session_with(store).save_state(b"x" * (64 * 1024 + 1))
    assert store.states == []


def exchange_of(state: bytes, seconds: float = 0):
    async def exchange() -> bytes:
        await asyncio.sleep(seconds)
        return state

    return exchange


@pytest.mark.parametrize(
    ("exchange", "store"), [(0.2, 0), (0, 0.2), (0.1, 0.1)], ids=["exchange", "store", "both"]
)
@pytest.mark.parametrize("cancellations", [1, 3])
async def test_a_cancelled_run_waits_for_the_exchange_and_the_saving(exchange, store, cancellations):
    stored = Stored(seconds=store)
    run = asyncio.create_task(session_with(stored).rotate(exchange_of(b"new", exchange)))
    for _ in range(cancellations):
        await asyncio.sleep(0.01)
        run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert stored.states == [b"new"]


async def test_a_cancelled_run_waits_for_a_limited_time(monkeypatch):
    monkeypatch.setattr(session, "EXCHANGE_GRACE", 0.05 * session.EXCHANGE_GRACE / 4)
    stored = Stored()
    run = asyncio.create_task(session_with(stored).rotate(exchange_of(b"new", 60)))
    await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, PATIENCE)
    assert stored.states == []


async def test_an_exchange_that_fails_changes_no_state():
    async def exchange() -> bytes:
        raise BankDataUnusable

    stored = Stored()
    running = session_with(stored)
    with pytest.raises(BankDataUnusable):
        await running.rotate(exchange)
    assert (stored.states, running.state) == ([], b"old")


async def test_no_repr_contains_a_secret():
    running = session_with(Stored())
    assert "a-secret" not in repr(running)
    assert "old" not in repr(running)


@pytest.mark.parametrize(
    ("kind", "days"),
    [("AGGREGATION", 90), ("HISTORY", 730), ("STATEMENT", 372), ("BALANCE", 0), ("VERIFICATION", 0)],
)
def test_a_task_has_the_earliest_date_to_read(kind, days):
    task = Task(JobKind(kind), "bank", "MBR-1", NOW)
    assert (NOW.date() - task.since).days == days
    assert task.wants_transactions == (kind in {"AGGREGATION", "HISTORY"})


def test_a_task_has_a_later_date_for_an_account_that_earlier_runs_have_read():
    yesterday, long_ago = NOW.date() - timedelta(days=1), NOW.date() - timedelta(days=400)
    known = {"read": yesterday, "asleep": long_ago}
    task = Task(JobKind.AGGREGATION, "bank", "MBR-1", NOW, known_since=known)
    assert [task.since_of(id) for id in ("read", "asleep", "new")] == [yesterday, task.since, task.since]


def test_an_aggregation_without_transactions_requests_none():
    assert not Task(JobKind.AGGREGATION, "bank", "MBR-1", NOW, include_transactions=False).wants_transactions
