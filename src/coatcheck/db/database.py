"""The way to PostgreSQL: a pool of autocommit connections, and the one place that commits.

A statement outside `transaction()` is its own transaction and costs one round trip; the hot paths rely on it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import timedelta
from functools import cache
from typing import Any, TypeAlias, TypeVar

import psycopg
import structlog
from psycopg.rows import RowMaker
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from coatcheck.errors import CoatcheckError, Unavailable

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Parameters: TypeAlias = Mapping[str, Any]
AnyCursor: TypeAlias = psycopg.AsyncCursor[Any]
Record = TypeVar("Record")

log = structlog.get_logger(__name__)

POOL_TIMEOUT = timedelta(seconds=5)
STATEMENT_TIMEOUT = timedelta(seconds=30)


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
