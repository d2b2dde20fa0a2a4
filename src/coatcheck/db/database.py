"""A pool of autocommit connections to PostgreSQL, transactions, and queries whose rows are dataclasses.

A statement outside `transaction()` is a transaction of its own and costs one round trip. The hot paths rely on it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import timedelta
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, TypeAlias, TypeVar

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from coatcheck import metrics
from coatcheck.errors import CoatcheckError, Unavailable

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Parameters: TypeAlias = Mapping[str, Any]
AnyCursor: TypeAlias = psycopg.AsyncCursor[Any]
Record = TypeVar("Record")

log = structlog.get_logger(__name__)

POOL_TIMEOUT = timedelta(seconds=5)
STATEMENT_TIMEOUT = timedelta(seconds=30)


async def _configure(connection: Connection) -> None:
    # Redemption, revocation and key disabling must survive a failover, whatever the server's default.
    await connection.execute("SET synchronous_commit TO on")
    await connection.execute("SET timezone TO 'UTC'")
    # A custom plan considers every partition of the tokens; a generic plan prunes at run time (2.3 ms -> 0.8 ms).
    await connection.execute("SET plan_cache_mode TO force_generic_plan")
    await connection.execute(f"SET statement_timeout TO {int(STATEMENT_TIMEOUT.total_seconds() * 1000)}")


class Database:
    """A connection pool. Open it once per process and use `connection()` and `transaction()`."""

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

    def pool_stats(self) -> Mapping[str, int]:
        """The state of the pool, by the names of `psycopg_pool`."""
        return self._pool.get_stats()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """An autocommit connection: every statement is its own transaction.

        Raises:
            Unavailable: no connection became free within `POOL_TIMEOUT`, or the server closed the connection.
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as error:
            log.warning("database.unavailable", error=type(error).__name__)
            metrics.DATABASE_UNAVAILABLE.inc()
            raise Unavailable(detail=type(error).__name__) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction. It is never held across a call to a bank or a webhook.

        An error with `keeps_changes` is raised after the commit. A refusal can write, such as the revocation of a
        token when its code is presented again, and must not roll that back.

        Raises:
            Unavailable: as `connection`.
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
    """The column list of a record. A statement names its columns, so that a new one breaks no older process."""
    return _column_list(record, prefix)


@cache
def _column_list(record: Callable[..., Any], prefix: str) -> str:
    return ", ".join(f"{prefix}{name}" for name in _names(record))


@cache
def _names(record: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))  # type: ignore[arg-type]  # a record is a dataclass


_checked: set[tuple[tuple[type, ...], int]] = set()
"""Records and hashes of statements whose columns were compared with the fields: reading them costs 30 us."""


def _check_columns(cursor: AnyCursor, statement: str, records: tuple[type, ...]) -> None:
    key = records, hash(statement)
    if key in _checked or cursor.description is None:
        return
    names = tuple(column.name for column in cursor.description)
    expected = tuple(name for record in records for name in _names(record))
    if names != expected:
        raise TypeError(f"The columns are {', '.join(names)}, the fields {', '.join(expected)}")
    _checked.add(key)


@cache
def _parts(records: tuple[type, ...]) -> Sequence[tuple[type, slice]]:
    """Each record, and which columns of a row are its fields."""
    ends = accumulate((len(_names(record)) for record in records), initial=0)
    return [(record, slice(*bounds)) for record, bounds in zip(records, pairwise(ends), strict=True)]


async def fetch_all(
    connection: Connection, record: type[Record], statement: str, parameters: Parameters | None = None
) -> Sequence[Record]:
    """Every row, as `record`. By position, which is four times as fast as by name."""
    cursor = await connection.execute(statement, parameters)
    _check_columns(cursor, statement, (record,))
    return [record(*values) for values in await cursor.fetchall()]


async def fetch_one(
    connection: Connection, record: type[Record], statement: str, parameters: Parameters | None = None
) -> Record | None:
    """The first row, as `record`, or None."""
    cursor = await connection.execute(statement, parameters)
    _check_columns(cursor, statement, (record,))
    values = await cursor.fetchone()
    return None if values is None else record(*values)


async def fetch_joined(
    connection: Connection,
    shared: tuple[type, ...],
    each: tuple[type, ...],
    statement: str,
    parameters: Parameters,
) -> tuple[tuple[Any, ...], Sequence[tuple[Any, ...]]] | None:
    """The rows of a join whose columns are the fields of `shared`, which are the same on every row, and of `each`.

    Returns one of each of `shared`, and for every row one of each of `each`; None if there is no row. Where an outer
    join found no row, every field of its record is None.
    """
    cursor = await connection.execute(statement, parameters)
    _check_columns(cursor, statement, (*shared, *each))
    rows = await cursor.fetchall()
    if not rows:
        return None
    parts = _parts((*shared, *each))
    common, own = parts[: len(shared)], parts[len(shared) :]
    return (
        tuple(record(*rows[0][part]) for record, part in common),
        [tuple([record(*row[part]) for record, part in own]) for row in rows],
    )


async def run(connection: Connection, statement: str, parameters: Parameters | None = None) -> int:
    """Executes a statement and returns how many rows it affected."""
    cursor = await connection.execute(statement, parameters)
    return cursor.rowcount
