"""`coatcheck sandbox`: database, web and worker in one process, on a directory that holds everything.

    DIR/postgres          the embedded database          DIR/master.key         wraps its keys (0600)
    DIR/credentials.json  address, ids, keys (0600)      DIR/seed               what the first run was given

It is the same program as in production: the same schema, the same keys, the same code path.
"""

import asyncio
import os
import signal
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import httpx
import typer

from coatcheck import server, worker
from coatcheck.app import prepare_partitions
from coatcheck.cli import credentials, embedded, logs
from coatcheck.cli.console import beside, out
from coatcheck.cli.runtime import opened, run, together, until_told
from coatcheck.config import Settings, load
from coatcheck.errors import ConfigurationError
from coatcheck.migrations import upgrade
from coatcheck.vault.keys import new_master_key_line

DEFAULT_DIRECTORY = Path("~/.coatcheck/sandbox")
GRACE, PATIENCE = timedelta(seconds=2), timedelta(seconds=5)
"""For running requests and jobs to end, and for everything but the database to stop: all takes less than 10 seconds."""
BEGINNING = timedelta(seconds=30)
"""From listening until the own GET /health succeeds."""


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept.")] = DEFAULT_DIRECTORY,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Fixes everything made up: the banks' data and the credentials.")
    ] = None,
) -> None:
    """Runs a whole Coatcheck until SIGTERM or Ctrl-C: PostgreSQL, web and worker, with credentials to use it.

    Prints `ready` when it serves. The same directory again is the same data and the same credentials.

    Example: coatcheck sandbox --port 8000 --data-dir ./sandbox --seed 7
    """
    # While it starts, SIGTERM unwinds as Ctrl-C does: a database that was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = data_dir.expanduser().resolve()
    with server.listen(host, port) as bound:
        _prepare(directory)
        with beside.status("Starting PostgreSQL") as status, embedded.database(directory / "postgres") as url:
            status.update("Migrating the database")
            upgrade.upgrade(url)
            settings = _settings(directory, url, bound, seed)
            status.stop()
            run(until_told(lambda stop: _run(settings, directory, bound, stop)))


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        key_file = directory / "master.key"
        if not key_file.exists():
            credentials.write(key_file, new_master_key_line() + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be used: {error.strerror}. Choose another --data-dir."
        ) from error


def _settings(directory: Path, url: str, bound: socket.socket, seed: int | None) -> Settings:
    """The environment's, but for what makes it a sandbox of this directory."""
    quiet = {"COATCHECK_LOG_LEVEL": "WARNING", "COATCHECK_LOG_FORMAT": "console"}
    settings = load(
        {**quiet, **_base_url(bound), **os.environ},
        database_url=url,
        master_key="",
        master_key_file=str(directory / "master.key"),
        connectors=("sandbox",),
        connector={"sandbox": {"seed": credentials.settled_seed(directory, seed)}},
    )
    logs.configure(settings.log_level, settings.log_format)
    return settings


def _base_url(bound: socket.socket) -> dict[str, str]:
    host, port = bound.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 (compared, not listened on)
    return {"COATCHECK_BASE_URL": f"http://{reachable}:{port}"}


async def _run(settings: Settings, directory: Path, bound: socket.socket, stop: asyncio.Event) -> None:
    async with opened(settings) as services:
        async with services.db.connection() as connection:
            await prepare_partitions(connection, services.clock.now(), settings)
        given = await credentials.settle(services, directory)
        own_address = _base_url(bound)["COATCHECK_BASE_URL"]
        await together(
            stop,
            PATIENCE,
            server.serve(server.create_app(services), bound, stop, grace=GRACE),
            worker.main(services, stop, grace=GRACE),
            _announce(given, directory, own_address, stop),
        )


async def _announce(
    given: credentials.Credentials, directory: Path, own_address: str, stop: asyncio.Event
) -> None:
    """Says how to use the sandbox, and `ready` once it answers; then waits for the end."""
    out.print(f"base URL        {given.base_url}")
    out.print(f"client          {given.client_id}  {given.client_api_key}")
    for processor in given.processors:
        out.print(f"processor       {processor.processor_id}  {processor.api_key}  ({processor.name})")
    out.print(f"in a file       {directory / credentials.FILE}")
    out.print(f"documentation   {given.base_url}/docs")
    await _healthy(own_address, stop)
    if not stop.is_set():
        print("ready", flush=True)  # noqa: T201 (scripts wait for this line)
    await stop.wait()


async def _healthy(address: str, stop: asyncio.Event) -> None:
    deadline = time.monotonic() + BEGINNING.total_seconds()
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        while not stop.is_set():
            try:
                if (await client.get("/health")).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{address}/health does not answer. Run again with COATCHECK_LOG_LEVEL=DEBUG."
                )
            await asyncio.sleep(0.05)
