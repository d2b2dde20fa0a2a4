"""`coatcheck sandbox`: database, web process and worker in one process, on one directory.

    DIR/postgres          the embedded database          DIR/master.key         wraps its keys (0600)
    DIR/credentials.json  address, ids, keys (0600)      DIR/seed               the --seed of the first run

It runs the code of a production server, with the same schema and encryption.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import httpx
import typer

from coatcheck import metrics, server, worker
from coatcheck.app import prepare_partitions
from coatcheck.cli import credentials, embedded, logs
from coatcheck.cli.console import AsJson, err, out
from coatcheck.cli.credentials import Credentials
from coatcheck.cli.runtime import open_services, run, run_together, until_stopped
from coatcheck.config import Settings, load
from coatcheck.errors import ConfigurationError, OperatorError
from coatcheck.migrations import upgrade
from coatcheck.vault.master_keys import new_master_key_line

DEFAULT_DIRECTORY = Path("~/.coatcheck/sandbox")
REQUEST_GRACE, STOP_GRACE = timedelta(seconds=2), timedelta(seconds=5)
"""How long running requests and jobs may take to end, and everything but the database to stop. With the database it is
less than 10 seconds."""
WATCH_INTERVAL = timedelta(seconds=1)
"""How often the database is checked."""
START_TIMEOUT = timedelta(seconds=30)
"""From listening until GET /health succeeds."""


@dataclass(frozen=True, slots=True)
class _Sandbox:
    settings: Settings
    directory: Path
    bound: socket.socket
    as_json: bool
    database: embedded.Server


def sandbox(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to serve on; 0 takes a free one.")
    ] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    data_dir: Annotated[Path, typer.Option(help="The directory for all data.")] = DEFAULT_DIRECTORY,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Determines all generated data: accounts, ids and API keys."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Runs a complete installation until SIGTERM or Ctrl-C: PostgreSQL, web process and worker, with credentials.

    Prints `ready` when it serves; with --json, one line of JSON. The same directory has the same data and credentials
    at each run.

    Example: coatcheck sandbox --port 8000 --data-dir ./sandbox --seed 7
    """
    # While it starts, these raise as Ctrl-C does, so that a started database is stopped.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    directory = data_dir.expanduser().resolve()
    with server.listen(host, port) as bound:
        _prepare(directory)
        with err.status("Starting PostgreSQL") as status, embedded.server(directory / "postgres") as database:
            status.update("Migrating the database")
            upgrade.upgrade(database.url)
            settings = _settings(directory, database.url, bound, seed)
            started = _Sandbox(settings, directory, bound, as_json, database)
            status.stop()
            run(until_stopped(lambda stop: _run(started, stop)))


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        key_file = directory / "master.key"
        if not key_file.exists():
            credentials.write_file(key_file, new_master_key_line() + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be used: {error.strerror}. Choose another --data-dir."
        ) from error


def _settings(directory: Path, url: str, bound: socket.socket, seed: int | None) -> Settings:
    """The settings of the environment, except those that the directory determines."""
    defaults = {"COATCHECK_LOG_LEVEL": "WARNING", "COATCHECK_LOG_FORMAT": "console"}
    settings = load(
        {**defaults, "COATCHECK_BASE_URL": _address(bound), **os.environ},
        database_url=url,
        master_key="",
        master_key_file=str(directory / "master.key"),
        sandbox=True,
        connectors=("sandbox",),
        connector={"sandbox": {"seed": credentials.stored_seed(directory, seed)}},
    )
    logs.configure(settings.log_level, settings.log_format)
    return settings


def _address(bound: socket.socket) -> str:
    """The URL at which this machine reaches the socket."""
    host, port = bound.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 (compared, not listened on)
    return f"http://{reachable}:{port}"


async def _run(sandbox: _Sandbox, stop: asyncio.Event) -> None:
    async with open_services(sandbox.settings) as services:
        async with services.db.connection() as connection:
            await prepare_partitions(connection, services.clock.now(), sandbox.settings)
        created = await credentials.ensure_credentials(services, sandbox.directory)
        settings = sandbox.settings
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


async def _announce(sandbox: _Sandbox, created: Credentials, stop: asyncio.Event) -> None:
    """Prints the credentials, and `ready` once the server answers; then waits for the stop."""
    file = sandbox.directory / credentials.FILE
    documentation = f"{created.base_url}/docs"
    if not sandbox.as_json:
        out.print(f"base URL        {created.base_url}", markup=False)
        out.print(f"client          {created.client_id}  {created.client_api_key}", markup=False)
        for processor in created.processors:
            out.print(
                f"processor       {processor.processor_id}  {processor.api_key}  ({processor.name})",
                markup=False,
            )
        out.print(f"credentials     {file}", markup=False)
        out.print(f"documentation   {documentation}", markup=False)
    await _wait_until_healthy(_address(sandbox.bound), stop)
    if not stop.is_set():
        facts = asdict(created) | {"credentials_file": str(file), "documentation": documentation}
        line = json.dumps(facts | {"is_ready": True}) if sandbox.as_json else "ready"
        print(line, flush=True)  # noqa: T201 (scripts wait for this line)
    await stop.wait()


async def _wait_until_healthy(address: str, stop: asyncio.Event) -> None:
    deadline = time.monotonic() + START_TIMEOUT.total_seconds()
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        while not stop.is_set():
            try:
                if (await client.get("/health")).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"{address}/health does not answer. Run the command again with COATCHECK_LOG_LEVEL=DEBUG."
                )
            await asyncio.sleep(0.05)
