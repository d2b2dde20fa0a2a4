"""How a command runs: its event loop, its signals, and services on a database that is migrated."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import structlog
import uvloop

from coatcheck import app, cell_digit, config, sandbox_clock
from coatcheck.audit.entries import OPERATOR
from coatcheck.cells import directory
from coatcheck.cli import lazy_imports, logs
from coatcheck.cli.console import err
from coatcheck.cli.settings import load_settings
from coatcheck.db import connections, database
from coatcheck.errors import ConfigurationError, DatabaseRefused, DatabaseUnreachable, NotMigrated
from coatcheck.migrations import revision

T = TypeVar("T")

CONNECT_TIMEOUT = 5
"""Seconds."""
LOOK_UPS = 64
"""How many host names a process looks up at the same time. One whose name server does not answer waits for 10 seconds
or longer, and whoever has a webhook chooses the name: with libuv's two, the first two held up every other connection,
those to the database too. More than one client or processor can have under way at once."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP is sent when the terminal is closed."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on uvloop until it returns. From then on a crash writes no core dump: it would contain keys.

    Raises:
        DatabaseRefused: the database refused a statement.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # libuv gives half of its threads to look-ups. It reads the variable at the first one.
    os.environ.setdefault("UV_THREADPOOL_SIZE", str(2 * LOOK_UPS))
    lazy_imports.load()
    if not structlog.is_configured():
        logs.configure("WARNING", "console")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    except psycopg.Error as error:
        raise DatabaseRefused(
            f"The database refused: {_first_line(error)}. Run `coatcheck doctor`."
        ) from error


def read(query: Callable[[app.Services, database.Connection], Awaitable[T]]) -> T:
    """Opens the services, and returns what the query reads on an autocommit connection."""

    async def main() -> T:
        async with open_services() as services, services.db.connection() as connection:
            return await query(services, connection)

    return run(main())


def change(action: Callable[[app.Services, database.Connection], Awaitable[T]]) -> T:
    """Opens the services, and does the action in one transaction. Other cells get what it changed of the directory."""

    async def main() -> T:
        async with open_services() as services:
            async with services.db.transaction() as connection:
                with services.seeding.caller(OPERATOR):
                    result = await action(services, connection)
            await directory.publish_directory(services)
            return result

    return run(main())


async def until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main` with an event that SIGTERM, SIGINT or SIGHUP sets. Further signals are ignored."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = [number for number in STOP_SIGNALS if not _is_ignored(number)]
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        await main(stop)
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # the clean-up that follows must not be interrupted


def _is_ignored(number: signal.Signals) -> bool:
    """Whether `nohup` started the process, which must survive its terminal."""
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


async def run_together(stop: asyncio.Event, grace: timedelta, *parts: Coroutine[Any, Any, None]) -> None:
    """Runs the parts side by side. When one ends or fails, it sets `stop` for the others.

    Args:
        stop: ends every part.
        grace: how long the parts may take to stop before they are cancelled.
        parts: the coroutines.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        _, late = await asyncio.wait(tasks, timeout=grace.total_seconds())
        for task in late:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


@asynccontextmanager
async def open_services(settings: config.Settings | None = None) -> AsyncIterator[app.Services]:
    """Builds the services, once the database answers and is migrated.

    A command (without `settings`) on the database of a sandbox uses the sandbox's clock, which may have been moved.

    Raises:
        ConfigurationError: a setting or the master key is missing or not usable.
        DatabaseUnreachable: the database does not answer.
        NotMigrated: its schema is older than this program.
    """
    is_command = settings is None
    settings = settings or load_settings(pool_size=2)
    async with connect(settings.database_url) as connection:
        if not await revision.is_current(connection):
            raise NotMigrated
        await _check_session(connection, settings)
        if is_command and await sandbox_clock.read_clock(connection) != sandbox_clock.StoredClock():
            settings = replace(settings, sandbox=True)
    with cell_digit.in_cell(settings.cell):
        async with app.build(settings) as services:
            yield services


async def _check_session(connection: psycopg.AsyncConnection[Any], settings: config.Settings) -> None:
    if settings.database_pooling != "session" and (missing := await connections.missing_settings(connection)):
        raise ConfigurationError(
            f"The sessions behind the pooler do not have the settings {', '.join(missing)}."
            " `coatcheck doctor` prints the statement that sets them."
        )


@asynccontextmanager
async def connect(url: str, setting: str = "database_url") -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A single connection. It fails at once with the reason, where the pool would wait.

    Args:
        url: may lead to a pooler.
        setting: where the URL is from.

    Raises:
        ConfigurationError: no URL is configured, or it cannot be parsed.
        DatabaseUnreachable: no server answers, or it refuses the user or the database.
    """
    if not url:
        raise ConfigurationError(
            "No database is configured. Set COATCHECK_DATABASE_URL, such as postgresql://coatcheck@db/coatcheck."
        )
    try:
        with err.status("Connecting to the database"):
            connection = await psycopg.AsyncConnection.connect(
                # Nothing is prepared: behind a pooler, the next statement may reach another session of the server.
                url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT,
                prepare_threshold=None,
            )
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"The setting {setting} cannot be parsed: {_first_line(error)}.") from error
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(
            f"The database cannot be reached: {_first_line(error)}. Check {config.PREFIX}{setting.upper()}."
        ) from error
    async with connection:
        yield connection


def _first_line(error: psycopg.Error) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")
