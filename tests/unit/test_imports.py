"""Imports: any split and overlap of a statement gives one ledger, and a deletion that of the other imports."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from coatcheck.app import Services
from coatcheck.connectors.statement_files.reading import ReadFile
from coatcheck.connectors.statement_files.statement import (
    FileAccount,
    FileBalance,
    FileFormat,
    FileTransaction,
    Statement,
)
from coatcheck.errors import UnreadableFile
from coatcheck.imports.records import Import
from coatcheck.model.users import User
from tests.factories import Keyed, make_user

FIRST_DAY = date(2026, 10, 1)
Ledger = list[tuple[Any, ...]]
Days = list[list[FileTransaction]]

without_bank_ids = st.builds(
    FileTransaction,
    st.just(FIRST_DAY),
    st.integers(-3, 3).map(Decimal),
    st.sampled_from(["coffee", "bus"]),
    st.just("USD"),
)


@st.composite
def statements(draw: st.DrawFn) -> Days:
    """The transactions of each day. Those of half of the statements have ids of the bank."""
    days = draw(st.lists(st.lists(without_bank_ids, max_size=4), min_size=1, max_size=5))
    has_ids = draw(st.booleans())
    return [
        [
            FileTransaction(
                FIRST_DAY + timedelta(day),
                each.amount,
                each.description,
                "USD",
                bank_id=f"{day}-{place}" if has_ids else None,
            )
            for place, each in enumerate(transactions)
        ]
        for day, transactions in enumerate(days)
    ]


@st.composite
def parts(draw: st.DrawFn) -> tuple[Days, list[tuple[int, int]]]:
    """A statement, and the days of the files that cover it, in any order and overlapping as they like."""
    days = draw(statements())
    day = st.integers(0, len(days) - 1)
    windows = draw(st.lists(st.tuples(day, day).map(lambda pair: (min(pair), max(pair))), max_size=4))
    covered = {each for first, last in windows for each in range(first, last + 1)}
    windows += [(each, each) for each in range(len(days)) if each not in covered]
    return days, draw(st.permutations(windows))


def file_of(days: Sequence[Sequence[FileTransaction]], first: int, last: int) -> ReadFile:
    """The file of the days from the first to the last, with its balances."""
    before = sum((each.amount for day in days[:first] for each in day), Decimal(0))
    transactions = tuple(each for day in days[first : last + 1] for each in day)
    closing = before + sum((each.amount for each in transactions), Decimal(0))
    account = FileAccount(
        currency_code="USD",
        number="1234567890",
        opening=FileBalance(before, FIRST_DAY + timedelta(first - 1)),
        closing=FileBalance(closing, FIRST_DAY + timedelta(last)),
        transactions=transactions,
    )
    return ReadFile(Statement(FileFormat.MT940, (account,)))


async def import_all(services: Services, user: User, files: Sequence[ReadFile]) -> list[Import]:
    async with services.db.transaction() as connection:
        return [await services.imports.add(connection, user, each, actor="operator") for each in files]


async def ledger(services: Services, user: User) -> tuple[Ledger, Ledger]:
    """The transactions and the balances of the user, without guids."""
    async with services.db.connection() as connection:
        rows = await connection.execute(
            """SELECT date, type, amount, description, id FROM transaction
               WHERE user_guid = %(guid)s ORDER BY 1, 2, 3, 4, 5""",
            {"guid": user.guid},
        )
        balances = await connection.execute(
            "SELECT name, balance FROM account WHERE user_guid = %(guid)s", {"guid": user.guid}
        )
        # The numeric type keeps the zeros of each file.
        return (
            [(day, kind, amount.normalize(), *rest) for day, kind, amount, *rest in await rows.fetchall()],
            [(name, balance.normalize()) for name, balance in await balances.fetchall()],
        )


real_database = examples(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(parts())
@real_database
async def test_any_split_and_overlap_of_a_statement_imports_to_the_same_ledger(
    services: Services, client: Keyed, split: tuple[Days, list[tuple[int, int]]]
) -> None:
    days, windows = split
    once, in_parts = await make_user(services, client), await make_user(services, client)
    (whole,) = await import_all(services, once, [file_of(days, 0, len(days) - 1)])
    imported = await import_all(services, in_parts, [file_of(days, *each) for each in windows])
    assert await ledger(services, in_parts) == await ledger(services, once)
    assert sum(each.accounts[0].added for each in imported) == whole.accounts[0].added


@given(st.integers(1, 8), st.data())
@real_database
async def test_a_split_within_a_day_duplicates_and_loses_nothing_that_has_an_id_of_the_bank(
    services: Services, client: Keyed, count: int, data: st.DataObject
) -> None:
    one_day = [
        [FileTransaction(FIRST_DAY, Decimal(-1), "coffee", "USD", bank_id=str(n))] for n in range(count)
    ]
    cut = data.draw(st.integers(0, count - 1))
    overlap = data.draw(st.integers(0, cut))
    user = await make_user(services, client)
    await import_all(services, user, [file_of(one_day, 0, cut), file_of(one_day, cut - overlap, count - 1)])
    transactions, _ = await ledger(services, user)
    assert len(transactions) == count


@given(parts(), st.data())
@real_database
async def test_after_a_deletion_the_ledger_is_that_of_the_other_imports(
    services: Services, client: Keyed, split: tuple[Days, list[tuple[int, int]]], data: st.DataObject
) -> None:
    days, windows = split
    deleted = data.draw(st.integers(0, len(windows) - 1))
    some, all_of_them = await make_user(services, client), await make_user(services, client)
    others = [each for place, each in enumerate(windows) if place != deleted]
    await import_all(services, some, [file_of(days, *each) for each in others])
    imported = await import_all(services, all_of_them, [file_of(days, *each) for each in windows])
    async with services.db.transaction() as connection:
        await services.imports.delete(
            connection, imported[deleted], client_guid=client.guid, actor=client.guid
        )
    assert await ledger(services, all_of_them) == await ledger(services, some)


async def test_nothing_of_a_file_is_imported_if_one_transaction_cannot_be_stored(
    services: Services, client: Keyed
) -> None:
    user = await make_user(services, client)
    huge = FileTransaction(FIRST_DAY, Decimal(10) ** 15, "x", "USD")
    with pytest.raises(UnreadableFile) as refused:
        await import_all(services, user, [file_of([[huge]], 0, 0)])
    assert refused.value.element == "amount"
    assert await ledger(services, user) == ([], [])
