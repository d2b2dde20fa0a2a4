"""Autocommit connections to PostgreSQL, transactions, and queries whose rows are dataclasses.

A statement outside `transaction()` is a transaction of its own and costs one round trip. The hot paths rely on it, and
share it (`coalescing`).
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import timedelta
from functools import cache, partial
from itertools import accumulate, pairwise
from typing import Any, TypeAlias, TypeVar, cast

import psycopg
import structlog
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from coatcheck import metrics
from coatcheck.config import Pooling
from coatcheck.db.connections import DeadlineConnection, Primary, is_unavailability
from coatcheck.db.pool import Pool
from coatcheck.errors import CoatcheckError, Unavailable, UserMoving

Connection: TypeAlias = psycopg.AsyncConnection[Any]
NO_CONNECTION = cast("Connection", None)
"""Stands for the connection of a request that needs none."""
Parameters: TypeAlias = Mapping[str, Any]
AnyCursor: TypeAlias = psycopg.AsyncCursor[Any]
Record = TypeVar("Record")
Joined: TypeAlias = tuple[tuple[Any, ...], Sequence[tuple[Any, ...]]]
"""The records that all rows of a join share, and for each row its other records."""

log = structlog.get_logger(__name__)

RESERVED = 2
"""Connections that only exchanges of codes and the readiness check use when all others are lent."""
PATIENCE = timedelta(milliseconds=50)
"""How long those who may use a reserved connection wait for another one."""
USER_MOVING = "CC001"
"""The SQLSTATE with which a trigger refuses a change of a user that is moving to another cell."""
SMALLEST_WITH_RESERVED = 4
"""The smallest `pool_size` of which some are reserved."""
WATCH_SECONDS = 0.5, 1.0
"""The least and the longest pause between two checks. Random, so that processes do not connect at the same instant."""


class Database:
    """The connections of a process. Open it once and use `connection()` and `transaction()`."""

    def __init__(self, url: str, *, pool_size: int, pooling: Pooling = "session") -> None:
        """`pooling` says whether each transaction may get another session. Then the role has `SESSION_SETTINGS`."""
        new_pool = partial(Pool, url, Primary(), pooling=pooling)
        reserved = RESERVED if pool_size >= SMALLEST_WITH_RESERVED else 0
        size = pool_size - reserved
        self._pool = new_pool(min_size=1, max_size=size)
        self._reserved = new_pool(min_size=1, max_size=reserved) if reserved else self._pool
        self._watch: asyncio.Task[None] | None = None
        self._is_closing = asyncio.Event()

    @property
    def _pools(self) -> Sequence[Pool]:
        return [self._pool] if self._reserved is self._pool else [self._pool, self._reserved]

    async def open(self) -> None:
        for pool in self._pools:
            await pool.open()
        self._watch = asyncio.create_task(self._watch_primary())

    async def close(self) -> None:
        self._is_closing.set()
        if self._watch is not None:
            # Not cancelled: psycopg would ask a server that may be away to cancel the statement, and wait for it.
            await self._watch
        for pool in self._pools:
            await pool.close()

    async def _watch_primary(self) -> None:
        """Notices within seconds, also without requests, that the server is gone or replaced, and connects again.

        psycopg_pool gives up after a while, and connects again only when a connection is wanted.
        """
        is_available = True
        while not self._is_closing.is_set():
            try:
                await self._reserved.verify()
                # While callers wait for a connection, the check would take one from them.
                if self._reserved is not self._pool and not self._pool.is_exhausted:
                    await self._pool.verify()
                error = None
            except psycopg.Error as caught:
                error = caught
                self._suspect()
            if is_available is not (error is None):
                is_available = error is None
                log.warning("database.recovered" if error is None else "database.lost", error=_kind(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(*WATCH_SECONDS)):  # noqa: S311 (a pause, not a secret)
                    await self._is_closing.wait()

    def pool_stats(self) -> Mapping[str, int]:
        """The state of the connections that are not reserved, by the names of `psycopg_pool`."""
        return self._pool.stats()

    @asynccontextmanager
    async def connection(self, *, is_reserved: bool = False) -> AsyncIterator[Connection]:
        """An autocommit connection: every statement is its own transaction.

        Args:
            is_reserved: whether it may be one of the reserved connections, if all others are lent.

        Raises:
            Unavailable: no connection became free in time, or the database did not answer, ended, is read-only, has no
                space or did not get a lock in time. A change may have been committed all the same.
            UserMoving: the statement changes a user that is moving to another cell. Nothing was changed.
        """
        try:
            pool, connection = await self._take(is_reserved=is_reserved)
            try:
                yield connection
            finally:
                await pool.give_back(connection)
        except psycopg.Error as error:
            if error.sqlstate == USER_MOVING:
                raise UserMoving from error
            if not is_unavailability(error):
                raise
            if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                self._suspect()
            log.warning("database.unavailable", error=_kind(error))
            metrics.DATABASE_UNAVAILABLE.inc()
            raise Unavailable(detail=_kind(error)) from error

    async def _take(self, *, is_reserved: bool) -> tuple[Pool, DeadlineConnection]:
        if is_reserved:
            with contextlib.suppress(PoolTimeout):
                return self._pool, await self._pool.take(PATIENCE)
            return self._reserved, await self._reserved.take()
        return self._pool, await self._pool.take()

    def _suspect(self) -> None:
        for pool in self._pools:
            pool.suspect()

    @asynccontextmanager
    async def transaction(self, *, is_reserved: bool = False) -> AsyncIterator[Connection]:
        """A connection in a transaction. It is never held across a call to a bank or a webhook.

        An error with `keeps_changes` is raised after the commit. A refusal can write, such as the revocation of a
        token when its code is presented again, and must not roll that back.

        Raises:
            Unavailable: as `connection`.
        """
        refusal: CoatcheckError | None = None
        async with self.connection(is_reserved=is_reserved) as connection, connection.transaction():
            try:
                yield connection
            except CoatcheckError as error:
                if not error.keeps_changes:
                    raise
                refusal = error
        if refusal is not None:
            raise refusal


def _kind(error: Exception | None) -> str | None:
    """The type of the error. Its text may quote a value of the statement."""
    return type(error).__name__ if error else None


def is_in_transaction(connection: Connection) -> bool:
    return connection.pgconn.transaction_status != TransactionStatus.IDLE


def columns(record: type, prefix: str = "") -> str:
    """The column list of a record. A statement names its columns, so that a new one breaks no older process."""
    return _column_list(record, prefix)


def nulls(record: type) -> str:
    """The column list of a record whose values are all NULL."""
    return ", ".join(f"NULL AS {name}" for name in _names(record))


@cache
def _column_list(record: Callable[..., Any], prefix: str) -> str:
    return ", ".join(f"{prefix}{name}" for name in _names(record))


@cache
def _names(record: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))  # type: ignore[arg-type]  # a record is a dataclass


_checked: set[tuple[tuple[type, ...], int]] = set()
"""Records and hashes of statements whose columns were compared with the fields: reading them costs 30 us."""


def check_columns(cursor: AnyCursor, statement: str, records: tuple[type, ...]) -> None:
    """Compares the columns of a statement with the fields of its records, once.

    Raises:
        TypeError: they differ.
    """
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
    check_columns(cursor, statement, (record,))
    return [record(*values) for values in await cursor.fetchall()]


async def fetch_one(
    connection: Connection, record: type[Record], statement: str, parameters: Parameters | None = None
) -> Record | None:
    """The first row, as `record`, or None."""
    cursor = await connection.execute(statement, parameters)
    check_columns(cursor, statement, (record,))
    values = await cursor.fetchone()
    return None if values is None else record(*values)


async def fetch_joined(
    connection: Connection,
    shared: tuple[type, ...],
    each: tuple[type, ...],
    statement: str,
    parameters: Parameters,
) -> Joined | None:
    """The rows of a join whose columns are the fields of `shared`, which are the same on every row, and of `each`.

    Returns one of each of `shared`, and for every row one of each of `each`; None if there is no row. Where an outer
    join found no row, every field of its record is None.
    """
    cursor = await connection.execute(statement, parameters)
    check_columns(cursor, statement, (*shared, *each))
    return joined(shared, each, await cursor.fetchall())


def joined(
    shared: tuple[type, ...], each: tuple[type, ...], rows: Sequence[tuple[Any, ...]]
) -> Joined | None:
    """The records of the rows of a join, as `fetch_joined`. Of `shared`, only the last row needs to have the values."""
    if not rows:
        return None
    parts = _parts((*shared, *each))
    common, own = parts[: len(shared)], parts[len(shared) :]
    return (
        tuple(record(*rows[-1][part]) for record, part in common),
        [tuple([record(*row[part]) for record, part in own]) for row in rows],
    )


async def run(connection: Connection, statement: str, parameters: Parameters | None = None) -> int:
    """Executes a statement and returns how many rows it affected."""
    cursor = await connection.execute(statement, parameters)
    return cursor.rowcount
