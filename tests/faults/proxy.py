"""A TCP proxy in front of PostgreSQL whose network fails on command."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.processes import TIMEOUT_SECONDS, free_port

CHUNK = 64 * 1024


class Moment(Enum):
    """When a connection ends that sent a certain statement."""

    BEFORE_THE_SERVER_HAS_IT = auto()
    WHEN_THE_SERVER_HAS_IT = auto()
    BEFORE_THE_ANSWER_IS_DELIVERED = auto()
    WHEN_THE_ANSWER_IS_DELIVERED = auto()


TO_SERVER = Moment.BEFORE_THE_SERVER_HAS_IT, Moment.WHEN_THE_SERVER_HAS_IT
TO_PROGRAM = Moment.BEFORE_THE_ANSWER_IS_DELIVERED, Moment.WHEN_THE_ANSWER_IS_DELIVERED


@dataclass(frozen=True)
class _Cut:
    text: bytes
    """A part of the statement."""
    moment: Moment
    action: Callable[[], None]


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
        self._cuts: list[_Cut] = []
        """The next connections to end."""
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
        self.cut(text, Moment.BEFORE_THE_SERVER_HAS_IT)

    def lose_answer(self, text: bytes) -> None:
        """The next connection that sends a statement with this text ends when the server answers it."""
        self.cut(text, Moment.BEFORE_THE_ANSWER_IS_DELIVERED)

    def cut(self, text: bytes, moment: Moment, action: Callable[[], None] = lambda: None) -> None:
        """The next connection that sends a statement with this text ends at a moment, after an action."""
        self._cuts.append(_Cut(text, moment, action))

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
            cuts = partial(self._is_cut, [])
            await asyncio.gather(
                _pump(reader, server_writer, silent, cuts, TO_SERVER),
                _pump(server_reader, writer, silent, cuts, TO_PROGRAM),
            )
        writer.transport.abort()

    def _is_cut(self, met: list[_Cut], moment: Moment, chunk: bytes) -> bool:
        """Whether the connection ends now. `met` is where it ends, as soon as it sent the statement."""
        if moment is Moment.BEFORE_THE_SERVER_HAS_IT and self._cuts and self._cuts[0].text in chunk:
            met.append(self._cuts.pop(0))
        if not met or met[0].moment is not moment:
            return False
        met[0].action()
        return True


async def _pump(
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    silent: asyncio.Event,
    is_cut: Callable[[Moment, bytes], bool],
    moments: tuple[Moment, Moment],
) -> None:
    before, after = moments
    with contextlib.suppress(OSError):
        while chunk := await source.read(CHUNK):
            if silent.is_set():
                await asyncio.Event().wait()  # for ever: a vanished host neither answers nor closes
            if is_cut(before, chunk):
                break
            target.write(chunk)
            await target.drain()
            if is_cut(after, chunk):
                break
    if not silent.is_set():
        target.close()


@contextmanager
def proxied(server_url: str) -> Iterator[Proxy]:
    """A proxy in front of the server's socket."""
    proxy = Proxy(server_url)
    with proxy.running():
        yield proxy
