"""Starts Coatcheck's commands as processes."""

import fcntl
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import gettempdir

import httpx

TIMEOUT_SECONDS = 60
"""Seconds to wait until a process serves or stops."""


PORTS = range(20_000, 32_000)
"""Below the ports that a system gives to outgoing connections."""
_ports = itertools.count(os.getpid() * 97)  # processes of tests that start together begin far from each other


@cache
def _locks() -> int:
    """A file of which each process of tests locks one byte for each of its ports."""
    path = Path(gettempdir()) / f"coatcheck-test-ports-{os.geteuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def free_port() -> int:
    """A port on which nothing listens, and which no other process of tests gets while this one runs."""
    locks = _locks()
    for number in itertools.islice(_ports, len(PORTS)):
        port = PORTS[number % len(PORTS)]
        with socket.socket() as probe, suppress(OSError):
            # Nothing listens while a test stops its server, or before it starts: the lock keeps the port all the same.
            fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("No port is free.")


@dataclass(frozen=True)
class Serving:
    process: "subprocess.Popen[bytes]"
    port: int
    base_url: str


def _with(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of the tests, with these settings only."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    return {**inherited, **settings}


def coatcheck(settings: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`coatcheck <arguments>`, which ended."""
    return subprocess.run(
        [sys.executable, "-m", "coatcheck.cli", *arguments],
        env=_with(settings),
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def process(*arguments: str, environment: dict[str, str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """`coatcheck <arguments>`, terminated at the end, also if the test has suspended it."""
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "coatcheck.cli", *arguments],
            env=_with(environment),
            stdout=out,
            stderr=out,
        )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGCONT)
        child.terminate()
        child.wait(TIMEOUT_SECONDS)


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[Serving]:
    """`coatcheck serve` on a free port, answering."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    environment = {"COATCHECK_BASE_URL": base_url} | environment
    with process("serve", "--port", str(port), environment=environment, log=log) as child:
        text_at(f"{base_url}/health", child, log)
        yield Serving(child, port, base_url)


def text_at(url: str, child: "subprocess.Popen[bytes]", log: Path) -> str:
    """What the process answers at the URL, as soon as it answers."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return httpx.get(url).raise_for_status().text
        except httpx.HTTPError:
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
