"""Drops a month of the log. An entry says which rows are gone, so that the rest still verifies."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import sql

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.audit.verify import PRUNED
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, fetch_one
from coatcheck.errors import ConstraintNotMet, NotFound

LOCK_TIMEOUT = "2s"


@dataclass(frozen=True, slots=True)
class Pruned:
    """The rows of a partition that was dropped."""

    partition: str
    first: int
    last: int
    count: int


async def prune(
    connection: Connection, clock: Clock, journal: Journal, partition: str, *, actor: str
) -> Pruned:
    """Records that a month is dropped, and drops it. Its leaf hashes remain in the checkpoints.

    Args:
        connection: the caller's transaction, as the owner of the tables.
        clock: tells which months have ended.
        journal: records the entry.
        partition: such as `disclosure_2026_01`.
        actor: who drops it.

    Raises:
        NotFound: the log has no such month.
        ConstraintNotMet: the month has not ended, or it has rows that are not sealed.
    """
    # A DROP waits for every reader of the table, and every later reader waits behind it.
    await connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")
    name = await _find(connection, partition)
    if not _has_ended(partition, clock.now()):
        raise ConstraintNotMet(f"The month of {partition} has not ended.")
    # From here on nothing is written to it: what came after the look below would be dropped without a trace.
    await connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(name))
    found = await fetch_one(
        connection,
        Pruned,
        sql.SQL(
            """SELECT {text} AS partition, coalesce(min(number), 0) AS first, coalesce(max(number), 0) AS last,
                      count(*) AS count
               FROM {name}"""
        )
        .format(text=sql.Literal(partition), name=name)
        .as_string(connection),
    )
    assert found is not None, "an aggregate has one row"
    cursor = await connection.execute("SELECT coalesce(max(through), 0) FROM audit_checkpoint")
    # What no checkpoint covers could be dropped without a trace.
    if found.count and found.last > (await cursor.fetchone() or (0,))[0]:
        raise ConstraintNotMet(
            f"{partition} has rows that are not sealed. Let a worker run (coatcheck work)."
        )
    # Before the rows go, in the same transaction: a drop without its entry would look like a deletion.
    for each in [*await _recorded_in(connection, partition, name), found]:
        await journal.record(connection, _entry(each, actor))
    await connection.execute(sql.SQL("DROP TABLE {}").format(name))
    return found


async def _find(connection: Connection, partition: str) -> sql.Identifier:
    cursor = await connection.execute(
        """SELECT n.nspname FROM pg_inherits i
           JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE i.inhparent IN ('audit_event'::regclass, 'disclosure'::regclass) AND c.relname = %(name)s
             AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'""",
        {"name": partition},
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"The log has no month {partition}. Its months are named like disclosure_2026_01.")
    return sql.Identifier(row[0], partition)


def _has_ended(partition: str, now: datetime) -> bool:
    _, year, month = partition.rsplit("_", 2)
    return (int(year), int(month)) < (now.astimezone(UTC).year, now.astimezone(UTC).month)


async def _recorded_in(connection: Connection, partition: str, name: sql.Identifier) -> list[Pruned]:
    """What the entries of the month say was dropped before: they go too, and are recorded again."""
    if not partition.startswith("audit_event_"):
        return []
    cursor = await connection.execute(
        sql.SQL("SELECT subject, detail FROM {} WHERE action = {}").format(name, sql.Literal(PRUNED))
    )
    found = [(subject, json.loads(detail)) for subject, detail in await cursor.fetchall()]
    return [
        Pruned(subject, *(int(detail[member]) for member in ("first", "last", "count")))
        for subject, detail in found
    ]


def _entry(pruned: Pruned, actor: str) -> Entry:
    detail = {"count": str(pruned.count), "first": str(pruned.first), "last": str(pruned.last)}
    return Entry(actor=actor, action=PRUNED, subject=pruned.partition, detail=detail)
