"""Who read what, for the user, the client and the auditor; and what the vault has without its contents."""

from datetime import UTC, datetime, timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.ids import new
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import User
from coatcheck.vault import user_reads, vault
from coatcheck.vault.grant_reads import actual_readers, list_reads
from coatcheck.vault.user_reads import UserRead, reads_of_user, sealed_secrets_of_user
from coatcheck.vault.vault import ClientReader, SecretKind, accounts_with_numbers, delete_expired_links
from tests.factories import Keyed, make_account, make_token, make_user

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2200, 1, 1, tzinfo=UTC)


async def read_with(services: Services, token: str, times: int = 1) -> None:
    for _ in range(times):
        await services.access.numbers(services.access.parse_token(token))


async def read_as_client(services: Services, client: Keyed, account: Account) -> None:
    async with services.db.connection() as connection:
        await services.vault.disclose_owners(
            connection, ClientReader(client.guid, account.user_guid, account_guid=account.guid)
        )


async def all_reads(services: Services, user_guid: str) -> list[list[UserRead]]:
    return [list(batch) async for batch in reads_of_user(services.db, user_guid)]


async def test_the_reads_of_a_user_come_in_batches_oldest_first_and_each_once(
    services: Services, client: Keyed, processor: Keyed, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_reads, "BATCH", 2)
    await read_as_client(services, client, account)
    await read_with(services, await make_token(services, account, processor), 4)
    await read_as_client(services, client, await make_account(services, await make_user(services, client)))
    batches = await all_reads(services, account.user_guid)
    assert [len(batch) for batch in batches] == [2, 2, 1]
    reads = [read for batch in batches for read in batch]
    assert [read.reader_guid for read in reads] == [client.guid, *[processor.guid] * 4]
    assert [read.at for read in reads] == sorted({read.at for read in reads})
    assert [read.token_guid is None for read in reads] == [True, False, False, False, False]


async def test_reads_of_one_instant_are_in_one_batch_or_the_other(
    services: Services, client: Keyed, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_reads, "BATCH", 2)
    async with services.db.connection() as connection:
        await connection.execute(
            """INSERT INTO disclosure (at, reader_guid, client_guid, user_guid, record_guid, what, shown)
               SELECT %(at)s, 'reader-' || n, %(client)s, %(user)s, %(user)s, 'owners', 0
               FROM generate_series(1, 5) n""",
            {"at": services.clock.instant(), "client": client.guid, "user": user.guid},
        )
    batches = await all_reads(services, user.guid)
    assert [len(batch) for batch in batches] == [2, 2, 1]
    readers = [read.reader_guid for batch in batches for read in batch]
    assert sorted(readers) == [f"reader-{n}" for n in range(1, 6)]


async def test_the_reads_of_grants_come_in_batches_in_the_order_of_the_grants_and_each_once(
    services: Services, processor: Keyed, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reads in (3, 0, 2, 4):
        await read_with(services, await make_token(services, account, processor), reads)
    async with services.db.connection() as connection:
        tokens = await services.tokens.list(connection, account.client_guid, account_guid=account.guid)
    guids = [each.guid for each in tokens]
    for size in (1, 2, 5, 9, 500):
        monkeypatch.setattr(user_reads, "BATCH", size)
        given = [(guid, LONG_AGO) for guid in guids]
        batches = [list(batch) async for batch in user_reads.reads_of_grants(services.db, given)]
        assert max(map(len, batches)) <= size
        reads = [read for batch in batches for read in batch]
        expected = [guids[0]] * 4 + [guids[1]] * 2 + [guids[3]] * 3
        assert [read.token_guid for read in reads] == expected
        assert len({read.at for read in reads}) == 9
        for guid in guids:
            times = [read.at for read in reads if read.token_guid == guid]
            assert times == sorted(times)


async def test_a_user_whose_data_nobody_read_has_no_batch(services: Services, user: User) -> None:
    assert await all_reads(services, user.guid) == []


async def test_the_reads_of_a_grant_are_listed_newest_first_from_an_instant_on(
    services: Services, processor: Keyed, account: Account
) -> None:
    token, other = [await make_token(services, account, processor) for _ in range(2)]
    await read_with(services, token, 3)
    await read_with(services, other)
    async with services.db.connection() as connection:
        newest, first = await services.tokens.list(connection, account.client_guid, account_guid=account.guid)
        page = await list_reads(connection, first.guid, LONG_AGO, PageRequest(size=2))
        assert (page.total, len(page.items)) == (3, 2)
        last = await list_reads(connection, first.guid, LONG_AGO, PageRequest(2, 2))
        times = [read.at for read in (*page.items, *last.items)]
        assert times == sorted(times, reverse=True)
        assert (await list_reads(connection, first.guid, times[1], PageRequest())).total == 2
        assert (await list_reads(connection, newest.guid, LONG_AGO, PageRequest())).total == 1
        (read,) = last.items
        assert (read.what, read.records) == ("ACCOUNT_NUMBERS", 1)


async def test_the_readers_of_a_period_are_those_who_read_one_of_the_records_in_it(
    services: Services, clock: MovableClock, client: Keyed, processor: Keyed, account: Account
) -> None:
    await read_as_client(services, client, account)
    clock.advance(timedelta(minutes=1))
    middle = clock.instant()
    token = await make_token(services, account, processor)
    await read_with(services, token, 2)
    other = await make_account(services, await make_user(services, client))
    await read_as_client(services, client, other)

    async def readers(guids: list[str], start: datetime, end: datetime) -> list[tuple[str, str, int]]:
        async with services.db.connection() as connection:
            found = await actual_readers(connection, account.user_guid, guids, start, end)
        assert all(start <= each.first_at <= each.last_at < end for each in found)
        return [(each.reader_guid, each.what, each.reads) for each in found]

    by_client, by_processor = (client.guid, "ACCOUNT_OWNERS", 1), (processor.guid, "ACCOUNT_NUMBERS", 2)
    assert await readers([account.guid], LONG_AGO, FAR_AHEAD) == [by_client, by_processor]
    assert await readers([account.guid], LONG_AGO, middle) == [by_client]
    assert await readers([account.guid], middle, FAR_AHEAD) == [by_processor]
    assert await readers(["ACT-other", account.guid], middle, FAR_AHEAD) == [by_processor]
    assert await readers(["ACT-other"], LONG_AGO, FAR_AHEAD) == []


async def test_the_secrets_of_a_user_are_counted_by_kind(
    services: Services, client: Keyed, user: User
) -> None:
    other = await make_user(services, client)
    async with services.db.transaction() as connection:
        for owner, kind, number in (
            (user, SecretKind.STATEMENT, 2),
            (user, SecretKind.CREDENTIALS, 1),
            (other, SecretKind.CREDENTIALS, 1),
        ):
            for _ in range(number):
                await services.vault.store_secret(
                    connection, owner_guid=owner.guid, record_guid=new("STA"), kind=kind, value=b"secret"
                )
        counts = await sealed_secrets_of_user(connection, user.guid)
    assert [(count.kind, count.number) for count in counts] == [("CREDENTIALS", 1), ("STATEMENT", 2)]


async def test_the_accounts_of_a_member_that_have_numbers_are_known_without_reading_them(
    services: Services, user: User
) -> None:
    account = await make_account(services, user)
    unverified = await make_account(services, user, account_number=None)
    async with services.db.connection() as connection:
        assert await accounts_with_numbers(connection, user.guid, account.member_guid) == {account.guid}
        assert await accounts_with_numbers(connection, user.guid, unverified.member_guid) == frozenset()
        assert await accounts_with_numbers(connection, "USR-other", account.member_guid) == frozenset()


@pytest.mark.own_database
async def test_the_options_of_links_that_were_created_before_an_instant_are_deleted(
    services: Services, user: User
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    async with services.db.transaction() as connection:
        for record_guid, kind in ((new("LNK"), SecretKind.LINK), (new("STA"), SecretKind.STATEMENT)):
            await services.vault.store_secret(
                connection, owner_guid=user.guid, record_guid=record_guid, kind=kind, value=b"options"
            )
        after = datetime.now(UTC) + timedelta(milliseconds=1)
        assert await delete_expired_links(connection, before) == 0
        assert await delete_expired_links(connection, after) == 1
        assert [each.kind for each in await sealed_secrets_of_user(connection, user.guid)] == ["STATEMENT"]


@pytest.mark.own_database
async def test_the_options_of_links_are_deleted_in_batches_without_waiting_for_a_user_that_is_deleted(
    services: Services, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "EXPIRED_LINKS", 2)
    links = [new("LNK") for _ in range(6)]
    async with services.db.transaction() as connection:
        for link in links:
            await services.vault.store_secret(
                connection, owner_guid=user.guid, record_guid=link, kind=SecretKind.LINK, value=b"options"
            )
    after = datetime.now(UTC) + timedelta(milliseconds=1)
    async with services.db.transaction() as holding, services.db.connection() as connection:
        await holding.execute("SELECT FROM sealed_secret WHERE record_guid = %s FOR UPDATE", (links[0],))
        assert await delete_expired_links(connection, after) == 5
