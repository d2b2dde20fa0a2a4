"""The vault's exits: who is shown what, who is refused, and what is written down about it."""

import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from psycopg.pq import Trace

from coatcheck.app import Coatcheck
from coatcheck.clock import MovableClock
from coatcheck.db.database import Connection
from coatcheck.errors import CoatcheckError, InsufficientScope, InvalidToken, NotFound
from coatcheck.ids import new
from coatcheck.model.accounts import Account, remove_account
from coatcheck.model.clients import set_client_disabled, set_processor_disabled
from coatcheck.model.paging import Page
from coatcheck.model.users import User, remove_user
from coatcheck.vault.vault import (
    AccountNumbers,
    AccountOwner,
    ClientReader,
    SecretKind,
    TokenReader,
    WorkerReader,
)
from tests.factories import Keyed, make_account, make_client, make_processor, make_token, make_user

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
async def client(house: Coatcheck) -> Keyed:
    return await make_client(house)


@pytest.fixture
async def processor(house: Coatcheck, client: Keyed) -> Keyed:
    return await make_processor(house, client)


@pytest.fixture
async def user(house: Coatcheck, client: Keyed) -> User:
    return await make_user(house, client)


@pytest.fixture
async def account(house: Coatcheck, user: User) -> Account:
    return await make_account(house, user)


@pytest.fixture
async def reader(house: Coatcheck, account: Account, processor: Keyed) -> TokenReader:
    return reads(house, await make_token(house, account, processor))


def reads(house: Coatcheck, token: str) -> TokenReader:
    presented = house.issuer.present(token)
    return TokenReader(presented.period, presented.hash, house.clock.now())


async def disclosures(house: Coatcheck, user_guid: str) -> list[tuple[Any, ...]]:
    async with house.db.connection() as connection:
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
    house: Coatcheck, account: Account, reader: TokenReader
) -> None:
    values = {name: getattr(FULL, name) for name in AccountNumbers.__slots__}
    async with house.db.transaction() as connection:
        await house.vault.keep_numbers(
            connection,
            user_guid=account.user_guid,
            member_guid=account.member_guid,
            numbers=[
                AccountNumbers(**values | {"account_guid": account.guid}),
                AccountNumbers(account_guid=account.guid, account_number="7"),
            ],
        )
    async with house.db.connection() as connection:
        shown = await house.vault.show_numbers(connection, reader)
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
    house: Coatcheck, account: Account, reader: TokenReader
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
    async with house.db.transaction() as connection:
        await house.vault.keep_owners(
            connection,
            user_guid=account.user_guid,
            member_guid=account.member_guid,
            owners=[AccountOwner(account_guid=account.guid, **owner)],
        )
    async with house.db.connection() as connection:
        (shown,) = (await house.vault.show_owners(connection, reader)).items
    assert {name: getattr(shown, name) for name in owner} == owner
    assert shown.guid.startswith("ACO-")


async def test_a_token_never_reaches_another_account_of_the_same_user(
    house: Coatcheck, user: User, reader: TokenReader
) -> None:
    await make_account(house, user, account_number="9999999999")
    async with house.db.connection() as connection:
        shown = await house.vault.show_numbers(connection, reader)
    assert [numbers.account_number for numbers in shown.items] == ["1234567890"]


async def test_every_showing_is_written_down(
    house: Coatcheck, client: Keyed, processor: Keyed, account: Account, reader: TokenReader
) -> None:
    async with house.db.connection() as connection:
        await house.vault.show_numbers(connection, reader)
        await house.vault.show_owners(connection, reader)
        await house.vault.show_numbers(connection, ClientReader(client.guid, account.user_guid))
    assert await disclosures(house, account.user_guid) == [
        (client.guid, client.guid, account.user_guid, "ACCOUNT_NUMBERS", 1),
        (processor.guid, client.guid, account.guid, "ACCOUNT_NUMBERS", 1),
        (processor.guid, client.guid, account.guid, "ACCOUNT_OWNERS", 1),
    ]


async def test_every_showing_is_one_round_trip_with_its_disclosure(
    house: Coatcheck, client: Keyed, account: Account, reader: TokenReader
) -> None:
    vault = house.vault
    async with house.db.transaction() as connection:
        await vault.keep_secret(
            connection,
            owner_guid=account.user_guid,
            record_guid="STA-1",
            kind=SecretKind.STATEMENT,
            value=b"%PDF",
        )
    by_client = ClientReader(client.guid, account.user_guid)
    async with house.db.connection() as connection:
        for act in (
            lambda: vault.show_numbers(connection, reader),
            lambda: vault.show_owners(connection, reader),
            lambda: vault.show_numbers(connection, by_client),
            lambda: vault.show_owners(connection, by_client),
            lambda: vault.show_secret(
                connection,
                owner_guid=account.user_guid,
                record_guid="STA-1",
                kind=SecretKind.STATEMENT,
                reader=by_client,
            ),
        ):
            before = len(await disclosures(house, account.user_guid))
            assert await round_trips(connection, act) == 1
            assert len(await disclosures(house, account.user_guid)) == before + 1
        assert await round_trips(connection, lambda: connection.execute("SELECT 1; SELECT 2")) == 1
        assert await round_trips(connection, lambda: _two(connection)) == 2


async def _two(connection: Connection) -> None:
    await connection.execute("SELECT 1")
    await connection.execute("SELECT 2")


async def test_an_unknown_token_is_refused(house: Coatcheck, reader: TokenReader) -> None:
    await refused(house, TokenReader(reader.expires_week, b"?" * 32, reader.now), InvalidToken)
    await refused(house, TokenReader(reader.expires_week + 1, reader.token_hash, reader.now), InvalidToken)


async def refused(house: Coatcheck, reader: TokenReader, error: type[CoatcheckError]) -> None:
    async with house.db.connection() as connection:
        with pytest.raises(error):
            await house.vault.show_numbers(connection, reader)
        with pytest.raises(error):
            await house.vault.show_owners(connection, reader)


async def test_an_expired_token_is_refused_and_nothing_is_disclosed(
    house: Coatcheck, clock: MovableClock, account: Account, processor: Keyed, reader: TokenReader
) -> None:
    clock.advance(house.settings.token_ttl - timedelta(seconds=60))
    async with house.db.connection() as connection:
        await house.vault.show_numbers(
            connection, TokenReader(reader.expires_week, reader.token_hash, clock.now())
        )
    clock.advance(timedelta(seconds=61))
    await refused(house, TokenReader(reader.expires_week, reader.token_hash, clock.now()), InvalidToken)
    assert len(await disclosures(house, account.user_guid)) == 1


async def test_a_token_that_reads_no_protected_data_is_refused_and_nothing_is_disclosed(
    house: Coatcheck, account: Account, processor: Keyed
) -> None:
    token = await make_token(house, account, processor, reads_protected=False)
    await refused(house, reads(house, token), InsufficientScope)
    assert await disclosures(house, account.user_guid) == []


async def test_a_token_dies_with_whatever_it_depends_on(
    house: Coatcheck, client: Keyed, processor: Keyed, user: User, account: Account, reader: TokenReader
) -> None:
    async with house.db.connection() as connection:
        await set_processor_disabled(connection, processor.guid, is_disabled=True)
        await refused(house, reader, InvalidToken)
        await set_processor_disabled(connection, processor.guid, is_disabled=False)
        await set_client_disabled(connection, client.guid, is_disabled=True)
        await refused(house, reader, InvalidToken)
        await set_client_disabled(connection, client.guid, is_disabled=False)
        await house.vault.show_numbers(connection, reader)
        await remove_account(connection, user.guid, account.guid)
        await refused(house, reader, InvalidToken)
    assert len(await disclosures(house, user.guid)) == 1


async def test_a_client_reads_as_far_down_as_it_asks(house: Coatcheck, client: Keyed, user: User) -> None:
    first = await make_account(house, user, account_number="1111111111")
    second = await make_account(house, user, account_number="2222222222")

    async def numbers(**below: str) -> list[str | None]:
        async with house.db.connection() as connection:
            listing = await house.vault.show_numbers(
                connection, ClientReader(client.guid, user.guid, **below)
            )
        assert listing.total == len(listing.items)
        return [item.account_number for item in listing.items]

    assert await numbers() == ["1111111111", "2222222222"]
    assert await numbers(member_guid=second.member_guid) == ["2222222222"]
    assert await numbers(account_guid=first.guid) == ["1111111111"]
    assert await numbers(member_guid=second.member_guid, account_guid=first.guid) == []


async def test_a_client_pages_through_a_list_in_one_order(
    house: Coatcheck, client: Keyed, user: User, account: Account
) -> None:
    async with house.db.transaction() as connection:
        await house.vault.keep_numbers(
            connection,
            user_guid=user.guid,
            member_guid=account.member_guid,
            numbers=[
                AccountNumbers(account_guid=account.guid, account_number=f"{place}") for place in range(12)
            ],
        )
    reader = ClientReader(client.guid, user.guid)
    seen = []
    async with house.db.connection() as connection:
        for number in (1, 2, 3, 4):
            listing = await house.vault.show_numbers(connection, reader, Page(number, 5))
            assert (listing.total, listing.page) == (12, Page(number, 5))
            seen.append([item.account_number for item in listing.items])
    assert seen == [["0", "1", "2", "3", "4"], ["5", "6", "7", "8", "9"], ["10", "11"], []]
    assert [shown for *_, shown in await disclosures(house, user.guid)] == [0, 2, 5, 5]


async def test_a_client_never_reads_another_clients_user(house: Coatcheck, account: Account) -> None:
    stranger = await make_client(house)
    async with house.db.connection() as connection:
        for show in (house.vault.show_numbers, house.vault.show_owners):
            with pytest.raises(NotFound):
                await show(connection, ClientReader(stranger.guid, account.user_guid))
            with pytest.raises(NotFound):
                await show(connection, ClientReader(stranger.guid, "USR-nobody"))
    assert await disclosures(house, account.user_guid) == []


async def keep_statement(house: Coatcheck, user: User) -> str:
    guid = new("STA")
    async with house.db.transaction() as connection:
        await house.vault.keep_secret(
            connection, owner_guid=user.guid, record_guid=guid, kind=SecretKind.STATEMENT, value=b"%PDF-1.7"
        )
    return guid


async def test_a_client_is_shown_its_users_statement_and_no_other_secret(
    house: Coatcheck, client: Keyed, user: User
) -> None:
    guid = await keep_statement(house, user)
    reader = ClientReader(client.guid, user.guid)
    async with house.db.connection() as connection:
        shown = await house.vault.show_secret(
            connection, owner_guid=user.guid, record_guid=guid, kind=SecretKind.STATEMENT, reader=reader
        )
        assert shown == b"%PDF-1.7"
        for kind in set(SecretKind) - {SecretKind.STATEMENT}:
            with pytest.raises(InsufficientScope):
                await house.vault.show_secret(
                    connection, owner_guid=user.guid, record_guid=guid, kind=kind, reader=reader
                )
    assert await disclosures(house, user.guid) == [(client.guid, client.guid, guid, "STATEMENT", 1)]


async def test_a_client_is_never_shown_another_clients_statement(house: Coatcheck, user: User) -> None:
    guid = await keep_statement(house, user)
    stranger = await make_client(house)
    own = await make_user(house, stranger)
    async with house.db.connection() as connection:
        with pytest.raises(InsufficientScope):
            await house.vault.show_secret(
                connection,
                owner_guid=user.guid,
                record_guid=guid,
                kind=SecretKind.STATEMENT,
                reader=ClientReader(stranger.guid, own.guid),
            )
        assert (
            await house.vault.show_secret(
                connection,
                owner_guid=user.guid,
                record_guid=guid,
                kind=SecretKind.STATEMENT,
                reader=ClientReader(stranger.guid, user.guid),
            )
            is None
        )
    assert await disclosures(house, user.guid) == []


async def test_a_worker_is_shown_a_secret_under_its_jobs_name_and_nothing_where_nothing_is(
    house: Coatcheck, client: Keyed, user: User
) -> None:
    async with house.db.transaction() as connection:
        await house.vault.keep_secret(
            connection,
            owner_guid=user.guid,
            record_guid="MBR-1",
            kind=SecretKind.CREDENTIALS,
            value=b"password",
        )
    async with house.db.connection() as connection:

        async def show(record_guid: str, kind: SecretKind) -> bytes | None:
            return await house.vault.show_secret(
                connection,
                owner_guid=user.guid,
                record_guid=record_guid,
                kind=kind,
                reader=WorkerReader("JOB-1", client.guid),
            )

        assert await show("MBR-1", SecretKind.CREDENTIALS) == b"password"
        assert await show("MBR-1", SecretKind.STATE) is None
        assert await show("MBR-2", SecretKind.CREDENTIALS) is None
    assert await disclosures(house, user.guid) == [("JOB-1", client.guid, "MBR-1", "CREDENTIALS", 1)]


async def test_a_disclosure_cannot_be_changed_or_taken_back(
    house: Coatcheck, account: Account, reader: TokenReader
) -> None:
    async with house.db.connection() as connection:
        await house.vault.show_numbers(connection, reader)
        for statement in ("UPDATE disclosure SET shown = 0", "DELETE FROM disclosure"):
            with pytest.raises(Exception, match="append only"):
                await connection.execute(f"{statement} WHERE user_guid = %s", (account.user_guid,))
        await remove_user(connection, account.user_guid)
    assert len(await disclosures(house, account.user_guid)) == 1


async def test_what_is_shown_is_hidden_in_every_repr(house: Coatcheck, reader: TokenReader) -> None:
    async with house.db.connection() as connection:
        numbers = await house.vault.show_numbers(connection, reader)
        owners = await house.vault.show_owners(connection, reader)
    assert numbers.items[0].account_number == "1234567890"
    assert "1234567890" not in repr(numbers)
    assert owners.items[0].owner_name == "Ada Example"
    assert "Ada" not in repr(owners)
    assert repr(reader.token_hash) not in repr(reader)
