"""Partitions of tables that grow with time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import structlog
from psycopg import sql

from coatcheck.db.database import Connection, Parameters, fetch_one

log = structlog.get_logger(__name__)

LOCK_TIMEOUT = "500ms"
"""How long creating or dropping a partition waits for its locks: every later reader and writer waits behind it."""


async def ensure_range_partition(
    connection: Connection, table: str, name: str, start: datetime, end: datetime
) -> bool:
    """Creates the partition for `start` until before `end`, if it is missing, and returns whether it exists now.

    It does not exist yet if the default partition has rows of that range or its lock is not free; the next call tries
    again. Concurrent creation of the same partition is no error. Call it outside a transaction: it locks the default
    partition.
    """
    bounds = sql.SQL("FROM ({}) TO ({})").format(sql.Literal(start), sql.Literal(end))
    within = {"start": start, "end": end}
    return await _ensure_partition(
        connection, table, name, bounds, "key >= %(start)s AND key < %(end)s", within
    )


async def ensure_list_partition(connection: Connection, table: str, name: str, value: int) -> bool:
    """Creates the partition for `value`. Otherwise as `ensure_range_partition`."""
    bounds = sql.SQL("IN ({})").format(sql.Literal(value))
    return await _ensure_partition(connection, table, name, bounds, "key = %(value)s", {"value": value})


async def ensure_month_partitions(connection: Connection, table: str, now: datetime, months: int = 3) -> None:
    """Creates the partitions `<table>_YYYY_MM` of this month and the following ones, in UTC."""
    start = datetime(now.year, now.month, 1, tzinfo=UTC)
    for _ in range(months):
        end = (start + timedelta(days=32)).replace(day=1)
        await ensure_range_partition(connection, table, f"{table}_{start:%Y_%m}", start, end)
        start = end


async def drop_partition(connection: Connection, name: str) -> bool:
    """Drops the partition, and returns whether it is gone.

    It is not if a lock of it or of its table is not free; the next call tries again. It is no error if it was dropped
    concurrently. Call it outside a transaction: it locks the whole table.
    """
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")
            await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        log.info("partition.not_dropped", partition=name, error=type(error).__name__)
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Parent:
    has_partition: bool
    default_name: str
    key: str
    """The column that it is partitioned by."""


async def _ensure_partition(
    connection: Connection, table: str, name: str, bounds: sql.Composable, within: str, values: Parameters
) -> bool:
    parent = await fetch_one(
        connection,
        _Parent,
        """SELECT to_regclass(%(name)s) IS NOT NULL AS has_partition, p.partdefid::regclass::text AS default_name,
                  a.attname AS key
           FROM pg_partitioned_table p
           JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
           WHERE p.partrelid = %(table)s::regclass""",
        {"name": name, "table": table},
    )
    assert parent is not None, f"{table} is partitioned"
    if parent.has_partition:
        return True
    # Checked first: CREATE TABLE checks it too, but holds a lock that stops every writer meanwhile.
    cursor = await connection.execute(
        f"""SELECT EXISTS (
                SELECT FROM (SELECT {parent.key} AS key FROM {parent.default_name}) AS misplaced WHERE {within})""",
        values,
    )
    if await cursor.fetchone() == (True,):
        log.info(
            "partition.not_created",
            table=table,
            partition=name,
            error="the default partition has rows of its range",
        )
        return False
    return await _create_partition(connection, table, name, bounds)


async def _create_partition(connection: Connection, table: str, name: str, bounds: sql.Composable) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")
            await connection.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES {}").format(
                    sql.Identifier(name), sql.Identifier(table), bounds
                )
            )
    except (
        psycopg.errors.CheckViolation,  # the default partition got a row of its range meanwhile
        psycopg.errors.DuplicateTable,
        psycopg.errors.InvalidObjectDefinition,  # another partition has its range
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.UniqueViolation,  # created concurrently
    ) as error:
        log.info("partition.not_created", table=table, partition=name, error=type(error).__name__)
        return False
    return True
