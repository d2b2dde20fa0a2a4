"""A URL with several hosts: a connection leads to the primary, whatever the other hosts do."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pytest

from coatcheck.cli.embedded import SOCKET
from coatcheck.db.connections import DeadlineConnection, Primary

LONG = 30
"""Seconds after which the attempts at a host that hangs are given up."""
QUICK = 15
"""Seconds, on a busy machine too."""


@contextmanager
def hanging() -> Iterator[socket.socket]:
    """A host that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as host:
        host.setblocking(False)
        yield host


@pytest.fixture
def sockets(url: str) -> Path:
    """The directory of the server's socket."""
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def with_hosts(url: str, *hosts: socket.socket | Path, seconds: int = LONG) -> str:
    names = [quote(str(host), safe="") if isinstance(host, Path) else "127.0.0.1" for host in hosts]
    ports = [5432 if isinstance(host, Path) else host.getsockname()[1] for host in hosts]
    query = f"host={','.join(names)}&port={','.join(map(str, ports))}&connect_timeout={seconds}"
    return urlsplit(url)._replace(query=query).geturl()


async def test_a_host_that_hangs_does_not_delay_a_connection_to_the_primary(url: str, sockets: Path) -> None:
    with hanging() as away:
        started = time.monotonic()
        async with await DeadlineConnection.connect(with_hosts(url, away, sockets)) as connection:
            assert time.monotonic() - started < QUICK
            await connection.execute("SELECT 1")


async def test_a_host_that_comes_while_another_hangs_is_used_at_once(
    url: str, sockets: Path, tmp_path: Path
) -> None:
    with hanging() as away:
        connecting = asyncio.create_task(DeadlineConnection.connect(with_hosts(url, away, tmp_path)))
        await asyncio.sleep(0.5)  # the host has refused meanwhile
        came = time.monotonic()
        (tmp_path / SOCKET).symlink_to(sockets / SOCKET)
        async with await connecting:
            assert time.monotonic() - came < QUICK


async def test_other_hosts_are_left_alone_while_that_of_the_last_connection_answers(
    url: str, sockets: Path
) -> None:
    primary = Primary()
    with hanging() as away:
        for expected in (1, 0):  # attempts at the other host
            async with await DeadlineConnection.connect(with_hosts(url, away, sockets), primary=primary):
                assert accepted(away) == expected


def accepted(host: socket.socket) -> int:
    count = 0
    while True:
        try:
            host.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


async def test_without_a_primary_the_attempt_ends_with_the_reason(url: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="No such file"):
        await DeadlineConnection.connect(with_hosts(url, tmp_path, seconds=2))
    assert time.monotonic() - started < QUICK
