"""How a verb runs: on uvloop, until it is told to stop, in a house whose database is fit to be used."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import uvloop

from coatcheck.app import Services, build
from coatcheck.config import Settings, load
from coatcheck.errors import ConfigurationError, NotMigrated
from coatcheck.migrations.revision import is_current

T = TypeVar("T")

CONNECT_TIMEOUT = 5
"""Seconds."""
STOPS = (signal.SIGTERM, signal.SIGINT)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a verb to its end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def until_told(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main` with an event that SIGTERM or SIGINT sets; a second signal finds nobody listening."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, stop.set)
    try:
        await main(stop)
    finally:
        for number in STOPS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # what is left is cleaning up, which must not be cut short


async def together(stop: asyncio.Event, patience: timedelta, *parts: Coroutine[Any, Any, None]) -> None:
    """Runs the parts side by side; when one ends or fails, the others are told to stop.

    Args:
        stop: tells them.
        patience: how long they may take to stop before they are cut off.
        parts: all run in this process.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        _, late = await asyncio.wait(tasks, timeout=patience.total_seconds())
        for task in late:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception):
            raise result


@asynccontextmanager
async def opened(settings: Settings | None = None) -> AsyncIterator[Services]:
    """The house, once its database answers and is migrated.

    Raises:
        ConfigurationError: the database is not named or not reachable, or the master key is missing.
        NotMigrated: its schema is older than this program.
    """
    settings = settings or load(pool_size=2)
    async with reached(settings.database_url) as connection:
        if not await is_current(connection):
            raise NotMigrated
    async with build(settings) as services:
        yield services


@asynccontextmanager
async def reached(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of one's own, which says at once what is wrong where the pool would wait.

    Raises:
        ConfigurationError: no URL, no server, no such database or user; in the server's words.
    """
    if not url:
        raise ConfigurationError(
            "No database is configured. Set COATCHECK_DATABASE_URL, such as postgresql://coatcheck@db/coatcheck."
        )
    try:
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT
        )
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigurationError(
            f"The database cannot be reached: {words[0].strip()}. Check COATCHECK_DATABASE_URL."
        ) from error
    async with connection:
        yield connection
