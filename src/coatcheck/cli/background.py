"""A sandbox in the background: how it is started, and how a command waits until it is ready."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from coatcheck.cli import data_directory, directory_lock, sandbox_api
from coatcheck.cli.console import err, out
from coatcheck.cli.data_directory import Credentials
from coatcheck.errors import CoatcheckError, OperatorError

PAUSE = timedelta(seconds=0.05)
INSTANT = "%Y-%m-%dT%H:%M:%SZ"
"""The format of --freeze-at."""
LONGEST_START = timedelta(seconds=120)
"""The database may have to recover first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `coatcheck sandbox`."""

    port: int
    host: str
    directory: Path
    seed: int | None
    freeze_at: datetime | None
    """Where the clock of a new sandbox stands. None: it runs."""
    webhooks_to: str | None
    world: Path | None
    no_sync: bool
    """Whether PostgreSQL does not wait for the disk."""
    as_json: bool

    def arguments(self) -> list[str]:
        """The same options for a process in the foreground, which prints JSON."""
        return [
            "--port", str(self.port), "--host", self.host, "--data-dir", str(self.directory),
            *([] if self.seed is None else ["--seed", str(self.seed)]),
            *([] if self.freeze_at is None else ["--freeze-at", f"{self.freeze_at:{INSTANT}}"]),
            *([] if self.webhooks_to is None else ["--webhooks-to", self.webhooks_to]),
            *([] if self.world is None else ["--world", str(self.world)]),
            *(["--no-sync"] if self.no_sync else []),
            "--json",
        ]  # fmt: skip


def is_running(directory: Path) -> bool:
    return directory_lock.holder(directory / data_directory.DATABASE) is not None


def start(options: Options) -> None:
    """Starts a sandbox in a session of its own, and prints its credentials when it is ready.

    Raises:
        typer.Exit: it did not start; its error has been printed, and the code is the same.
    """
    log = options.directory / data_directory.LOG
    with open(log, "wb", opener=_for_owner) as output:
        # In a session of its own: Ctrl-C in this terminal, and closing it, must not end the sandbox.
        process = subprocess.Popen(  # noqa: S603 (this program)
            [sys.executable, "-m", "coatcheck.cli", "sandbox", *options.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout, err.status("Starting the sandbox"):
        try:
            line = process.stdout.readline()
        # Ctrl-C among them, which does not reach the sandbox in its own session.
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if not line:
        code = process.wait()
        sys.stderr.write(log.read_text(encoding="utf-8", errors="replace"))
        raise typer.Exit(code or 1)
    _print_ready(options, json.loads(line))


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def wait(options: Options) -> None:
    """Waits until the sandbox that runs on the directory is ready, and prints its credentials.

    Raises:
        OperatorError: it ended, or is not ready in time.
    """
    deadline = time.monotonic() + LONGEST_START.total_seconds()
    with err.status("Waiting for the sandbox"):
        while not _answers(options.directory):
            if not is_running(options.directory):
                raise OperatorError(f"The sandbox on {options.directory} ended before it was ready.")
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"The sandbox on {options.directory} does not answer. Stop it: coatcheck stop"
                )
            time.sleep(PAUSE.total_seconds())
    _print_ready(options, facts(options.directory, data_directory.find_credentials(options.directory)))


def _answers(directory: Path) -> bool:
    """Whether this sandbox answers. Its address of an earlier run may belong to another one."""
    try:
        sandbox_api.call(directory, "GET", "/coatcheck/sandbox/clock", timeout_seconds=2)
    except CoatcheckError:
        return False
    return True


def facts(directory: Path, credentials: Credentials) -> Mapping[str, Any]:
    """What a script needs to know of a sandbox that is ready."""
    return asdict(credentials) | {
        "credentials_file": str(directory / data_directory.CREDENTIALS),
        "documentation": f"{credentials.base_url}/docs",
        "is_ready": True,
    }


def _print_ready(options: Options, printed: Mapping[str, Any]) -> None:
    if options.as_json:
        print(json.dumps(printed))  # noqa: T201 (scripts read this line)
        return
    credentials = data_directory.find_credentials(options.directory)
    print_credentials(options.directory, credentials)
    out.print(f"log             {options.directory / data_directory.LOG}", markup=False)
    out.print(
        f"to stop it      coatcheck stop --data-dir {shlex.quote(str(options.directory))}", markup=False
    )
    out.print("ready", markup=False)


def print_credentials(directory: Path, credentials: Credentials) -> None:
    """Prints the addresses and the keys, one a line."""
    lines = [
        ("base URL", credentials.base_url),
        ("client", f"{credentials.client_id}  {credentials.client_api_key}"),
        *(
            ("processor", f"{processor.processor_id}  {processor.api_key}  ({processor.name})")
            for processor in credentials.processors
        ),
        *([("webhook secret", credentials.webhook_secret)] if credentials.webhook_secret else []),
        ("credentials", directory / data_directory.CREDENTIALS),
        ("database", credentials.database_url),
        ("documentation", f"{credentials.base_url}/docs"),
    ]
    for name, value in lines:
        out.print(f"{name:<16}{value}", markup=False)
