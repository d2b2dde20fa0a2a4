"""Partitions of tables that grow with time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import structlog
from psycopg import sql

from coatcheck.db.database import Connection, Parameters, fetch_one

log = structlog.get_logger(__name__)

LOCK_TIMEOUT = "500ms"
"""How long making a partition waits for the default one, which everybody writes to meanwhile."""


async def ensure_range_partition(
    connection: Connection, table: str, name: str, start: datetime, end: datetime
) -> bool:
    """Makes the partition that holds `start` until before `end`; whether it is there now.

    It stays away, for the next call to try again, while the default partition holds rows of that range or is
    too busy. Never raises because somebody else was making it. Call it outside a transaction: it locks the
    default partition.
    """
    bounds = sql.SQL("FROM ({}) TO ({})").format(sql.Literal(start), sql.Literal(end))
    within = {"start": start, "end": end}
    return await _ensure_partition(
        connection, table, name, bounds, "key >= %(start)s AND key < %(end)s", within
    )


async def ensure_list_partition(connection: Connection, table: str, name: str, value: int) -> bool:
    """Makes the partition that holds `value`; in all else as `ensure_range_partition`."""
    bounds = sql.SQL("IN ({})").format(sql.Literal(value))
    return await _ensure_partition(connection, table, name, bounds, "key = %(value)s", {"value": value})


async def ensure_month_partitions(connection: Connection, table: str, now: datetime, months: int = 3) -> None:
    """The partitions `<table>_YYYY_MM` of this month and the following ones, in UTC."""
    start = datetime(now.year, now.month, 1, tzinfo=UTC)
    for _ in range(months):
        end = (start + timedelta(days=32)).replace(day=1)
        await ensure_range_partition(connection, table, f"{table}_{start:%Y_%m}", start, end)
        start = end


@dataclass(frozen=True, slots=True)
class _Parent:
    has_it: bool
    rest: str
    """Its default partition."""
    key: str
    """The column it is partitioned by."""


async def _ensure_partition(
    connection: Connection, table: str, name: str, bounds: sql.Composable, within: str, values: Parameters
) -> bool:
    parent = await fetch_one(
        connection,
        _Parent,
        """SELECT to_regclass(%(name)s) IS NOT NULL AS has_it, p.partdefid::regclass::text AS rest, a.attname AS key
           FROM pg_partitioned_table p
           JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
           WHERE p.partrelid = %(table)s::regclass""",
        {"name": name, "table": table},
    )
    assert parent is not None, f"{table} is partitioned"
    if parent.has_it:
        return True
    # Asked beforehand, because finding it out in the making holds a lock that stops everybody.
    cursor = await connection.execute(
        f"SELECT EXISTS (SELECT FROM (SELECT {parent.key} AS key FROM {parent.rest}) AS rest WHERE {within})",
        values,
    )
    if await cursor.fetchone() == (True,):
        log.info(
            "partition.not_made", table=table, partition=name, error="the default partition holds its rows"
        )
        return False
    return await _make_partition(connection, table, name, bounds)


async def _make_partition(connection: Connection, table: str, name: str, bounds: sql.Composable) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")
            await connection.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES {}").format(
                    sql.Identifier(name), sql.Identifier(table), bounds
                )
            )
    except (
        psycopg.errors.CheckViolation,  # a row of it came into the default partition meanwhile
        psycopg.errors.DuplicateTable,
        psycopg.errors.InvalidObjectDefinition,  # another partition covers it
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.UniqueViolation,  # two made it at once
    ) as error:
        log.info("partition.not_made", table=table, partition=name, error=type(error).__name__)
        return False
    return True
