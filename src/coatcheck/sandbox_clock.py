"""How far a sandbox's clock was moved, in the database: it survives a restart, and every process follows it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from coatcheck.clock import MovableClock
from coatcheck.db.database import Connection, Database, run
from coatcheck.errors import Unavailable

FOLLOW = timedelta(seconds=0.2)
"""How often a process reads how far another one moved the clock."""


async def read_offset(connection: Connection) -> timedelta:
    """How far the clock is ahead of the system's."""
    cursor = await connection.execute("SELECT moved_by FROM sandbox_clock")
    row = await cursor.fetchone()
    return row[0] if row else timedelta()


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
            clock.move_to(await read_offset(connection))

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
