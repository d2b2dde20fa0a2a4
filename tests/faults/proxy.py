"""A TCP proxy in front of PostgreSQL whose network fails on command."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.processes import TIMEOUT_SECONDS, free_port

CHUNK = 64 * 1024


class Proxy:
    """Forwards connections to the server until told otherwise. It runs in a thread of its own."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self.port = free_port()
        self.url = f"postgresql://{parts.username}@127.0.0.1:{self.port}{parts.path}"
        self._socket = str(Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432")
        self._loop = asyncio.new_event_loop()
        self._silent = asyncio.Event()
        """Set when what the present connections send gets lost."""
        self._is_dead = False
        self._losses: list[tuple[bytes, bool]] = []
        """The next statements to lose: a part of their text, and whether they reach the server."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def go_silent(self) -> None:
        """The host vanishes: its connections stay open and nothing arrives any more. New ones reach the server."""
        self._do(self._vanish)

    def die(self) -> None:
        """As `go_silent`, and new connections are accepted and never answered."""
        self._is_dead = True
        self._do(self._vanish)

    def revive(self) -> None:
        self._is_dead = False

    def lose_statement(self, text: bytes) -> None:
        """The next connection that sends a statement with this text ends before the server has read it."""
        self._losses.append((text, False))

    def lose_answer(self, text: bytes) -> None:
        """The next connection that sends a statement with this text ends when the server answers it."""
        self._losses.append((text, True))

    def reset(self) -> None:
        """Ends every connection."""
        self._do(self._abort)

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        listening = asyncio.start_server(self._accept, "127.0.0.1", self.port)
        server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(TIMEOUT_SECONDS)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(server), self._loop).result(TIMEOUT_SECONDS)
            self._do(self._loop.stop)
            thread.join()
            self._loop.close()

    def _do(self, action: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(action)

    def _vanish(self) -> None:
        self._silent.set()
        self._silent = asyncio.Event()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        self._abort()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close their sockets

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self._is_dead:
            return
        silent = self._silent
        with contextlib.suppress(OSError):  # the server is stopped
            server_reader, server_writer = await asyncio.open_unix_connection(self._socket)
            self._writers.add(server_writer)
            asked = asyncio.Event()
            await asyncio.gather(
                _pump(reader, server_writer, silent, lambda chunk: self._is_lost(chunk, asked)),
                _pump(server_reader, writer, silent, lambda _: asked.is_set()),
            )
        writer.transport.abort()

    def _is_lost(self, chunk: bytes, asked: asyncio.Event) -> bool:
        """Whether the chunk does not reach the server. `asked` is set if only the answer is lost."""
        if not self._losses or self._losses[0][0] not in chunk:
            return False
        _, reaches_server = self._losses.pop(0)
        if reaches_server:
            asked.set()
        return not reaches_server


async def _pump(
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    silent: asyncio.Event,
    is_lost: Callable[[bytes], bool],
) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(CHUNK):
            if silent.is_set():
                await asyncio.Event().wait()  # for ever: a vanished host neither answers nor closes
            if is_lost(chunk):
                break
            target.write(chunk)
            await target.drain()
    if not silent.is_set():
        target.close()


@contextmanager
def proxied(server_url: str) -> Iterator[Proxy]:
    """A proxy in front of the server's socket."""
    proxy = Proxy(server_url)
    with proxy.running():
        yield proxy
