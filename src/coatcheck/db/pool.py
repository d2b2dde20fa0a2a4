"""A pool of connections that recovers by itself from every failure of the database."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
from psycopg_pool import AsyncConnectionPool

from coatcheck.config import Pooling
from coatcheck.db.connections import (
    CONFIGURATION,
    MAX_IDLE,
    VERIFICATION_TIMEOUT,
    DeadlineConnection,
    Primary,
    defaults,
    has_input,
)
from coatcheck.deadline import remaining, within

POOL_TIMEOUT = timedelta(seconds=5)
"""How long a caller waits for a connection."""
RECONNECT_TIMEOUT = timedelta(seconds=1)
"""psycopg_pool doubles the pause between two attempts to connect until this time is over. Then it gives the connection
up, and makes a new one when it is needed. Short, so that no pause is longer: `Database` asks every second."""

SURPLUS_INTERVAL = timedelta(seconds=3)
"""How often the pool closes a connection, if more than `min_size` are open and one was free during the whole interval.
An idle session of PostgreSQL takes up to 10 MB."""


IDLE_WAIT, BUSY_CALLS = timedelta(milliseconds=20), 20
"""An idle pool opens no more than its least number of connections, until a caller has waited for this long, or this
many have found none free since the last verification. Otherwise periodic actions that run at the same time by chance
would open one more, which all use in turn, until each session of PostgreSQL has planned everything."""


class Pool:
    """A pool. What it lends has been verified since the last failure of any connection."""

    def __init__(
        self, url: str, primary: Primary, *, min_size: int, max_size: int, pooling: Pooling = "session"
    ) -> None:
        self._primary = primary
        self._failed_at = 0.0
        self._least = min_size
        self._lent = self._found_busy = 0
        self._is_idle = False
        self._returned = asyncio.Event()
        self._pool: AsyncConnectionPool[DeadlineConnection] = AsyncConnectionPool(
            url,
            connection_class=DeadlineConnection,
            kwargs={
                "autocommit": True,
                "primary": primary,
                **defaults(url),
                # Of most poolers, the next transaction may run in a session that has not prepared the statement.
                **({"prepare_threshold": None} if pooling == "transaction" else {}),
            },
            min_size=min_size,
            max_size=max_size,
            timeout=POOL_TIMEOUT.total_seconds(),
            max_idle=SURPLUS_INTERVAL.total_seconds(),
            reconnect_timeout=RECONNECT_TIMEOUT.total_seconds(),
            # Of a pooler, the settings would stay in a session that others get.
            configure=self._configure if pooling == "session" else None,
            check=self._check,
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    def stats(self) -> Mapping[str, int]:
        return self._pool.get_stats()

    @property
    def is_exhausted(self) -> bool:
        """Whether a caller would have to wait until another one is finished."""
        stats = self.stats()
        free = stats["pool_available"] + stats["pool_max"] - stats["pool_size"]
        return free <= stats["requests_waiting"]

    @asynccontextmanager
    async def connection(self, wait: timedelta = POOL_TIMEOUT) -> AsyncIterator[DeadlineConnection]:
        """An autocommit connection.

        Raises:
            psycopg.OperationalError: none became free in time.
        """
        connection = await self.take(wait)
        try:
            yield connection
        finally:
            await self.give_back(connection)

    async def take(self, wait: timedelta = POOL_TIMEOUT) -> DeadlineConnection:
        """As `connection`; `give_back` must follow."""
        if self._lent >= self._least:
            self._found_busy += 1
            await self._wait_while_idle()
        self._lent += 1
        try:
            return await self._pool.getconn(remaining(wait.total_seconds()))
        except BaseException:
            self._end_loan()
            raise

    async def _wait_while_idle(self) -> None:
        """Waits for a connection to be returned, if the pool is idle."""
        if self._found_busy >= BUSY_CALLS:
            self._is_idle = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_WAIT.total_seconds()):
                # Another caller may take it first.
                while self._is_idle and self._lent >= self._least:
                    self._returned.clear()
                    await self._returned.wait()
                return
        self._is_idle = False

    def _end_loan(self) -> None:
        self._lent -= 1
        self._returned.set()

    async def give_back(self, connection: DeadlineConnection) -> None:
        self._end_loan()
        connection.used_at = time.monotonic()
        if connection.closed:
            self.suspect()
        await self._pool.putconn(connection)

    def suspect(self) -> None:
        """Has every connection verified before its next use."""
        self._failed_at = time.monotonic()

    async def verify(self) -> None:
        """Verifies a connection.

        Raises:
            psycopg.OperationalError: none can be established, or the server is not the primary.
        """
        async with self.connection(VERIFICATION_TIMEOUT) as connection:
            await self._primary.verify(connection)
        self._is_idle, self._found_busy = self._found_busy < BUSY_CALLS, 0

    async def _configure(self, connection: DeadlineConnection) -> None:
        try:
            with within(VERIFICATION_TIMEOUT):
                await connection.execute(CONFIGURATION)
        except psycopg.Error:
            await connection.close()
            raise

    async def _check(self, connection: DeadlineConnection) -> None:
        """Verifies the connection if its server may have ended, hung or lost its role since its last use."""
        try:
            if (
                connection.verified_at > self._failed_at
                and time.monotonic() - connection.used_at < MAX_IDLE.total_seconds()
                and not has_input(connection)
            ):
                return
            await self._primary.verify(connection)
        except psycopg.Error:
            # What ended one connection probably ended the others. psycopg_pool pauses after each that fails.
            await self._pool.drain()
            raise
