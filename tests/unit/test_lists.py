"""Long lists: a page, the last page and a filtered one read about as many rows as they return."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.members.account_rows import delete_account, merge_accounts
from coatcheck.model import paging
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest, Selection, fetch_page
from coatcheck.model.transactions import Transaction, TransactionFilter, list_transactions
from coatcheck.model.users import User, list_users
from tests.factories import Keyed, make_account, make_transaction, make_user
from tests.rows_read import rows_read

FIRST_DAY = date(2026, 1, 1)
DAYS, EACH_DAY = 50, 40


@dataclass(frozen=True)
class Number:
    guid: int


@pytest.fixture
async def user(services: Services, client: Keyed) -> User:
    return await make_user(services, client)


@pytest.fixture
async def accounts(services: Services, user: User) -> list[Account]:
    return [await make_account(services, user) for _ in range(2)]


async def fill(connection: Connection, account: Account) -> None:
    """2,000 transactions: 40 on each of 50 days."""
    await connection.execute(
        """INSERT INTO transaction (user_guid, guid, member_guid, account_guid, id, amount, type, status, date,
                                    category, category_guid, top_level_category, top_level_category_guid,
                                    created_at, updated_at)
           SELECT %(user)s, 'TRN-' || gen_random_uuid(), %(member)s, %(account)s, n, 1, 'DEBIT', 'POSTED',
                  %(day)s::date + n %% %(days)s, 'Groceries', 'CAT-1', 'Food', 'CAT-2', now(), now()
           FROM generate_series(0, %(days)s * %(each_day)s - 1) n""",
        {
            "user": account.user_guid,
            "member": account.member_guid,
            "account": account.guid,
            "day": FIRST_DAY,
            "days": DAYS,
            "each_day": EACH_DAY,
        },
    )


async def whole_list(connection: Connection, user: User, filters: TransactionFilter) -> list[Transaction]:
    """By one page."""
    page = await list_transactions(connection, user.guid, PageRequest(size=10_000), filters)
    assert page.total == len(page.items)
    return list(page.items)


async def pages_are_those_of_the_list(
    connection: Connection, user: User, filters: TransactionFilter, expected: list[Transaction], size: int
) -> None:
    for number in range(1, len(expected) // size + 3):
        request = PageRequest(number, size)
        page = await list_transactions(connection, user.guid, request, filters)
        assert (list(page.items), page.total) == (
            expected[request.offset : request.offset + size],
            len(expected),
        )


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"from_date": FIRST_DAY + timedelta(days=3)},
        {"to_date": FIRST_DAY + timedelta(days=40)},
        {"from_date": FIRST_DAY + timedelta(days=9), "to_date": FIRST_DAY + timedelta(days=10)},
        {"from_date": FIRST_DAY + timedelta(days=DAYS)},
        {"status": "POSTED"},
        {"category_guids": ["CAT-other"]},
    ],
)
@pytest.mark.parametrize("of_account", [False, True])
async def test_the_pages_and_the_total_are_those_of_the_whole_list(
    services: Services, user: User, accounts: list[Account], filters: dict[str, Any], of_account: bool
) -> None:
    given = TransactionFilter(
        **filters,
        account_guid=accounts[1].guid if of_account else None,
        member_guid=accounts[1].member_guid if of_account else None,
    )
    async with services.db.transaction() as connection:
        for account in accounts:
            await fill(connection, account)
        expected = await whole_list(connection, user, given)
        assert expected == sorted(expected, key=lambda each: (each.date, each.guid), reverse=True)
        await pages_are_those_of_the_list(connection, user, given, expected, size=499)


async def test_the_total_follows_every_change(
    services: Services, user: User, accounts: list[Account]
) -> None:
    kept, other = accounts
    for account in accounts:
        for number in range(30):
            await make_transaction(services, account, date=FIRST_DAY + timedelta(days=number))

    async def check(total: int) -> None:
        everything = TransactionFilter()
        expected = await whole_list(connection, user, everything)
        assert len(expected) == total
        await pages_are_those_of_the_list(connection, user, everything, expected, size=7)

    async with services.db.transaction() as connection:
        await check(60)
        await connection.execute(
            "UPDATE transaction SET date = date + 45 WHERE account_guid = %s AND date < %s",
            (kept.guid, FIRST_DAY + timedelta(days=10)),
        )
        await check(60)
        await connection.execute("UPDATE transaction SET description = 'the same day'")
        await check(60)
        await connection.execute(
            "DELETE FROM transaction WHERE account_guid = %s AND date > %s",
            (other.guid, FIRST_DAY + timedelta(days=19)),
        )
        await check(50)
        await merge_accounts(connection, kept, [other], services.clock.now())
        await check(50)
        await delete_account(connection, user.guid, kept.guid)
        await check(0)


@pytest.mark.parametrize("filters", [{}, {"to_date": FIRST_DAY + timedelta(days=20)}])
@pytest.mark.parametrize("of_account", [False, True])
async def test_the_last_page_reads_the_transactions_of_one_day_at_most(
    services: Services, user: User, accounts: list[Account], filters: dict[str, Any], of_account: bool
) -> None:
    size = 10
    given = TransactionFilter(**filters, account_guid=accounts[0].guid if of_account else None)
    async with services.db.connection() as connection:
        for account in accounts:
            await fill(connection, account)
        await connection.execute("VACUUM ANALYZE transaction")
        total = (await list_transactions(connection, user.guid, PageRequest(size=1), given)).total
        for number in (1, total // size // 2, total // size):
            async with rows_read(connection) as read:
                await list_transactions(connection, user.guid, PageRequest(number, size), given)
            # Of each account one day and one page, then the rows themselves.
            assert read["transaction"] <= len(accounts) * (EACH_DAY + size) + size


async def test_a_page_of_users_reads_no_others(services: Services, client: Keyed, user: User) -> None:
    async with services.db.connection() as connection:
        await connection.execute(
            """INSERT INTO client (guid, name, created_at) VALUES ('CLT-large', 'Large', now())"""
        )
        await connection.execute(
            """INSERT INTO end_user (guid, client_guid, id, email, created_at)
               SELECT 'USR-' || gen_random_uuid(), 'CLT-large', n, n || '@example.com', now()
               FROM generate_series(1, 3000) n"""
        )
        await connection.execute("VACUUM ANALYZE end_user")
        for filters in ({}, {"id": "77"}, {"email": "77@example.com"}, {"is_disabled": True}):
            async with rows_read(connection) as read:
                await list_users(connection, "CLT-large", PageRequest(size=20), **filters)
            counted = 0 if filters else 3000
            assert read["end_user"] <= 20 + counted
        async with rows_read(connection) as read:
            page = await list_users(connection, client.guid, PageRequest(size=20))
        assert page.items == [user]
        assert read["end_user"] == 1


async def test_a_page_in_the_second_half_of_a_long_list_is_read_from_the_end(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "LONG", 100)
    selection = Selection("(SELECT n AS guid FROM generate_series(1, 1003) AS n) AS numbers", ("guid DESC",))
    async with services.db.connection() as connection:
        for number in (1, 9, 10, 11, 51, 99, 100, 101, 102):
            page = await fetch_page(connection, Number, selection, PageRequest(number, 10))
            expected = list(range(1003, 0, -1))[(number - 1) * 10 : number * 10]
            assert ([each.guid for each in page.items], page.total) == (expected, 1003)
