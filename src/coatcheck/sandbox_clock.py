"""A sandbox's clock, in the database: how far it was moved, and where it stands if it does not run by itself.

It survives a restart, and every process follows it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from coatcheck.clock import MovableClock, SystemClock
from coatcheck.db.database import Connection, Database, fetch_one, run
from coatcheck.errors import Unavailable

FOLLOW = timedelta(seconds=0.2)
"""How often a process reads how far another one moved the clock."""


@dataclass(frozen=True, slots=True)
class StoredClock:
    moved_by: timedelta = timedelta()
    frozen_at: datetime | None = None
    """Where it stands when it was not moved. None: it runs."""

    def now(self) -> datetime:
        return (self.frozen_at or SystemClock().now()) + self.moved_by


async def read_clock(connection: Connection) -> StoredClock:
    stored = await fetch_one(connection, StoredClock, "SELECT moved_by, frozen_at FROM sandbox_clock")
    return stored or StoredClock()


async def freeze(connection: Connection, at: datetime) -> None:
    """Stops the clock at the instant, before anything has happened. From then on it only changes when it is moved."""
    await run(
        connection,
        """INSERT INTO sandbox_clock (frozen_at) VALUES (%(at)s)
           ON CONFLICT (is_only) DO UPDATE SET frozen_at = excluded.frozen_at""",
        {"at": at},
    )


async def count_start(connection: Connection) -> int:
    """Counts the start of a process, and returns how many there were."""
    cursor = await connection.execute(
        """INSERT INTO sandbox_clock (starts) VALUES (1)
           ON CONFLICT (is_only) DO UPDATE SET starts = sandbox_clock.starts + 1 RETURNING starts"""
    )
    row = await cursor.fetchone()
    assert row is not None, "the statement returns its row"
    starts: int = row[0]
    return starts


async def store_offset(connection: Connection, offset: timedelta) -> None:
    """Moves the clock of every process. It never moves back."""
    await run(
        connection,
        """INSERT INTO sandbox_clock (moved_by) VALUES (%(offset)s)
           ON CONFLICT (is_only) DO UPDATE SET moved_by = greatest(sandbox_clock.moved_by, excluded.moved_by)""",
        {"offset": offset},
    )


@asynccontextmanager
async def following(db: Database, clock: MovableClock) -> AsyncIterator[None]:
    """The clock is as far ahead as the database says, while the block runs."""

    async def read() -> None:
        async with db.connection() as connection:
            stored = await read_clock(connection)
        if stored.frozen_at is not None:
            clock.freeze(stored.frozen_at)
        clock.move_to(stored.moved_by)

    stopped = asyncio.Event()

    async def follow() -> None:
        while not stopped.is_set():
            with suppress(Unavailable):
                await read()
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), FOLLOW.total_seconds())

    await read()
    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        # Not by a cancellation: one that arrives while the task reads can be lost, and then the task never ends.
        stopped.set()
        await task
