"""Fills, seals and verifies the audit log of a test."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from coatcheck.app import Services
from coatcheck.audit.keys import log_keys
from coatcheck.audit.published import PublishedCheckpoint, Publisher, read_published
from coatcheck.audit.sealer import Sealer
from coatcheck.audit.verify import Verified, verify
from coatcheck.db.database import Connection
from coatcheck.worker_services import build_worker

# Entries as the journal writes them, and every tenth row a disclosure.
FILL = """
WITH written AS (
    SELECT number, timestamptz '2026-11-26T12:00:00Z' + number / 100 * interval '1 second' AS at,
           lpad(number::text, 32, '0')::uuid AS guid, 'CLT-' || number % 7 AS client_guid
    FROM generate_series(1, {count}) AS number
), events AS (
    INSERT INTO audit_event (number, at, guid, client_guid, actor, action, subject)
    SELECT number, at, guid, client_guid, 'PPR-1', 'token.issued', 'TKN-' || number
    FROM written WHERE number % 10 > 0 ORDER BY number
)
INSERT INTO disclosure (number, at, reader_guid, client_guid, user_guid, record_guid, what, shown, request_id)
SELECT number, at, 'PPR-1', client_guid, 'USR-1', 'ACT-' || number, 'BALANCES', 1, 'REQ-1'
FROM written WHERE number % 10 = 0"""


async def fill(services: Services, count: int) -> None:
    """Writes entries and disclosures with the numbers from 1 to `count`, into a log that is empty."""
    async with services.db.transaction() as connection:
        await connection.execute(FILL.format(count=count))
        await connection.execute("SELECT setval('audit_number', %s)", [count])


def sealer_of(services: Services) -> Sealer:
    return build_worker(services).sealer


def publisher_of(services: Services) -> Publisher:
    return build_worker(services).publisher


async def seal(services: Services) -> int:
    """Seals everything that is written, and publishes it if a file or URL is set."""
    sealed, sealer = 0, sealer_of(services)
    # What was just written can settle a moment later: the server ends a transaction after it answered.
    while (count := await sealer.seal()) or (await verified(services)).unsealed:
        sealed += count
    await publisher_of(services).publish()
    return sealed


async def verified(services: Services, *files: Path) -> Verified:
    """What `coatcheck audit verify` finds, with these published checkpoints."""
    async with services.db.transaction() as connection:
        return await verified_on(connection, [each for file in files for each in read_published(file)])


async def verified_on(connection: Connection, published: Sequence[PublishedCheckpoint] = ()) -> Verified:
    return await verify(connection, await log_keys(connection), published)


def assert_log_is_intact(url: str) -> int:
    """Verifies the log of a database, and returns how many rows it has, sealed or not."""

    async def found() -> Verified:
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            return await verified_on(connection)

    result = asyncio.run(found())
    assert result.problems == []
    return result.sealed + result.unsealed


async def entries(services: Services, client_guid: str | None = None) -> list[dict[str, Any]]:
    """The entries of one client, or all, in order."""
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body FROM audit_entry WHERE %(guid)s::text IS NULL OR client_guid = %(guid)s ORDER BY number",
            {"guid": client_guid},
        )
        return [json.loads(body) for (body,) in await cursor.fetchall()]
