"""Reads of clients and workers from the vault: data, refusals and disclosures."""

import pytest

from coatcheck.app import Services
from coatcheck.errors import InsufficientScope, NotFound
from coatcheck.ids import new
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import User
from coatcheck.vault.vault import AccountNumbers, ClientReader, SecretKind, WorkerReader
from tests.disclosures import disclosures, round_trips
from tests.factories import Keyed, make_account, make_client, make_user


async def test_every_read_of_a_client_is_one_round_trip_and_writes_one_disclosure(
    services: Services, client: Keyed, account: Account
) -> None:
    vault = services.vault
    async with services.db.transaction() as connection:
        await vault.store_secret(
            connection,
            owner_guid=account.user_guid,
            record_guid="STA-1",
            kind=SecretKind.STATEMENT,
            value=b"%PDF",
        )
    by_client = ClientReader(client.guid, account.user_guid)
    async with services.db.connection() as connection:
        for act in (
            lambda: vault.disclose_numbers(connection, by_client),
            lambda: vault.disclose_owners(connection, by_client),
            lambda: vault.disclose_secret(
                connection,
                owner_guid=account.user_guid,
                record_guid="STA-1",
                kind=SecretKind.STATEMENT,
                reader=by_client,
            ),
        ):
            before = len(await disclosures(services, account.user_guid))
            assert await round_trips(connection, act) == 1
            assert len(await disclosures(services, account.user_guid)) == before + 1


async def test_a_client_read_is_limited_to_the_given_member_or_account(
    services: Services, client: Keyed, user: User
) -> None:
    first = await make_account(services, user, account_number="1111111111")
    second = await make_account(services, user, account_number="2222222222")

    async def numbers(**scope: str) -> list[str | None]:
        async with services.db.connection() as connection:
            listing = await services.vault.disclose_numbers(
                connection, ClientReader(client.guid, user.guid, **scope)
            )
        assert listing.total == len(listing.items)
        return [item.account_number for item in listing.items]

    assert await numbers() == ["1111111111", "2222222222"]
    assert await numbers(member_guid=second.member_guid) == ["2222222222"]
    assert await numbers(account_guid=first.guid) == ["1111111111"]
    assert await numbers(member_guid=second.member_guid, account_guid=first.guid) == []


async def test_the_pages_of_a_client_read_have_a_stable_order(
    services: Services, client: Keyed, user: User, account: Account
) -> None:
    async with services.db.transaction() as connection:
        await services.vault.store_numbers(
            connection,
            user_guid=user.guid,
            member_guid=account.member_guid,
            numbers=[
                AccountNumbers(account_guid=account.guid, account_number=f"{place}") for place in range(12)
            ],
        )
    reader = ClientReader(client.guid, user.guid)
    seen = []
    async with services.db.connection() as connection:
        for number in (1, 2, 3, 4):
            listing = await services.vault.disclose_numbers(connection, reader, PageRequest(number, 5))
            assert (listing.total, listing.page) == (12, PageRequest(number, 5))
            seen.append([item.account_number for item in listing.items])
    assert seen == [["0", "1", "2", "3", "4"], ["5", "6", "7", "8", "9"], ["10", "11"], []]
    assert [count for *_, count in await disclosures(services, user.guid)] == [0, 2, 5, 5]


async def test_a_client_never_reads_a_user_of_another_client(services: Services, account: Account) -> None:
    other_client = await make_client(services)
    async with services.db.connection() as connection:
        for disclose in (services.vault.disclose_numbers, services.vault.disclose_owners):
            with pytest.raises(NotFound):
                await disclose(connection, ClientReader(other_client.guid, account.user_guid))
            with pytest.raises(NotFound):
                await disclose(connection, ClientReader(other_client.guid, "USR-nobody"))
    assert await disclosures(services, account.user_guid) == []


async def store_statement(services: Services, user: User) -> str:
    guid = new("STA")
    async with services.db.transaction() as connection:
        await services.vault.store_secret(
            connection, owner_guid=user.guid, record_guid=guid, kind=SecretKind.STATEMENT, value=b"%PDF-1.7"
        )
    return guid


async def test_a_client_reads_its_users_statement_and_no_other_secret(
    services: Services, client: Keyed, user: User
) -> None:
    guid = await store_statement(services, user)
    reader = ClientReader(client.guid, user.guid)
    async with services.db.connection() as connection:
        disclosed = await services.vault.disclose_secret(
            connection, owner_guid=user.guid, record_guid=guid, kind=SecretKind.STATEMENT, reader=reader
        )
        assert disclosed == b"%PDF-1.7"
        for kind in set(SecretKind) - {SecretKind.STATEMENT}:
            with pytest.raises(InsufficientScope):
                await services.vault.disclose_secret(
                    connection, owner_guid=user.guid, record_guid=guid, kind=kind, reader=reader
                )
    assert await disclosures(services, user.guid) == [(client.guid, client.guid, guid, "STATEMENT", 1)]


async def test_a_client_never_reads_a_statement_of_another_client(services: Services, user: User) -> None:
    guid = await store_statement(services, user)
    other_client = await make_client(services)
    own = await make_user(services, other_client)
    async with services.db.connection() as connection:
        with pytest.raises(InsufficientScope):
            await services.vault.disclose_secret(
                connection,
                owner_guid=user.guid,
                record_guid=guid,
                kind=SecretKind.STATEMENT,
                reader=ClientReader(other_client.guid, own.guid),
            )
        assert (
            await services.vault.disclose_secret(
                connection,
                owner_guid=user.guid,
                record_guid=guid,
                kind=SecretKind.STATEMENT,
                reader=ClientReader(other_client.guid, user.guid),
            )
            is None
        )
    assert await disclosures(services, user.guid) == []


async def test_a_worker_reads_a_secret_with_its_job_as_reader_and_none_if_there_is_none(
    services: Services, client: Keyed, user: User
) -> None:
    async with services.db.transaction() as connection:
        await services.vault.store_secret(
            connection,
            owner_guid=user.guid,
            record_guid="MBR-1",
            kind=SecretKind.CREDENTIALS,
            value=b"password",
        )
    async with services.db.connection() as connection:

        async def disclose(record_guid: str, kind: SecretKind) -> bytes | None:
            return await services.vault.disclose_secret(
                connection,
                owner_guid=user.guid,
                record_guid=record_guid,
                kind=kind,
                reader=WorkerReader("JOB-1", client.guid),
            )

        assert await disclose("MBR-1", SecretKind.CREDENTIALS) == b"password"
        assert await disclose("MBR-1", SecretKind.STATE) is None
        assert await disclose("MBR-2", SecretKind.CREDENTIALS) is None
    assert await disclosures(services, user.guid) == [("JOB-1", client.guid, "MBR-1", "CREDENTIALS", 1)]
