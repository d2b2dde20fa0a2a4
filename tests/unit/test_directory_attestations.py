"""The deletion of a user: a signed statement says what was destroyed, and what remains."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import cast

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.attestations import (
    KEPT,
    Attestation,
    delete_old_attestations,
)
from coatcheck.errors import NotFound
from coatcheck.grants.links import LinkKind
from coatcheck.members.account_identity import former_guids
from coatcheck.members.account_rows import delete_account
from coatcheck.members.member_rows import MemberKey
from coatcheck.members.records import MemberJob
from coatcheck.model.accounts import Account
from coatcheck.model.paging import PageRequest
from coatcheck.model.transactions import TransactionFilter, find_transaction, list_transactions
from coatcheck.model.users import User
from coatcheck.signatures import DocumentType, SignedDocument, verify
from coatcheck.vault.master_keys import MasterKeys
from coatcheck.vault.signing_keys import DOCUMENTS_KEPT, key_set, published_keys
from tests.factories import Keyed, make_client, make_statement, make_token, make_transaction
from tests.waiting_statements import until_waiting


async def delete(services: Services, user: User) -> Attestation:
    async with services.db.transaction() as connection:
        return await services.users.delete(connection, user, actor=user.client_guid)


async def verified(services: Services, attestation: Attestation) -> SignedDocument:
    async with services.db.connection() as connection:
        return verify(
            attestation.statement, key_set(await published_keys(connection, services.clock.now()))["keys"]
        )


async def data_key_of(services: Services, settings: Settings, user: User) -> str:
    """The SHA-256 of the user's data key."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT master_key_id, wrapped FROM data_key WHERE owner_guid = %s", (user.guid,)
        )
        row = await cursor.fetchone()
    assert row is not None
    return sha256(MasterKeys.load(settings).unwrap(*row, "data_key", user.guid)).hexdigest()


async def test_an_attestation_states_what_was_destroyed(
    services: Services, settings: Settings, user: User, account: Account, processor: Keyed
) -> None:
    for _ in range(3):
        await make_transaction(services, account)
    await make_statement(services, account)
    await make_token(services, account, processor)
    key_id = await data_key_of(services, settings, user)
    attestation = await delete(services, user)
    document = await verified(services, attestation)
    claims = dict(document.claims)
    data_key = claims.pop("data_key")
    assert document.type is DocumentType.ATTESTATION
    assert claims == {
        "iss": services.settings.base_url,
        "iat": int(attestation.at.timestamp()),
        "jti": attestation.guid,
        "client_guid": user.client_guid,
        "user_guid": user.guid,
        "at": attestation.at.isoformat().replace("+00:00", "Z"),
        "destroyed": {
            "users": 1,
            "members": 1,
            "jobs": 0,
            "accounts": 1,
            "transactions": 3,
            "statements": 1,
            "micro_deposits": 0,
            "account_numbers": 1,
            "account_owners": 1,
            "sealed_secrets": 1,
        },
        "grants_ended": 1,
        "kept": KEPT,
    }
    assert (data_key["id"], data_key["master_key_id"]) == (key_id, "test")


async def test_an_attestation_counts_the_grants_that_could_be_read_with_and_no_others(
    services: Services, clock: MovableClock, user: User, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor, atoms="expires-in:60")
    clock.advance(timedelta(minutes=2))
    for _ in range(3):
        await make_token(services, account, processor)
    async with services.db.connection() as connection:
        await connection.execute(
            """UPDATE access_token SET revoked_at = now() WHERE guid =
               (SELECT max(guid) FROM access_token WHERE user_guid = %s)""",
            (user.guid,),
        )
    claims = (await verified(services, await delete(services, user))).claims
    assert claims["grants_ended"] == 2


async def test_the_deletion_of_a_user_without_data_is_attested_too(services: Services, user: User) -> None:
    claims = (await verified(services, await delete(services, user))).claims
    assert claims["data_key"] is None
    assert sum(claims["destroyed"].values()) == 1


async def test_an_attestation_holds_no_personal_data(
    services: Services, user: User, account: Account
) -> None:
    statement = await verified(services, await delete(services, user))
    for forbidden in ("1234567890", "091000019", "Ada", "Everyday"):
        assert forbidden not in str(statement.claims)


REMAINS = {
    "audit_event": "audit_log",
    "disclosure": "disclosures",
    "authorization_disclosure": "authorization_disclosures",
    "revocation_receipt": "receipts",
    "access_token": "grants",
    "authorization_code": "grants",
    "event": "events",
    "event_sequence": "events",
    "delivery": "events",
    "link": "sessions",
    "portal_session": "sessions",
    "widget_session": "sessions",
}
"""Where a row of a deleted user may be, and what the attestation calls it."""


async def test_an_attestation_names_everything_that_remains_of_a_user(
    services: Services, client: Keyed, user: User, account: Account, processor: Keyed
) -> None:
    await make_token(services, account, processor)
    async with services.db.transaction() as connection:
        changed = await services.users.update(
            connection, user, {"id": "own-id", "metadata": "a note"}, actor=client.guid
        )
        await services.portal_sessions.create_url(connection, changed)
        link, _ = await services.links.issue(
            connection, LinkKind.WIDGET, client_guid=client.guid, user_guid=user.guid
        )
        await services.widget_sessions.start(connection, link, options="{}", locale="en")
    statement = await verified(services, await delete(services, changed))
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
               AND relkind IN ('r', 'p') AND NOT relispartition"""
        )
        tables = {table for (table,) in await cursor.fetchall()} - {"deletion_attestation"}
        found: dict[str, set[str]] = {"guid": set(), "given": set()}
        for table in sorted(tables):
            for kind, patterns in (("guid", [f"%{user.guid}%"]), ("given", ["%own-id%", "%a note%"])):
                cursor = await connection.execute(
                    f"SELECT FROM {table} AS row WHERE row::text LIKE ANY (%s) LIMIT 1", (patterns,)
                )
                if cursor.rowcount:
                    found[kind].add(table)
    assert found["guid"] <= REMAINS.keys()
    assert set(REMAINS.values()) <= statement.claims["kept"].keys()
    assert found["given"] == {"event"}


async def test_a_user_is_deleted_although_its_data_key_cannot_be_opened(
    services: Services, user: User, account: Account
) -> None:
    async with services.db.connection() as connection:
        await connection.execute("UPDATE data_key SET wrapped = '\\x00' WHERE owner_guid = %s", (user.guid,))
    claims = (await verified(services, await delete(services, user))).claims
    assert claims["data_key"]["id"] is None
    assert claims["destroyed"]["account_numbers"] == 1


async def test_an_attestation_is_found_by_its_client_alone(services: Services, user: User) -> None:
    attestation = await delete(services, user)
    stranger = await make_client(services)
    async with services.db.connection() as connection:
        assert await services.attestations.find(connection, user.client_guid, attestation.guid) == attestation
        assert await services.attestations.of_user(connection, user.client_guid, user.guid) == attestation
        assert await services.attestations.of_user(connection, stranger.guid, user.guid) is None
        with pytest.raises(NotFound):
            await services.attestations.find(connection, stranger.guid, attestation.guid)


async def test_of_two_deletions_at_once_the_second_finds_no_user(services: Services, user: User) -> None:
    async with services.db.transaction() as connection:
        first = await services.users.delete(connection, user, actor=user.client_guid)
        second = asyncio.create_task(delete(services, user))
        await until_waiting(services, 1)
    with pytest.raises(NotFound):
        await second
    async with services.db.connection() as connection:
        assert await services.attestations.of_user(connection, user.client_guid, user.guid) == first


async def test_a_deletion_that_is_rolled_back_leaves_no_attestation(services: Services, user: User) -> None:
    async with services.db.connection() as connection, connection.transaction(force_rollback=True):
        await services.users.delete(connection, user, actor=user.client_guid)
    async with services.db.connection() as connection:
        assert await services.attestations.of_user(connection, user.client_guid, user.guid) is None


@pytest.mark.own_database
async def test_attestations_are_kept_for_three_years(
    services: Services, clock: MovableClock, user: User
) -> None:
    attestation = await delete(services, user)
    for wait, found in ((DOCUMENTS_KEPT - timedelta(days=1), attestation), (timedelta(days=2), None)):
        clock.advance(wait)
        async with services.db.connection() as connection:
            await delete_old_attestations(connection, clock.now())
            assert await services.attestations.of_user(connection, user.client_guid, user.guid) == found


async def many_transactions(services: Services, account: Account, number: int) -> None:
    async with services.db.connection() as connection:
        await connection.execute(
            """INSERT INTO transaction (user_guid, guid, member_guid, account_guid, id, amount, type, status, date,
                                        category, category_guid, top_level_category, top_level_category_guid,
                                        created_at, updated_at)
               SELECT %s, 'TRN-' || n, %s, %s, n, 1, 'DEBIT', 'POSTED', '2026-01-01', 'Groceries', 'CAT-1', 'Food',
                      'CAT-2', now(), now()
               FROM generate_series(1, %s) n""",
            (account.user_guid, account.member_guid, account.guid, number),
        )


async def number_left(services: Services) -> int:
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM transaction")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_many_transactions_are_destroyed_in_pieces_and_then_the_attestation_counts_them(
    services: Services, clock: MovableClock, client: Keyed, user: User, account: Account
) -> None:
    await many_transactions(services, account, 16_000)
    first = await delete(services, user)
    claims = (await verified(services, first)).claims
    assert claims["pending"] == {"transactions": 16_000}
    assert "transactions" not in claims["destroyed"]
    assert await number_left(services) == 6_000

    clock.advance(timedelta(minutes=1))
    await services.deletions.run()
    assert await number_left(services) == 0
    async with services.db.connection() as connection:
        last = await services.attestations.find(connection, client.guid, first.guid)
    completed = (await verified(services, last)).claims
    assert "pending" not in completed
    assert completed["destroyed"] == {**claims["destroyed"], "transactions": 16_000}
    assert completed["jti"] == first.guid
    assert last.at - first.at >= timedelta(minutes=1)


async def test_nothing_reads_the_transactions_of_a_deleted_account_while_they_are_destroyed(
    services: Services, user: User, account: Account
) -> None:
    await many_transactions(services, account, 10_001)
    everything = TransactionFilter()
    async with services.db.transaction() as connection:
        await delete_account(connection, user.guid, account.guid)
        page = await list_transactions(connection, user.guid, PageRequest(), everything)
        cursor = await connection.execute("SELECT guid FROM transaction")
        left = await cursor.fetchone()
        assert (page.total, list(page.items)) == (0, [])
        assert left is not None
        with pytest.raises(NotFound):
            await find_transaction(connection, user.guid, left[0])
    sections = [
        rows async for name, rows in services.user_export.sections(user, actor="t") if name == "transactions"
    ]
    assert [each for rows in sections for each in rows] == []
    await services.deletions.run()
    assert await number_left(services) == 0


async def test_an_account_that_returns_does_not_get_the_guid_whose_transactions_are_destroyed(
    services: Services, user: User, account: Account
) -> None:
    await many_transactions(services, account, 10_001)
    async with services.db.transaction() as connection:
        await delete_account(connection, user.guid, account.guid)
        await connection.execute(
            "INSERT INTO former_account (user_guid, identity, guid, deleted_at) VALUES (%s, 'i', %s, %s)",
            (user.guid, account.guid, services.clock.now()),
        )
    assert await returning_guids(services, account) == {}
    await services.deletions.run()
    assert await returning_guids(services, account) == {"id": account.guid}


async def returning_guids(services: Services, account: Account) -> Mapping[str, str]:
    job = cast("MemberJob", MemberKey(account.user_guid, account.member_guid))
    async with services.db.connection() as connection, connection.transaction(force_rollback=True):
        return await former_guids(connection, job, {"id": [b"i"]}, services.clock.now())
