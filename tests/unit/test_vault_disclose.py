"""The vault's exits: who is shown what, who is refused, and what is written down about it."""

import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from psycopg.pq import Trace

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.db.database import Connection
from coatcheck.errors import CoatcheckError, InsufficientScope, InvalidToken, NotFound
from coatcheck.ids import new
from coatcheck.members.account_rows import delete_account
from coatcheck.model.accounts import Account
from coatcheck.model.clients import set_client_disabled, set_processor_disabled
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import User, remove_user
from coatcheck.vault.vault import (
    AccountNumbers,
    AccountOwner,
    ClientReader,
    SecretKind,
    TokenReader,
    WorkerReader,
)
from tests.factories import Keyed, make_account, make_client, make_token, make_user

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
async def reader(services: Services, account: Account, processor: Keyed) -> TokenReader:
    return reads(services, await make_token(services, account, processor))


def reads(services: Services, token: str) -> TokenReader:
    presented = services.issuer.present(token)
    return TokenReader(presented.period, presented.hash, services.clock.now())


async def disclosures(services: Services, user_guid: str) -> list[tuple[Any, ...]]:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT reader_guid, client_guid, record_guid, what, shown FROM disclosure
               WHERE user_guid = %s ORDER BY what, reader_guid, shown""",
            (user_guid,),
        )
        return await cursor.fetchall()


async def round_trips(connection: Connection, act: Callable[[], Awaitable[object]]) -> int:
    """How often the server said that it was ready for the next query, read off the wire by libpq itself."""
    with tempfile.TemporaryFile() as trace:
        connection.pgconn.trace(trace.fileno())
        connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            await act()
        finally:
            connection.pgconn.untrace()
        trace.seek(0)
        return trace.read().count(b"\tReadyForQuery")


async def test_a_token_is_shown_every_field_as_it_was_kept(
    services: Services, account: Account, reader: TokenReader
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
    async with services.db.connection() as connection:
        shown = await services.vault.disclose_numbers(connection, reader)
    first, second = shown.items
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
    assert shown.total == 2
    assert shown.token.account_guid == account.guid


async def test_a_token_is_shown_the_owners_as_they_were_kept(
    services: Services, account: Account, reader: TokenReader
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
    async with services.db.connection() as connection:
        (shown,) = (await services.vault.disclose_owners(connection, reader)).items
    assert {name: getattr(shown, name) for name in owner} == owner
    assert shown.guid.startswith("ACO-")


async def test_a_token_never_reaches_another_account_of_the_same_user(
    services: Services, user: User, reader: TokenReader
) -> None:
    await make_account(services, user, account_number="9999999999")
    async with services.db.connection() as connection:
        shown = await services.vault.disclose_numbers(connection, reader)
    assert [numbers.account_number for numbers in shown.items] == ["1234567890"]


async def test_every_showing_is_written_down(
    services: Services, client: Keyed, processor: Keyed, account: Account, reader: TokenReader
) -> None:
    async with services.db.connection() as connection:
        await services.vault.disclose_numbers(connection, reader)
        await services.vault.disclose_owners(connection, reader)
        await services.vault.disclose_numbers(connection, ClientReader(client.guid, account.user_guid))
    assert await disclosures(services, account.user_guid) == [
        (client.guid, client.guid, account.user_guid, "ACCOUNT_NUMBERS", 1),
        (processor.guid, client.guid, account.guid, "ACCOUNT_NUMBERS", 1),
        (processor.guid, client.guid, account.guid, "ACCOUNT_OWNERS", 1),
    ]


async def test_every_showing_is_one_round_trip_with_its_disclosure(
    services: Services, client: Keyed, account: Account, reader: TokenReader
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
            lambda: vault.disclose_numbers(connection, reader),
            lambda: vault.disclose_owners(connection, reader),
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
        assert await round_trips(connection, lambda: connection.execute("SELECT 1; SELECT 2")) == 1
        assert await round_trips(connection, lambda: _two(connection)) == 2


async def _two(connection: Connection) -> None:
    await connection.execute("SELECT 1")
    await connection.execute("SELECT 2")


async def test_an_unknown_token_is_refused(services: Services, reader: TokenReader) -> None:
    await refused(services, TokenReader(reader.expires_week, b"?" * 32, reader.now), InvalidToken)
    await refused(services, TokenReader(reader.expires_week + 1, reader.token_hash, reader.now), InvalidToken)


async def refused(services: Services, reader: TokenReader, error: type[CoatcheckError]) -> None:
    async with services.db.connection() as connection:
        with pytest.raises(error):
            await services.vault.disclose_numbers(connection, reader)
        with pytest.raises(error):
            await services.vault.disclose_owners(connection, reader)


async def test_an_expired_token_is_refused_and_nothing_is_disclosed(
    services: Services, clock: MovableClock, account: Account, processor: Keyed, reader: TokenReader
) -> None:
    clock.advance(services.settings.token_ttl - timedelta(seconds=60))
    async with services.db.connection() as connection:
        await services.vault.disclose_numbers(
            connection, TokenReader(reader.expires_week, reader.token_hash, clock.now())
        )
    clock.advance(timedelta(seconds=61))
    await refused(services, TokenReader(reader.expires_week, reader.token_hash, clock.now()), InvalidToken)
    assert len(await disclosures(services, account.user_guid)) == 1


async def test_a_token_that_reads_no_protected_data_is_refused_and_nothing_is_disclosed(
    services: Services, account: Account, processor: Keyed
) -> None:
    token = await make_token(services, account, processor, reads_protected=False)
    await refused(services, reads(services, token), InsufficientScope)
    assert await disclosures(services, account.user_guid) == []


async def test_a_token_dies_with_whatever_it_depends_on(
    services: Services, client: Keyed, processor: Keyed, user: User, account: Account, reader: TokenReader
) -> None:
    async with services.db.connection() as connection:
        await set_processor_disabled(connection, processor.guid, is_disabled=True)
        await refused(services, reader, InvalidToken)
        await set_processor_disabled(connection, processor.guid, is_disabled=False)
        await set_client_disabled(connection, client.guid, is_disabled=True)
        await refused(services, reader, InvalidToken)
        await set_client_disabled(connection, client.guid, is_disabled=False)
        await services.vault.disclose_numbers(connection, reader)
        await delete_account(connection, user.guid, account.guid)
        await refused(services, reader, InvalidToken)
    assert len(await disclosures(services, user.guid)) == 1


async def test_a_client_reads_as_far_down_as_it_asks(services: Services, client: Keyed, user: User) -> None:
    first = await make_account(services, user, account_number="1111111111")
    second = await make_account(services, user, account_number="2222222222")

    async def numbers(**below: str) -> list[str | None]:
        async with services.db.connection() as connection:
            listing = await services.vault.disclose_numbers(
                connection, ClientReader(client.guid, user.guid, **below)
            )
        assert listing.total == len(listing.items)
        return [item.account_number for item in listing.items]

    assert await numbers() == ["1111111111", "2222222222"]
    assert await numbers(member_guid=second.member_guid) == ["2222222222"]
    assert await numbers(account_guid=first.guid) == ["1111111111"]
    assert await numbers(member_guid=second.member_guid, account_guid=first.guid) == []


async def test_a_client_pages_through_a_list_in_one_order(
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
    assert [shown for *_, shown in await disclosures(services, user.guid)] == [0, 2, 5, 5]


async def test_a_client_never_reads_another_clients_user(services: Services, account: Account) -> None:
    stranger = await make_client(services)
    async with services.db.connection() as connection:
        for show in (services.vault.disclose_numbers, services.vault.disclose_owners):
            with pytest.raises(NotFound):
                await show(connection, ClientReader(stranger.guid, account.user_guid))
            with pytest.raises(NotFound):
                await show(connection, ClientReader(stranger.guid, "USR-nobody"))
    assert await disclosures(services, account.user_guid) == []


async def keep_statement(services: Services, user: User) -> str:
    guid = new("STA")
    async with services.db.transaction() as connection:
        await services.vault.store_secret(
            connection, owner_guid=user.guid, record_guid=guid, kind=SecretKind.STATEMENT, value=b"%PDF-1.7"
        )
    return guid


async def test_a_client_is_shown_its_users_statement_and_no_other_secret(
    services: Services, client: Keyed, user: User
) -> None:
    guid = await keep_statement(services, user)
    reader = ClientReader(client.guid, user.guid)
    async with services.db.connection() as connection:
        shown = await services.vault.disclose_secret(
            connection, owner_guid=user.guid, record_guid=guid, kind=SecretKind.STATEMENT, reader=reader
        )
        assert shown == b"%PDF-1.7"
        for kind in set(SecretKind) - {SecretKind.STATEMENT}:
            with pytest.raises(InsufficientScope):
                await services.vault.disclose_secret(
                    connection, owner_guid=user.guid, record_guid=guid, kind=kind, reader=reader
                )
    assert await disclosures(services, user.guid) == [(client.guid, client.guid, guid, "STATEMENT", 1)]


async def test_a_client_is_never_shown_another_clients_statement(services: Services, user: User) -> None:
    guid = await keep_statement(services, user)
    stranger = await make_client(services)
    own = await make_user(services, stranger)
    async with services.db.connection() as connection:
        with pytest.raises(InsufficientScope):
            await services.vault.disclose_secret(
                connection,
                owner_guid=user.guid,
                record_guid=guid,
                kind=SecretKind.STATEMENT,
                reader=ClientReader(stranger.guid, own.guid),
            )
        assert (
            await services.vault.disclose_secret(
                connection,
                owner_guid=user.guid,
                record_guid=guid,
                kind=SecretKind.STATEMENT,
                reader=ClientReader(stranger.guid, user.guid),
            )
            is None
        )
    assert await disclosures(services, user.guid) == []


async def test_a_worker_is_shown_a_secret_under_its_jobs_name_and_nothing_where_nothing_is(
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

        async def show(record_guid: str, kind: SecretKind) -> bytes | None:
            return await services.vault.disclose_secret(
                connection,
                owner_guid=user.guid,
                record_guid=record_guid,
                kind=kind,
                reader=WorkerReader("JOB-1", client.guid),
            )

        assert await show("MBR-1", SecretKind.CREDENTIALS) == b"password"
        assert await show("MBR-1", SecretKind.STATE) is None
        assert await show("MBR-2", SecretKind.CREDENTIALS) is None
    assert await disclosures(services, user.guid) == [("JOB-1", client.guid, "MBR-1", "CREDENTIALS", 1)]


async def test_a_disclosure_cannot_be_changed_or_taken_back(
    services: Services, account: Account, reader: TokenReader
) -> None:
    async with services.db.connection() as connection:
        await services.vault.disclose_numbers(connection, reader)
        for statement in ("UPDATE disclosure SET shown = 0", "DELETE FROM disclosure"):
            with pytest.raises(Exception, match="append only"):
                await connection.execute(f"{statement} WHERE user_guid = %s", (account.user_guid,))
        await remove_user(connection, account.user_guid)
    assert len(await disclosures(services, account.user_guid)) == 1


async def test_what_is_shown_is_hidden_in_every_repr(services: Services, reader: TokenReader) -> None:
    async with services.db.connection() as connection:
        numbers = await services.vault.disclose_numbers(connection, reader)
        owners = await services.vault.disclose_owners(connection, reader)
    assert numbers.items[0].account_number == "1234567890"
    assert "1234567890" not in repr(numbers)
    assert owners.items[0].owner_name == "Ada Example"
    assert "Ada" not in repr(owners)
    assert repr(reader.token_hash) not in repr(reader)
