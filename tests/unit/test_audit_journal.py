"""The audit log: written with the change, hashed as canonical JSON, and append-only."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from hashlib import sha256

import psycopg
import pytest

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.audit.failures import FailedAuthentications
from coatcheck.audit.search import EntryFilter, list_entries
from coatcheck.clock import MovableClock
from coatcheck.db.database import Connection, Database
from coatcheck.errors import Unavailable
from coatcheck.ids import new
from tests.sealed_log import entries, seal


@pytest.fixture
def client_guid() -> str:
    """A client of which only this test writes entries."""
    return new("CLT")


async def record(connection: Connection, services: Services, client_guid: str, **detail: str) -> None:
    await services.journal.record(
        connection,
        Entry(
            client_guid=client_guid,
            actor=client_guid,
            action="token.revoked",
            subject="TKN-1",
            detail=detail,
        ),
    )


async def test_an_entry_names_actor_action_and_subject_in_canonical_json(
    services: Services, clock: MovableClock, client_guid: str
) -> None:
    before = clock.instant()
    async with services.db.transaction() as connection:
        await record(connection, services, client_guid, reason="ünïcode", because="b")
    after = clock.instant()
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body, leaf_hash FROM audit_entry WHERE client_guid = %s", [client_guid]
        )
        ((text, leaf_hash),) = await cursor.fetchall()
    body = json.loads(text)
    assert body == {
        "action": "token.revoked",
        "actor": client_guid,
        "at": body["at"],
        "client_guid": client_guid,
        "detail": {"because": "b", "reason": "ünïcode"},
        "guid": body["guid"],
        "subject": "TKN-1",
    }
    assert body["guid"].startswith("AUD-")
    assert before <= datetime.fromisoformat(body["at"]) <= after
    assert text == json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert leaf_hash == sha256(b"\0" + text.encode()).digest()


async def test_an_entry_is_stored_only_if_the_transaction_commits(
    services: Services, client_guid: str
) -> None:
    async def fail_after_recording() -> None:
        async with services.db.transaction() as connection:
            await record(connection, services, client_guid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_recording()
    assert await entries(services, client_guid) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET client_guid = NULL",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "UPDATE disclosure SET shown = 0",
        "DELETE FROM disclosure",
        "TRUNCATE disclosure",
        "UPDATE audit_checkpoint SET through = 0",
        "DELETE FROM audit_checkpoint",
        "TRUNCATE audit_checkpoint",
    ],
)
@pytest.mark.own_database
async def test_not_even_the_owner_changes_the_log_by_mistake(
    services: Services, client_guid: str, statement: str
) -> None:
    async with services.db.transaction() as connection:
        await record(connection, services, client_guid)
        await connection.execute(
            """INSERT INTO disclosure (at, reader_guid, user_guid, record_guid, what, shown)
               VALUES (now(), 'PPR-1', 'USR-1', 'ACT-1', 'BALANCES', 1)"""
        )
    await seal(services)
    async with services.db.connection() as connection:
        with pytest.raises(psycopg.errors.RaiseException, match="append only"):
            await connection.execute(statement)
    assert len(await entries(services, client_guid)) == 1


async def test_a_failed_authentication_that_the_database_could_not_record_is_counted_in_the_next_entry(
    services: Services, clock: MovableClock, client_guid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def away(_: Database) -> AsyncIterator[Connection]:
        raise Unavailable
        yield

    failures = FailedAuthentications(clock, services.db, services.journal)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "connection", away)
        for _ in range(2):
            await failures.record(client_guid, "api_key")
    await failures.record(client_guid, "api_key")
    (entry,) = [each for each in await entries(services) if each["subject"] == client_guid]
    assert entry["detail"] == {"credential": "api_key", "suppressed": "2"}


async def test_a_star_after_a_full_stop_finds_a_group_of_actions_and_any_other_is_a_character(
    services: Services, clock: MovableClock, client_guid: str
) -> None:
    async with services.db.transaction() as connection:
        await record(connection, services, client_guid)
    now = clock.now()
    found = {}
    async with services.db.connection() as connection:
        for action in ("token.*", "token.revoked", "token.revoked*", "tok*", "token."):
            filters = EntryFilter(
                client_guid=client_guid,
                since=now - timedelta(minutes=1),
                until=now + timedelta(minutes=1),
                action=action,
            )
            found[action] = len(await list_entries(connection, filters, 10))
    assert found == {"token.*": 1, "token.revoked": 1, "token.revoked*": 0, "tok*": 0, "token.": 0}
