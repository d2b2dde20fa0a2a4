"""Partitions of tables that grow with time.

Functions of the database create and drop them with the rights of the owner of the tables: the program connects as
another role, which must not be able to change or drop what is append only.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

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
    creation = _Creation(
        table,
        name,
        "create_range_partition(%(table)s, %(name)s, %(start)s, %(end)s)",
        {"start": start, "end": end},
    )
    return await _ensure_partition(connection, creation, "key >= %(start)s AND key < %(end)s")


async def ensure_list_partition(connection: Connection, table: str, name: str, value: int) -> bool:
    """Creates the partition for `value`. Otherwise as `ensure_range_partition`."""
    creation = _Creation(
        table, name, "create_list_partition(%(table)s, %(name)s, %(value)s)", {"value": value}
    )
    return await _ensure_partition(connection, creation, "key = %(value)s")


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
            await connection.execute("SELECT drop_partition(%(name)s)", {"name": name})
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        log.info("partition.not_dropped", partition=name, error=type(error).__name__)
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Creation:
    table: str
    name: str
    call: str
    """The function of the database that creates the partition."""
    bounds: Parameters

    @property
    def parameters(self) -> Parameters:
        return {"table": self.table, "name": self.name, **self.bounds}


@dataclass(frozen=True, slots=True)
class _Parent:
    has_partition: bool
    default_name: str
    key: str
    """The column that it is partitioned by."""


async def _ensure_partition(connection: Connection, creation: _Creation, within: str) -> bool:
    parent = await fetch_one(
        connection,
        _Parent,
        """SELECT to_regclass(%(name)s) IS NOT NULL AS has_partition, p.partdefid::regclass::text AS default_name,
                  a.attname AS key
           FROM pg_partitioned_table p
           JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
           WHERE p.partrelid = %(table)s::regclass""",
        creation.parameters,
    )
    assert parent is not None, f"{creation.table} is partitioned"
    if parent.has_partition:
        return True
    # Checked first: CREATE TABLE checks it too, but holds a lock that stops every writer meanwhile.
    cursor = await connection.execute(
        f"""SELECT EXISTS (
                SELECT FROM (SELECT {parent.key} AS key FROM {parent.default_name}) AS misplaced WHERE {within})""",
        creation.parameters,
    )
    if await cursor.fetchone() == (True,):
        log.info(
            "partition.not_created",
            table=creation.table,
            partition=creation.name,
            error="the default partition has rows of its range",
        )
        return False
    return await _create_partition(connection, creation)


async def _create_partition(connection: Connection, creation: _Creation) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")
            await connection.execute(f"SELECT {creation.call}", creation.parameters)
    except (
        psycopg.errors.CheckViolation,  # the default partition got a row of its range meanwhile
        psycopg.errors.DuplicateTable,
        psycopg.errors.InvalidObjectDefinition,  # another partition has its range
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.UniqueViolation,  # created concurrently
    ) as error:
        log.info(
            "partition.not_created",
            table=creation.table,
            partition=creation.name,
            error=type(error).__name__,
        )
        return False
    return True
