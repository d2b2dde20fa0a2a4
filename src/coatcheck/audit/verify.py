"""Reads the audit log: verifies that its entries are unchanged, and exports them."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.audit.entries import leaf_hash
from coatcheck.clock import whole_second
from coatcheck.db.database import Connection, columns, fetch_all

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    count: int
    """Entries that were checked."""
    broken: Sequence[str]
    """Guids of the entries that were changed."""


@dataclass(frozen=True, slots=True)
class _Entry:
    at: datetime
    guid: str
    client_guid: str | None
    body: str
    leaf_hash: bytes


async def verify(connection: Connection, start: datetime, end: datetime) -> Verified:
    """Hashes every entry from `start` until before `end` again.

    It detects entries that were changed, but not entries that were deleted.
    """
    count, broken = 0, []
    async for entry in _entries(connection, start, end):
        count += 1
        if not _is_unchanged(entry):
            broken.append(entry.guid)
    return Verified(count, broken)


async def export(
    connection: Connection, start: datetime, end: datetime, *, client_guid: str | None = None
) -> AsyncIterator[str]:
    """The entries as lines of JSON, oldest first: each has its `body`, byte for byte, and its `leaf_hash`.

    Those of one client, or by default all, including the operator's.
    """
    async for entry in _entries(connection, start, end, client_guid):
        yield json.dumps({"body": entry.body, "leaf_hash": entry.leaf_hash.hex()}, separators=(",", ":"))


async def _entries(
    connection: Connection, start: datetime, end: datetime, client_guid: str | None = None
) -> AsyncIterator[_Entry]:
    after = (start, "")
    while entries := await fetch_all(
        connection,
        _Entry,
        # The first condition repeats the second for the planner, which prunes partitions only by a plain comparison.
        f"""SELECT {columns(_Entry)} FROM audit_event
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
        for entry in entries:
            yield entry
        after = (entries[-1].at, entries[-1].guid)


def _is_unchanged(entry: _Entry) -> bool:
    """Whether the hash is that of the body, and the other columns have the values in the body."""
    # The columns too: an export selects by them, and they can be changed without the body.
    if leaf_hash(entry.body) != entry.leaf_hash:
        return False
    try:
        body = json.loads(entry.body)
        hashed = (whole_second(datetime.fromisoformat(body["at"])), body["guid"], body["client_guid"])
    except (ValueError, KeyError, TypeError):
        return False
    return hashed == (entry.at, entry.guid, entry.client_guid)
