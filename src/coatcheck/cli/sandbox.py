"""`coatcheck sandbox`: database, web process and worker in one process, on one directory (`data_directory`).

It runs the code of a production server, with the same schema and encryption.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from coatcheck import app, config, metrics, sandbox_clock, server, worker
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli import (
    background,
    credentials,
    data_directory,
    embedded,
    lazy_imports,
    logs,
    sandbox_api,
    world_files,
)
from coatcheck.cli.background import Options
from coatcheck.cli.console import AsJson, err
from coatcheck.cli.runtime import connect, open_services, run, run_together, until_stopped
from coatcheck.errors import ConfigurationError, OperatorError
from coatcheck.http import listening
from coatcheck.vault import master_keys

REQUEST_GRACE, STOP_GRACE = timedelta(seconds=2), timedelta(seconds=5)
"""How long running requests and jobs may take to end, and everything but the database to stop. With the database it is
less than 10 seconds."""
WATCH_INTERVAL = timedelta(seconds=1)
"""How often the database is checked."""
START_TIMEOUT, PAUSE = timedelta(seconds=30), timedelta(seconds=0.02)
"""From listening until GET /ready succeeds, and between two attempts, or two looks at the migration."""
DEFAULTS = {
    "COATCHECK_LOG_LEVEL": "WARNING",
    "COATCHECK_LOG_FORMAT": "console",
    "COATCHECK_WEBHOOK_ALLOW_PRIVATE": "true",
}
"""Settings whose default differs in a sandbox."""


@dataclass(frozen=True, slots=True)
class _Sandbox:
    settings: config.Settings
    options: Options
    bound: socket.socket
    database: embedded.Server


Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to serve on; 0 takes a free one.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
DataDirectory = Annotated[
    Path, typer.Option("--data-dir", readable=False, help="The directory for all data.")
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Determines all generated data: accounts, ids and API keys.")
]
FreezeAt = Annotated[
    datetime | None,
    typer.Option(
        metavar="INSTANT",
        formats=[background.INSTANT],
        help="The clock stands at this instant, such as 2027-01-01T00:00:00Z, until it is moved.",
    ),
]
WebhooksTo = Annotated[
    str | None, typer.Option(metavar="URL", help="Where the events and MX's webhooks of its client are sent.")
]
World = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        resolve_path=True,
        help="Make the world of this YAML file, in place of all users.",
    ),
]
NoSync = Annotated[
    bool,
    typer.Option(
        "--no-sync", help="Do not wait for the disk: faster, and a crash of the machine loses the data."
    ),
]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Run in the background, and return when it is ready.")
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait", help="Return when it is ready. If none runs on the directory, start one as --detach does."
    ),
]


def sandbox(  # noqa: PLR0913 (one parameter for each option)
    port: Port = 8000,
    host: Host = "127.0.0.1",
    data_dir: DataDirectory = data_directory.DEFAULT,
    seed: Seed = None,
    freeze_at: FreezeAt = None,
    webhooks_to: WebhooksTo = None,
    world: World = None,
    no_sync: NoSync = False,
    detach: Detach = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Runs a complete installation until SIGTERM or Ctrl-C: PostgreSQL, web process and worker, with credentials.

    Prints `ready` when it serves; with --json, one line of JSON. The same directory has the same data and credentials
    at each run. With --detach or --wait, the exit code is not 0 if it does not start, and `coatcheck stop` ends it.

    Example: coatcheck sandbox --detach --port 8000 --data-dir ./sandbox --seed 7
    """
    options = Options(
        port=port,
        host=host,
        directory=data_directory.resolve(data_dir),
        seed=seed,
        freeze_at=freeze_at and freeze_at.replace(tzinfo=UTC),
        webhooks_to=webhooks_to,
        world=world,
        no_sync=no_sync,
        as_json=as_json,
    )
    if not (wait or detach):
        _run_until_stopped(options)
        return
    data_directory.create(options.directory)
    if wait and background.is_running(options.directory):
        background.wait(options)
    else:
        background.start(options)


def _run_until_stopped(options: Options) -> None:
    is_stopped = False

    def note_stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_stopped
        is_stopped = True

    # While it starts, these raise nothing: an import that is interrupted leaves half a module.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, note_stop)
    data_directory.ignore_libpq_environment()
    # The port first: if it is taken, nothing has been created or started.
    with listening.listen(options.host, options.port) as bound:
        data_directory.create(options.directory)
        _create_master_key(options.directory)
        with (
            err.status("Starting PostgreSQL") as status,
            embedded.server(
                options.directory / data_directory.DATABASE, _parameters(options), embedded.SMALL_HEAP
            ) as database,
        ):
            status.update("Migrating the database")
            _migrate(database.url, lambda: is_stopped)
            started = _Sandbox(_settings(options, database.url, bound), options, bound, database)
            status.stop()

            async def run_unless_stopped(stop: asyncio.Event) -> None:
                if is_stopped:
                    raise KeyboardInterrupt
                await _run(started, stop)

            run(until_stopped(run_unless_stopped))


def _parameters(options: Options) -> Mapping[str, str]:
    return {**embedded.SMALL, **(embedded.FOR_DEVELOPMENT if options.no_sync else {})}


def _migrate(url: str, is_stopped: Callable[[], bool]) -> None:
    """Migrates in another process, while this one imports what it needs: a start takes a second less.

    Raises:
        OperatorError: it failed.
        KeyboardInterrupt: the sandbox is stopped. The next start migrates the rest.
    """
    command = [sys.executable, "-m", "coatcheck.migrations", url]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as migration:  # noqa: S603 (this program)
        lazy_imports.load()
        problem = None
        while problem is None:
            if is_stopped():
                migration.kill()
                raise KeyboardInterrupt
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, problem = migration.communicate(timeout=PAUSE.total_seconds())
    if migration.returncode:
        reasons = problem.strip().splitlines() or [f"The migration ended with code {migration.returncode}."]
        raise OperatorError(reasons[-1])


def _create_master_key(directory: Path) -> None:
    file = directory / data_directory.MASTER_KEY
    try:
        if not file.exists():
            data_directory.write_file(file, master_keys.new_master_key_line() + "\n")
    except OSError as error:
        raise data_directory.unusable(file, error) from error


def _settings(options: Options, url: str, bound: socket.socket) -> config.Settings:
    """The settings of the environment, except those that the directory determines."""
    data_directory.stored_seed(options.directory, options.seed)
    settings = config.load(
        {**DEFAULTS, **os.environ},
        host=bound.getsockname()[0],
        port=bound.getsockname()[1],
        database_url=url,
        **data_directory.settings_of(options.directory),
    )
    logs.configure(settings.log_level, settings.log_format)
    return settings


def _address(bound: socket.socket) -> str:
    """The URL at which this machine reaches the socket."""
    host, port = bound.getsockname()[:2]
    return config.address_of(host, port)


async def _run(sandbox: _Sandbox, stop: asyncio.Event) -> None:
    settings, options = sandbox.settings, sandbox.options
    if options.freeze_at is not None:
        await _freeze_clock(options.directory, settings.database_url, options.freeze_at)
    async with open_services(settings) as services:
        async with services.db.connection() as connection:
            await app.prepare_partitions(connection, services.clock.now(), settings)
        with services.seeding.caller(OPERATOR):
            created = await credentials.ensure_credentials(
                services, options.directory, webhooks_to=options.webhooks_to
            )
            if options.world is not None:
                await world_files.make_world(services, options.world, options.directory)
        with metrics.exposed(settings.metrics_host, settings.metrics_port, services.db.pool_stats):
            await run_together(
                stop,
                STOP_GRACE,
                server.serve(
                    server.create_app(services),
                    sandbox.bound,
                    stop,
                    grace=REQUEST_GRACE,
                    headers=server.headers_of_all(settings),
                ),
                worker.main(services, stop, grace=REQUEST_GRACE),
                _announce(sandbox, created, stop),
                _watch_database(sandbox.database, stop),
            )


async def _freeze_clock(directory: Path, database_url: str, at: datetime) -> None:
    """Stops the clock of a new sandbox at the instant.

    Raises:
        ConfigurationError: the directory was created with a clock that runs, or stands elsewhere.
    """
    async with connect(database_url) as connection:
        if data_directory.read_credentials(directory) is None:
            await sandbox_clock.freeze(connection, at)
        stored = (await sandbox_clock.read_clock(connection)).frozen_at
    if stored != at:
        created = f"with --freeze-at {stored:{background.INSTANT}}" if stored else "with a clock that runs"
        raise ConfigurationError(
            f"{directory} was created {created}. Leave --freeze-at out, or choose another --data-dir."
        )


async def _watch_database(database: embedded.Server, stop: asyncio.Event) -> None:
    """Starts the database again whenever it ended, as when the system killed it to free memory.

    Raises:
        ConfigurationError: it cannot start.
    """
    while not stop.is_set():
        if await asyncio.to_thread(database.start_again):
            err.print("The embedded database ended and was started again.")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH_INTERVAL.total_seconds()):
                await stop.wait()


async def _announce(sandbox: _Sandbox, created: data_directory.Credentials, stop: asyncio.Event) -> None:
    """Prints the credentials, and `ready` once the server answers; then waits for the stop."""
    options = sandbox.options
    if not options.as_json:
        background.print_credentials(options.directory, created)
    await _wait_until_it_answers(_address(sandbox.bound), stop)
    if not stop.is_set():
        line = json.dumps(background.facts(options.directory, created)) if options.as_json else "ready"
        print(line, flush=True)  # noqa: T201 (scripts wait for this line)
    await stop.wait()


async def _wait_until_it_answers(address: str, stop: asyncio.Event) -> None:
    deadline = time.monotonic() + START_TIMEOUT.total_seconds()
    while not stop.is_set():
        if await asyncio.to_thread(sandbox_api.is_ready, address):
            return
        if time.monotonic() > deadline:
            raise OperatorError(
                f"{address}/ready does not answer. Run the command again with COATCHECK_LOG_LEVEL=DEBUG."
            )
        await asyncio.sleep(PAUSE.total_seconds())
