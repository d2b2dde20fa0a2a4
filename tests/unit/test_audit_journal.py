"""The audit log: written with the change, append-only, and verified by hashing its entries again."""

import itertools
import json
from datetime import datetime, timedelta
from hashlib import sha256

import psycopg
import pytest

from coatcheck.app import Services
from coatcheck.audit import verify as verifying
from coatcheck.audit.entries import Entry
from coatcheck.audit.verify import Verified, export, verify
from coatcheck.clock import MovableClock, whole_second
from coatcheck.ids import new

HOURS = itertools.count()


@pytest.fixture
def clock() -> MovableClock:
    """Far in the future, and a different hour for each test, so that its range contains only its own entries."""
    clock = MovableClock()
    clock.advance(timedelta(days=10_000, hours=next(HOURS)))
    return clock


@pytest.fixture
def around(clock: MovableClock) -> tuple[datetime, datetime]:
    return clock.now() - timedelta(seconds=2), clock.now() + timedelta(seconds=60)


async def record(services: Services, subject: str, client_guid: str | None = None, **detail: str) -> None:
    async with services.db.transaction() as connection:
        await services.journal.record(
            connection,
            Entry(
                client_guid=client_guid,
                actor=client_guid or "operator",
                action="token.revoked",
                subject=subject,
                detail=detail,
            ),
        )


async def exported(
    services: Services, around: tuple[datetime, datetime], client_guid: str | None = None
) -> list[dict[str, str]]:
    async with services.db.connection() as connection:
        return [json.loads(line) async for line in export(connection, *around, client_guid=client_guid)]


async def verified(services: Services, around: tuple[datetime, datetime]) -> Verified:
    async with services.db.connection() as connection:
        return await verify(connection, *around)


async def tamper(services: Services, statement: str, subject: str) -> None:
    """Changes an entry without the trigger, as only the owner of the database can."""
    async with services.db.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role TO replica")
        cursor = await connection.execute(
            f"UPDATE audit_event SET {statement} WHERE body LIKE %s", (f"%{subject}%",)
        )
        assert cursor.rowcount == 1


async def test_an_entry_names_actor_action_and_subject_in_canonical_json(
    services: Services, clock: MovableClock, around: tuple[datetime, datetime]
) -> None:
    before = clock.instant()
    await record(services, "TKN-1", "CLT-1", reason="ünïcode", because="b")
    after = clock.instant()
    (line,) = await exported(services, around)
    body = json.loads(line["body"])
    assert body == {
        "action": "token.revoked",
        "actor": "CLT-1",
        "at": body["at"],
        "client_guid": "CLT-1",
        "detail": {"because": "b", "reason": "ünïcode"},
        "guid": body["guid"],
        "subject": "TKN-1",
    }
    assert body["guid"].startswith("AUD-")
    assert before <= datetime.fromisoformat(body["at"]) <= after
    assert line["body"] == json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert line["leaf_hash"] == sha256(b"\0" + line["body"].encode()).hexdigest()


async def test_an_entry_is_stored_only_if_the_transaction_commits(
    services: Services, around: tuple[datetime, datetime]
) -> None:
    async def fail_after_recording() -> None:
        async with services.db.transaction() as connection:
            await services.journal.record(
                connection,
                Entry(client_guid=None, actor="operator", action="client.disabled", subject="CLT-1"),
            )
            assert len([line async for line in export(connection, *around)]) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_recording()
    assert await exported(services, around) == []


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_event SET client_guid = NULL", "DELETE FROM audit_event"]
)
async def test_an_entry_can_be_neither_changed_nor_deleted(
    services: Services, around: tuple[datetime, datetime], statement: str
) -> None:
    await record(services, "TKN-1", "CLT-1")
    before = await exported(services, around)
    async with services.db.connection() as connection:
        with pytest.raises(psycopg.errors.RaiseException, match="append only"):
            await connection.execute(statement)
    assert await exported(services, around) == before


async def test_unchanged_entries_verify(services: Services, around: tuple[datetime, datetime]) -> None:
    for number in range(5):
        await record(services, f"TKN-{number}", "CLT-1" if number % 2 else None)
    assert await verified(services, around) == Verified(5, [])


@pytest.mark.parametrize(
    "statement",
    [
        "body = replace(body, 'revoked', 'issued')",
        "body = body || ' '",
        "leaf_hash = sha256('other')",
        "client_guid = 'CLT-2'",
        "client_guid = NULL",
        "at = at + interval '1 second'",
        "guid = 'AUD-other'",
        "body = 'x', leaf_hash = sha256(E'\\\\x0078')",
        "body = '{}', leaf_hash = sha256(E'\\\\x007b7d')",
    ],
)
async def test_a_changed_entry_is_detected(
    services: Services, around: tuple[datetime, datetime], statement: str
) -> None:
    changed = new("TKN")
    for subject in ("TKN-before", changed, "TKN-after"):
        await record(services, subject, "CLT-1")
    guids = [json.loads(line["body"])["guid"] for line in await exported(services, around)]
    await tamper(services, statement, changed)
    result = await verified(services, around)
    assert result.count == 3
    assert list(result.broken) == ["AUD-other" if "AUD-other" in statement else guids[1]]


async def test_a_long_log_is_read_in_batches_without_missing_or_repeating_an_entry(
    services: Services, around: tuple[datetime, datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "BATCH", 3)
    for number in range(10):
        await record(services, f"TKN-{number}")
    subjects = [json.loads(line["body"])["subject"] for line in await exported(services, around)]
    assert subjects == [f"TKN-{number}" for number in range(10)]
    assert (await verified(services, around)).count == 10


async def test_a_range_begins_with_its_start_and_ends_before_its_end(
    services: Services, clock: MovableClock, around: tuple[datetime, datetime]
) -> None:
    await record(services, "TKN-1")
    (line,) = await exported(services, around)
    at = whole_second(datetime.fromisoformat(json.loads(line["body"])["at"]))
    second = timedelta(seconds=1)
    assert len(await exported(services, (at, at + second))) == 1
    assert await exported(services, (at - second, at)) == []
    assert await exported(services, (at + second, at + 2 * second)) == []


async def test_an_export_for_a_client_contains_only_its_entries(
    services: Services, around: tuple[datetime, datetime]
) -> None:
    await record(services, "TKN-1", "CLT-1")
    await record(services, "TKN-2", "CLT-2")
    await record(services, "CLT-1")
    assert [json.loads(line["body"])["subject"] for line in await exported(services, around, "CLT-1")] == [
        "TKN-1"
    ]
    assert len(await exported(services, around)) == 3
