"""A real server with a real database in a thread, for tests without an event loop of their own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from coatcheck import server
from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.http.listening import listen

T = TypeVar("T")


class LiveServer:
    """The address of the server, and its services, which are used in its own thread."""

    def __init__(self, settings: Settings) -> None:
        self.clock = MovableClock()
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.url = ""

    def run(self, call: Callable[[Services], Awaitable[T]]) -> T:
        """Calls a function with the services, in the server's thread."""

        async def called() -> T:
            return await call(self._services)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(60)

    async def _serve(self) -> None:
        async with build(self._settings, self.clock) as self._services:
            bound = listen("127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            self._is_ready.set()
            app = server.create_app(self._services)
            await server.serve(app, bound, self._stop, grace=timedelta(seconds=1))

    def start(self) -> None:
        self._thread.start()
        assert self._is_ready.wait(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self._loop.close()


@contextmanager
def live_server(settings: Settings) -> Iterator[LiveServer]:
    running = LiveServer(settings)
    running.start()
    try:
        yield running
    finally:
        running.close()
