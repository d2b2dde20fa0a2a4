"""The way to PostgreSQL: a pool of autocommit connections, and the one place that commits.

A statement outside `transaction()` is its own transaction and costs one round trip; the hot paths rely on it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeAlias, TypeVar

import psycopg
import structlog
from psycopg import sql
from psycopg.rows import RowMaker
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from coatcheck.errors import CoatcheckError, Unavailable

__all__ = [
    "Connection",
    "Database",
    "Parameters",
    "columns",
    "ensure_list_partition",
    "ensure_month_partitions",
    "ensure_range_partition",
    "fetch_all",
    "fetch_one",
    "run",
]

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Parameters: TypeAlias = Mapping[str, Any]
AnyCursor: TypeAlias = psycopg.AsyncCursor[Any]
Record = TypeVar("Record")

log = structlog.get_logger(__name__)

POOL_TIMEOUT = timedelta(seconds=5)
STATEMENT_TIMEOUT = timedelta(seconds=30)
PARTITION_PATIENCE = "500ms"
"""How long making a partition waits for the default one, which everybody writes to meanwhile."""


async def _configure(connection: Connection) -> None:
    # Redemption, revocation and key disabling must survive a failover, whatever the server's default is.
    await connection.execute("SET synchronous_commit TO on")
    await connection.execute("SET timezone TO 'UTC'")
    # A plan for each execution looks at every week of tokens; one plan for all prunes as it runs (2.3 ms -> 0.8 ms).
    await connection.execute("SET plan_cache_mode TO force_generic_plan")
    await connection.execute(f"SET statement_timeout TO {int(STATEMENT_TIMEOUT.total_seconds() * 1000)}")


class Database:
    """The pool. Open it once per process; `connection()` and `transaction()` are its doors."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        self.url = url
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min(2, pool_size),
            max_size=pool_size,
            timeout=POOL_TIMEOUT.total_seconds(),
            kwargs={"autocommit": True, "application_name": "coatcheck"},
            configure=_configure,
            check=None,
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """An autocommit connection: every statement stands alone.

        Raises:
            Unavailable: no connection came free in time, or the server went away.
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as error:
            log.warning("database.unavailable", error=type(error).__name__)
            raise Unavailable(detail=type(error).__name__) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """All or nothing; never held across a call to a bank or a webhook.

        An error with `keeps_changes` is raised after the commit, so that a refusal can leave its trace.
        """
        refusal: CoatcheckError | None = None
        async with self.connection() as connection, connection.transaction():
            try:
                yield connection
            except CoatcheckError as error:
                if not error.keeps_changes:
                    raise
                refusal = error
        if refusal is not None:
            raise refusal


def columns(record: type, prefix: str = "") -> str:
    """The column list of a record, so that a new column never breaks a running older process."""
    return ", ".join(f"{prefix}{name}" for name in _names(record))


@cache
def _names(record: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))  # type: ignore[arg-type]  # a record is a dataclass


def _rows_into(record: Callable[..., Record]) -> Callable[[AnyCursor], RowMaker[Record]]:
    """A row factory that fills the record by position, after one look at the names: four times as fast as by name."""

    def factory(cursor: AnyCursor) -> RowMaker[Record]:
        names = tuple(column.name for column in cursor.description or ())
        if names and names != _names(record):
            raise TypeError(f"{record} is read from {', '.join(names)}")
        return lambda values: record(*values)

    return factory


async def fetch_all(
    connection: Connection, record: type[Record], statement: str, parameters: Parameters | None = None
) -> Sequence[Record]:
    """Every row, as `record`."""
    async with connection.cursor(row_factory=_rows_into(record)) as cursor:
        await cursor.execute(statement, parameters)
        return await cursor.fetchall()


async def fetch_one(
    connection: Connection, record: type[Record], statement: str, parameters: Parameters | None = None
) -> Record | None:
    """The first row, as `record`, or None."""
    async with connection.cursor(row_factory=_rows_into(record)) as cursor:
        await cursor.execute(statement, parameters)
        return await cursor.fetchone()


async def run(connection: Connection, statement: str, parameters: Parameters | None = None) -> int:
    """Executes a statement for its effect; how many rows it touched."""
    cursor = await connection.execute(statement, parameters)
    return cursor.rowcount


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
            await connection.execute(f"SET LOCAL lock_timeout TO '{PARTITION_PATIENCE}'")
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
