"""Freezes, restarts and copies PostgreSQL servers."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from coatcheck.cli import embedded


def directory_of(url: str) -> Path:
    """The data directory of a server that runs. The second line of the lock file of its socket names it."""
    sockets = Path(parse_qs(urlsplit(url).query)["host"][0])
    return Path((sockets / f"{embedded.SOCKET}.lock").read_text().splitlines()[1])


def command(name: str, *arguments: str) -> None:
    """Runs one of PostgreSQL's programs as the owner of the servers."""
    subprocess.run(
        [str(embedded.program(name)), *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **embedded.as_system_user(),
    )


def restart(url: str) -> None:
    """Restarts the server as after a crash: without a checkpoint, so that it replays the write-ahead log."""
    command("pg_ctl", "restart", "-m", "immediate", "-w", "-s", "-D", str(directory_of(url)))


def processes(url: str) -> list[int]:
    """The server's main process and those that it started."""
    main = int((directory_of(url) / "postmaster.pid").read_text().splitlines()[0])
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        if parent == main:
            children.append(int(status.parent.name))
    return [main, *children]


@contextmanager
def frozen(url: str) -> Iterator[None]:
    """Suspends every process of the server while the block runs: it accepts connections and answers nothing."""
    suspended = processes(url)
    for pid in suspended:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in suspended:
            os.kill(pid, signal.SIGCONT)
