"""Reads with a token: the data, the refusals, and the disclosure of each read."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import ClassVar, Self

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.db.database import Connection
from coatcheck.directory.client_rows import set_client_disabled
from coatcheck.directory.processor_rows import set_processor_disabled
from coatcheck.directory.user_rows import remove_user
from coatcheck.errors import CoatcheckError, Forbidden, InsufficientScope, InvalidToken, Refusal
from coatcheck.grants.access import MAX_PAGES, Access
from coatcheck.grants.access_statements import (
    Statement,
    numbers_statement,
    owners_statement,
    payment_account_statement,
)
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.grants.restrictions import RESTRICTIONS, ReadKind, Restriction
from coatcheck.members.account_rows import delete_account
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from coatcheck.model.transactions import TransactionFilter
from coatcheck.model.users import User
from coatcheck.vault.vault import AccountNumbers, AccountOwner, ClientReader
from tests.disclosures import OneConnection, disclosures, round_trips
from tests.factories import Keyed, make_account, make_processor, make_token, make_transaction

EVERYTHING = TransactionFilter()
OF_SOME_DAYS = TransactionFilter(from_date=date(2026, 1, 1), to_date=date(2026, 12, 31))
FULL = AccountNumbers(
    account_guid="",
    account_number="00123456789012345",
    routing_number="021000021",
    institution_number="003",
    transit_number="00192",
    loan_guarantor="DEPT OF EDUCATION",
    loan_reference_number="A-17",
    sequence_number="07",
    passed_validation=False,
)


@pytest.fixture
async def reader(services: Services, account: Account, processor: Keyed) -> PresentedToken:
    return presented(services, await make_token(services, account, processor))


def presented(services: Services, token: str) -> PresentedToken:
    return services.access.parse_token(token)


async def test_a_token_reads_every_field_of_the_numbers_unchanged(
    services: Services, account: Account, reader: PresentedToken
) -> None:
    values = {name: getattr(FULL, name) for name in AccountNumbers.__slots__}
    async with services.db.transaction() as connection:
        await services.vault.store_numbers(
            connection,
            user_guid=account.user_guid,
            member_guid=account.member_guid,
            numbers=[
                AccountNumbers(**values | {"account_guid": account.guid}),
                AccountNumbers(account_guid=account.guid, account_number="7"),
            ],
        )
    page = await services.access.numbers(reader)
    first, second = page.items
    assert first == AccountNumbers(
        **values
        | {
            "account_guid": account.guid,
            "guid": first.guid,
            "user_guid": account.user_guid,
            "member_guid": account.member_guid,
        }
    )
    assert first.guid.startswith("ACN-")
    assert (second.account_number, second.routing_number, second.passed_validation) == ("7", None, True)
    assert page.total == 2
    assert page.token.account_guid == account.guid


async def test_every_read_returns_its_page_and_its_token(
    services: Services, account: Account, reader: PresentedToken
) -> None:
    page = PageRequest(size=10, number=2)
    reads = [
        await services.access.numbers(reader, page),
        await services.access.owners(reader, page),
        await services.access.transactions(reader, EVERYTHING, page),
    ]
    assert [read and (read.page, read.token.account_guid) for read in reads] == [(page, account.guid)] * 3


async def test_a_token_reads_the_owners_unchanged(
    services: Services, account: Account, reader: PresentedToken
) -> None:
    owner = {
        "owner_name": "Ana María Ñandú",
        "first_name": "Ana",
        "last_name": "Ñandú",
        "address": "1 Main St",
        "city": "Lehi",
        "state": "UT",
        "postal_code": "01234",
        "country": "US",
        "email": "ana@example.com",
        "phone": "+18015550100",
    }
    async with services.db.transaction() as connection:
        await services.vault.store_owners(
            connection,
            user_guid=account.user_guid,
            member_guid=account.member_guid,
            owners=[AccountOwner(account_guid=account.guid, **owner)],
        )
    (read,) = (await services.access.owners(reader)).items
    assert {name: getattr(read, name) for name in owner} == owner
    assert read.guid.startswith("ACO-")


async def test_a_token_reads_no_other_account_of_the_same_user(
    services: Services, user: User, reader: PresentedToken
) -> None:
    await make_account(services, user, account_number="9999999999")
    page = await services.access.numbers(reader)
    assert [numbers.account_number for numbers in page.items] == ["1234567890"]


async def test_every_read_is_disclosed_under_the_readers_guid(
    services: Services, client: Keyed, processor: Keyed, account: Account, reader: PresentedToken
) -> None:
    async with services.db.connection() as connection:
        await services.access.numbers(reader)
        await services.access.owners(reader)
        await services.vault.disclose_numbers(connection, ClientReader(client.guid, account.user_guid))
    assert await disclosures(services, account.user_guid) == [
        (client.guid, client.guid, account.user_guid, "ACCOUNT_NUMBERS", 1),
        (processor.guid, client.guid, account.guid, "ACCOUNT_NUMBERS", 1),
        (processor.guid, client.guid, account.guid, "ACCOUNT_OWNERS", 1),
    ]


async def test_every_read_is_one_round_trip_and_writes_one_disclosure(
    services: Services, processor: Keyed, account: Account, reader: PresentedToken
) -> None:
    async with services.db.connection() as connection:
        access = Access(
            services.clock, OneConnection(connection), b"unused", services.vault, services.journal
        )
        for kind, read in (
            ("ACCOUNT_NUMBERS", lambda: access.numbers(reader)),
            ("ACCOUNT_OWNERS", lambda: access.owners(reader)),
            ("TRANSACTIONS", lambda: access.transactions(reader, EVERYTHING)),
            ("BALANCES_AND_ACCOUNT_NUMBERS", lambda: access.payment_account(reader)),
        ):
            before = await disclosures(services, account.user_guid)
            assert await round_trips(connection, read) == 1
            (written,) = Counter(await disclosures(services, account.user_guid)) - Counter(before)
            assert written[:4] == (processor.guid, account.client_guid, account.guid, kind)
        assert await round_trips(connection, lambda: connection.execute("SELECT 1; SELECT 2")) == 1
        assert await round_trips(connection, lambda: two_statements(connection)) == 2


async def test_the_rows_of_a_list_are_counted_once_and_not_for_each_row_of_its_page(
    services: Services, account: Account, reader: PresentedToken
) -> None:
    count, size = 200, 50
    for number in range(count):
        await make_transaction(services, account, description=f"Coffee {number}")
    async with services.db.transaction() as connection:
        access = Access(
            services.clock, OneConnection(connection), b"unused", services.vault, services.journal
        )
        page = await access.transactions(reader, EVERYTHING, PageRequest(size=size))
        assert page is not None
        assert (len(page.items), page.total) == (size, count)
        cursor = await connection.execute(
            """SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::int
               FROM pg_stat_xact_user_tables WHERE relname ~ '^transaction(_|$)'"""
        )
        row = await cursor.fetchone()
    assert row is not None
    # The page is sorted from all rows, or read from an index.
    assert size <= row[0] <= 2 * count


@pytest.mark.parametrize(
    ("filters", "page", "expected"),
    [
        (OF_SOME_DAYS, PageRequest(), 1),
        (OF_SOME_DAYS, PageRequest(2, 10), 1),
        # It may read the whole list, and must not hold up the others.
        (replace(OF_SOME_DAYS, status="POSTED"), PageRequest(), MAX_PAGES),
    ],
)
async def test_pages_of_transactions_that_arrive_together_are_one_statement_unless_they_are_filtered(
    services: Services,
    account: Account,
    reader: PresentedToken,
    *,
    filters: TransactionFilter,
    page: PageRequest,
    expected: int,
) -> None:
    async with services.db.connection() as connection:
        access = Access(
            services.clock, OneConnection(connection), b"unused", services.vault, services.journal
        )

        async def read() -> None:
            await asyncio.gather(*(access.transactions(reader, filters, page) for _ in range(MAX_PAGES)))

        assert await round_trips(connection, read) == expected
    assert len(await disclosures(services, account.user_guid)) == MAX_PAGES


async def two_statements(connection: Connection) -> None:
    await connection.execute("SELECT 1")
    await connection.execute("SELECT 2")


@pytest.mark.parametrize(
    "statement",
    [numbers_statement, owners_statement, payment_account_statement],
)
def test_psycopg_keeps_the_parsed_form_of_every_short_read(statement: Callable[[], Statement]) -> None:
    assert len(statement().uncounted.sql) <= 4_096


async def test_an_unknown_token_is_refused(services: Services, reader: PresentedToken) -> None:
    await every_read_is_refused(services, PresentedToken(b"?" * 32, reader.period), InvalidToken)
    await every_read_is_refused(services, PresentedToken(reader.hash, reader.period + 1), InvalidToken)


async def numbers_and_owners_are_refused(
    services: Services, reader: PresentedToken, error: type[CoatcheckError]
) -> None:
    for read in (services.access.numbers, services.access.owners):
        with pytest.raises(error):
            await read(reader)


async def every_read_is_refused(
    services: Services, reader: PresentedToken, error: type[CoatcheckError]
) -> None:
    await numbers_and_owners_are_refused(services, reader, error)
    async with services.db.connection() as connection:
        with pytest.raises(error):
            await services.access.transactions(reader, EVERYTHING)
        with pytest.raises(error):
            await services.access.payment_account(reader)
        for kind in ReadKind:
            with pytest.raises(error):
                await services.access.authorize(connection, reader, kind)


async def test_an_expired_token_is_refused_and_nothing_is_disclosed(
    services: Services, clock: MovableClock, account: Account, processor: Keyed, reader: PresentedToken
) -> None:
    clock.advance(services.settings.token_ttl - timedelta(seconds=60))
    await services.access.numbers(reader)
    clock.advance(timedelta(seconds=61))
    await every_read_is_refused(services, reader, InvalidToken)
    assert len(await disclosures(services, account.user_guid)) == 1


async def test_without_read_protected_numbers_and_owners_are_refused_and_nothing_is_disclosed(
    services: Services, account: Account, processor: Keyed
) -> None:
    token = await make_token(services, account, processor, reads_protected=False)
    await numbers_and_owners_are_refused(services, presented(services, token), InsufficientScope)
    assert await disclosures(services, account.user_guid) == []


async def test_a_token_is_invalid_while_its_processor_or_client_is_disabled_and_after_its_account_is_deleted(
    services: Services, client: Keyed, processor: Keyed, user: User, account: Account, reader: PresentedToken
) -> None:
    async with services.db.connection() as connection:
        await set_processor_disabled(connection, processor.guid, is_disabled=True)
        await every_read_is_refused(services, reader, InvalidToken)
        await set_processor_disabled(connection, processor.guid, is_disabled=False)
        await set_client_disabled(connection, client.guid, is_disabled=True)
        await every_read_is_refused(services, reader, InvalidToken)
        await set_client_disabled(connection, client.guid, is_disabled=False)
        await services.access.numbers(reader)
        await delete_account(connection, user.guid, account.guid)
        await every_read_is_refused(services, reader, InvalidToken)
    assert len(await disclosures(services, user.guid)) == 1


async def test_a_disclosure_can_be_neither_changed_nor_deleted(
    services: Services, account: Account, reader: PresentedToken
) -> None:
    async with services.db.connection() as connection:
        await services.access.numbers(reader)
        for statement in ("UPDATE disclosure SET shown = 0", "DELETE FROM disclosure"):
            with pytest.raises(Exception, match="append only"):
                await connection.execute(f"{statement} WHERE user_guid = %s", (account.user_guid,))
        await remove_user(connection, account.user_guid)
    assert len(await disclosures(services, account.user_guid)) == 1


async def test_no_repr_contains_what_was_read(services: Services, reader: PresentedToken) -> None:
    numbers = await services.access.numbers(reader)
    owners = await services.access.owners(reader)
    assert numbers.items[0].account_number == "1234567890"
    assert "1234567890" not in repr(numbers)
    assert owners.items[0].owner_name == "Ada Example"
    assert "Ada" not in repr(owners)
    assert repr(reader.hash) not in repr(reader)


async def test_without_read_protected_a_payment_account_has_no_numbers_and_discloses_only_balances(
    services: Services, client: Keyed, account: Account, processor: Keyed
) -> None:
    unprotected = presented(services, await make_token(services, account, processor, reads_protected=False))
    read = await services.access.payment_account(unprotected)
    assert (read.account.guid, read.account.balance, read.numbers) == (
        account.guid,
        account.balance,
        None,
    )
    full = presented(services, await make_token(services, account, processor))
    read = await services.access.payment_account(full)
    assert read.numbers is not None
    assert read.numbers.account_number == "1234567890"
    assert await disclosures(services, account.user_guid) == [
        (processor.guid, client.guid, account.guid, "BALANCES", 1),
        (processor.guid, client.guid, account.guid, "BALANCES_AND_ACCOUNT_NUMBERS", 1),
    ]


async def test_a_payment_account_without_stored_numbers_discloses_only_balances(
    services: Services, account: Account, reader: PresentedToken
) -> None:
    async with services.db.connection() as connection:
        await connection.execute("DELETE FROM account_number WHERE account_guid = %s", (account.guid,))
        assert (await services.access.payment_account(reader)).numbers is None
    assert [kind for *_, kind, _ in await disclosures(services, account.user_guid)] == ["BALANCES"]


async def test_an_empty_page_is_disclosed_once_with_a_count_of_zero(
    services: Services, client: Keyed, processor: Keyed, account: Account, reader: PresentedToken
) -> None:
    found = await services.access.transactions(reader, EVERYTHING)
    assert found is not None
    assert (found.total, list(found.items)) == (0, [])
    beyond = await services.access.numbers(reader, PageRequest(9, 25))
    assert (beyond.total, list(beyond.items)) == (1, [])
    assert await disclosures(services, account.user_guid) == [
        (processor.guid, client.guid, account.guid, "ACCOUNT_NUMBERS", 0),
        (processor.guid, client.guid, account.guid, "TRANSACTIONS", 0),
    ]


async def test_only_transactions_of_the_tokens_account_are_paged_and_counted(
    services: Services, user: User, account: Account, reader: PresentedToken
) -> None:
    for number in range(7):
        await make_transaction(services, account, id=f"own-{number}")
    await make_transaction(services, await make_account(services, user), id="another account's")
    seen = []
    for number, size in ((1, 3), (2, 3), (3, 3), (4, 3), (1, 7), (1, 25)):
        page = await services.access.transactions(reader, EVERYTHING, PageRequest(number, size))
        assert page is not None
        assert page.total == 7
        seen.append([each.id for each in page.items])
    assert [len(page) for page in seen] == [3, 3, 1, 0, 7, 7]
    assert seen[0] + seen[1] + seen[2] == seen[4] == seen[5]
    assert set(seen[4]) == {f"own-{number}" for number in range(7)}
    assert sorted(count for *_, count in await disclosures(services, user.guid)) == [0, 1, 3, 3, 7, 7]


async def test_a_processor_registered_for_owners_at_transactions_reads_no_transactions(
    services: Services, client: Keyed, account: Account
) -> None:
    registered = await make_processor(services, client, owners_at_transactions=True)
    reader = presented(services, await make_token(services, account, registered))
    assert await services.access.transactions(reader, EVERYTHING) is None
    assert await disclosures(services, account.user_guid) == []


async def test_authorizing_a_request_reads_nothing_and_discloses_nothing(
    services: Services, account: Account, processor: Keyed, reader: PresentedToken
) -> None:
    async with services.db.connection() as connection:
        token = await services.access.authorize(connection, reader, ReadKind.BALANCES)
        assert (token.account_guid, token.processor_guid) == (account.guid, processor.guid)
        unprotected = presented(
            services, await make_token(services, account, processor, reads_protected=False)
        )
        with pytest.raises(InsufficientScope):
            await services.access.authorize(connection, unprotected, ReadKind.NUMBERS)
    assert await disclosures(services, account.user_guid) == []


# --- what any restriction can do, tested with restrictions that store nothing ----------------------------------


class TestOnly(Restriction):
    """A restriction without an atom of its own."""

    __test__ = False
    atom = "test-only"

    @classmethod
    def parse(cls, atoms: Mapping[str, Sequence[str]]) -> Self:
        return cls()

    def atoms(self) -> Sequence[str]:
        return []

    def stored(self) -> Mapping[str, object]:
        return {}


@dataclass(frozen=True)
class OnlyLarge(TestOnly):
    """Hides transactions of less than 100."""

    @classmethod
    def narrows(cls, kind: ReadKind) -> str | None:
        return "n.amount >= 100" if kind is ReadKind.TRANSACTIONS else None


@dataclass(frozen=True)
class Unknown(TestOnly):
    """A condition that is NULL."""

    refusal: ClassVar[type[Refusal]] = Forbidden

    @classmethod
    def permits(cls, kind: ReadKind) -> str | None:
        return "NULL::boolean" if kind is ReadKind.TRANSACTIONS else None


@dataclass(frozen=True)
class OnlyOnce(TestOnly):
    """Counts reads, here in the name of the processor, and admits the first."""

    refusal: ClassVar[type[Refusal]] = Forbidden

    @classmethod
    def admits(cls, source: str, name: str) -> str | None:
        return f"""{name} AS (UPDATE processor p SET name = 'read' FROM {source} r
                              WHERE p.guid = r.processor_guid AND p.name <> 'read' RETURNING r.*)"""


def restricted(services: Services, *more: type[Restriction]) -> Access:
    return Access(
        services.clock,
        services.db,
        b"unused: the token is parsed already",
        services.vault,
        services.journal,
        (*RESTRICTIONS, *more),
    )


async def test_a_restriction_narrows_the_rows_the_total_and_the_disclosure_of_its_kind(
    services: Services, account: Account, reader: PresentedToken
) -> None:
    for amount in (1, 99, 100, 250):
        await make_transaction(services, account, id=str(amount), amount=amount)
    access = restricted(services, OnlyLarge)
    page = await access.transactions(reader, EVERYTHING, PageRequest(1, 1))
    whole = await access.transactions(reader, EVERYTHING)
    assert (await access.numbers(reader)).total == 1
    assert page is not None
    assert whole is not None
    assert (page.total, whole.total, {each.id for each in whole.items}) == (2, 2, {"100", "250"})
    counts = [count for *_, kind, count in await disclosures(services, account.user_guid) if kind[0] == "T"]
    assert counts == [1, 2]


async def test_a_restriction_whose_condition_is_null_refuses(
    services: Services, account: Account, reader: PresentedToken
) -> None:
    access = restricted(services, Unknown)
    with pytest.raises(Forbidden):
        await access.transactions(reader, EVERYTHING)
    assert await disclosures(services, account.user_guid) == []
    assert (await access.numbers(reader)).total == 1


async def test_a_restriction_that_counts_admits_in_the_statement_that_reads(
    services: Services, account: Account, processor: Keyed, reader: PresentedToken
) -> None:
    access = restricted(services, OnlyOnce)
    unprotected = presented(services, await make_token(services, account, processor, reads_protected=False))
    with pytest.raises(InsufficientScope):
        await access.numbers(unprotected)  # refused, so not counted
    assert (await access.numbers(reader)).total == 1
    for read in (access.numbers, access.owners, access.payment_account):
        with pytest.raises(Forbidden):
            await read(reader)
    with pytest.raises(Forbidden):
        await access.transactions(reader, EVERYTHING)
    assert len(await disclosures(services, account.user_guid)) == 1
