"""A load generator that uses little CPU time: raw HTTP/1.1 over persistent connections."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    requests: int
    seconds: float
    latencies: list[float]
    """Seconds, sorted."""
    statuses: Counter[int]

    def percentile(self, fraction: float) -> float:
        """Milliseconds."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(fraction * len(self.latencies)))]


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last is answered."""

    def __init__(self, requests: Iterator[bytes], tally: "_Tally", done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._tally = tally
        self._done = done
        self._buffer = bytearray()
        self._expected = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send_next()

    def _send_next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._started = time.perf_counter()
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
            del self._buffer[: self._expected]
            self._expected = -1
            self._send_next()

    def connection_lost(self, exception: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exception or ConnectionError("the server closed the connection"))


class _Tally:
    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()


async def send_all(port: int, requests: Iterable[bytes], *, connections: int) -> Run:
    """Sends every request once, over this number of concurrent connections."""
    loop = asyncio.get_running_loop()
    tally, queue = _Tally(), iter(requests)
    started = time.perf_counter()
    waits = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda done=done: _Connection(queue, tally, done), "127.0.0.1", port)  # type: ignore[misc]
        waits.append(done)
    await asyncio.gather(*waits)
    seconds = time.perf_counter() - started
    return Run(len(tally.latencies), seconds, sorted(tally.latencies), tally.statuses)


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers.items())]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
