"""Servers that a benchmark starts, and the CPU time that they and PostgreSQL take, as the system counts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SERVER_CORE, OTHER_CORE = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
START_SECONDS = 30


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    process: subprocess.Popen[bytes] = field(repr=False)

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def resident_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and of the processes that it started, also of those that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return ended + sum(_nanoseconds(each) for each in (pid, *_children(pid))) / 1e9


def _nanoseconds(pid: int) -> int:
    try:
        return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    except OSError:
        return 0  # it has ended


def _children(pid: int) -> Sequence[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            continue  # it has ended
    return found


def free_port() -> int:
    """A port of this machine that no server uses."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def serving(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], port: int
) -> Iterator[Server]:
    """Runs a server on one core while the block runs."""
    process = subprocess.Popen(
        arguments,
        env=os.environ | dict(environment),
        stdout=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        _wait_for(name, port, process)
        yield Server(name, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_for(name: str, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{name} ended with {process.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    sys.exit(f"{name} did not start")
