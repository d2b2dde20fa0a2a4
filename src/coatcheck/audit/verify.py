"""Reading the audit log back: whether its events are as they were written, and the events themselves."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.audit.entries import format_instant, leaf_hash
from coatcheck.db.database import Connection, columns, fetch_all

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    count: int
    """Events looked at."""
    broken: Sequence[str]
    """Guids of those whose row is not what was hashed."""


@dataclass(frozen=True, slots=True)
class _Event:
    at: datetime
    guid: str
    client_guid: str | None
    body: str
    leaf_hash: bytes


async def verify(connection: Connection, start: datetime, end: datetime) -> Verified:
    """Hashes every event from `start` until before `end` again.

    It finds what was changed, not what was removed whole: that takes the checkpoints.
    """
    count, broken = 0, []
    async for event in _events(connection, start, end):
        count += 1
        if not _is_whole(event):
            broken.append(event.guid)
    return Verified(count, broken)


async def export(
    connection: Connection, start: datetime, end: datetime, *, client_guid: str | None = None
) -> AsyncIterator[str]:
    """The events as lines of JSON, oldest first: each with its `body`, byte for byte, and its `leaf_hash`.

    One client's, or everybody's with the operator's among them.
    """
    async for event in _events(connection, start, end):
        if client_guid is None or event.client_guid == client_guid:
            yield json.dumps({"body": event.body, "leaf_hash": event.leaf_hash.hex()}, separators=(",", ":"))


async def _events(
    connection: Connection, start: datetime, end: datetime, client_guid: str | None = None
) -> AsyncIterator[_Event]:
    after = (start, "")
    while events := await fetch_all(
        connection,
        _Event,
        f"""SELECT {columns(_Event)} FROM audit_event
            WHERE at >= %(after_at)s AND (at, guid) > (%(after_at)s, %(after_guid)s) AND at < %(end)s
              AND (%(client_guid)s::text IS NULL OR client_guid = %(client_guid)s)
            ORDER BY at, guid LIMIT %(batch)s""",
        {
            "after_at": after[0],
            "after_guid": after[1],
            "end": end,
            "client_guid": client_guid,
            "batch": BATCH,
        },
    ):
        for event in events:
            yield event
        after = (events[-1].at, events[-1].guid)


def _is_whole(event: _Event) -> bool:
    """The columns beside the body say what the body says, and the hash is the body's."""
    if leaf_hash(event.body) != event.leaf_hash:
        return False
    try:
        said = json.loads(event.body)
        told = (said["at"], said["guid"], said["client_guid"])
    except (ValueError, KeyError, TypeError):
        return False
    return told == (format_instant(event.at), event.guid, event.client_guid)
