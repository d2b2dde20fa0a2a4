"""A load generator that uses little CPU time: raw HTTP/1.1 over persistent connections.

Closed loop: each connection sends the next request when the last one is answered, which shows the largest number of
requests per second. Open loop: requests are due at a fixed rate, and a latency counts from the instant at which its
request was due, so that a server that falls behind is not spared the requests that nobody could send.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True)
class Run:
    requests: int
    seconds: float
    latencies: list[float]
    """Seconds, sorted."""
    statuses: Counter[int]
    wrong_bodies: int
    """How many answers do not contain what was expected."""

    def percentile(self, fraction: float) -> float:
        """Milliseconds."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(fraction * len(self.latencies)))]


@dataclass(frozen=True)
class _Due:
    at: float
    """By `time.perf_counter`; 0 for at once."""
    request: bytes


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last is answered and it is due."""

    def __init__(self, requests: Iterator[_Due], tally: "_Tally", done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._tally = tally
        self._done = done
        self._buffer = bytearray()
        self._expected = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send_next()

    def _send_next(self) -> None:
        due = next(self._requests, None)
        if due is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        wait = due.at - time.perf_counter()
        if due.at and wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send, due.request, due.at)
        else:
            self._send(due.request, due.at or time.perf_counter())

    def _send(self, request: bytes, started: float) -> None:
        self._started = started
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._expected < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            at = head.index(b"content-length:") + 15
            self._status = int(head[9:12])
            self._expected = end + 4 + int(head[at : head.find(b"\r\n", at) if b"\r\n" in head[at:] else end])
        if len(self._buffer) >= self._expected:
            self._tally.latencies.append(time.perf_counter() - self._started)
            self._tally.statuses[self._status] += 1
            self._tally.wrong_bodies += self._tally.expected not in self._buffer[: self._expected]
            del self._buffer[: self._expected]
            self._expected = -1
            self._send_next()

    def connection_lost(self, exception: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exception or ConnectionError("the server closed the connection"))


class _Tally:
    def __init__(self, expected: bytes) -> None:
        self.expected = expected
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.wrong_bodies = 0


async def send_all(
    port: int,
    requests: Iterable[bytes],
    *,
    connections: int,
    expected: bytes = b"",
    per_second: float | None = None,
) -> Run:
    """Sends every request once, over this number of concurrent connections.

    Args:
        port: of the server on this machine.
        requests: with the same kind of answer.
        connections: how many.
        expected: what every body contains.
        per_second: the rate of an open loop; None for a closed one.
    """
    loop = asyncio.get_running_loop()
    # One iterator for all connections, so that a slow one takes fewer requests and none waits for it.
    tally, started = _Tally(expected), time.perf_counter()
    queue = (
        _Due(started + number / per_second if per_second else 0.0, each)
        for number, each in enumerate(requests)
    )
    waits = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda done=done: _Connection(queue, tally, done), "127.0.0.1", port)  # type: ignore[misc]
        waits.append(done)
    await asyncio.gather(*waits)
    seconds = time.perf_counter() - started
    return Run(len(tally.latencies), seconds, sorted(tally.latencies), tally.statuses, tally.wrong_bodies)


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers.items())]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
