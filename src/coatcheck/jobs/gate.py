"""A gate before the tasks of this process's worker: while it is closed, the worker claims and runs none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TaskGate:
    """Open, except while the emulator moves the clock and runs due tasks itself, in the order of their due times."""

    def __init__(self) -> None:
        self.is_open = True
        self._inside = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._closing = asyncio.Lock()

    def enter(self) -> None:
        """A claim or a task begins. Its end calls `leave`."""
        self._inside += 1
        self._is_empty.clear()

    def leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._is_empty.set()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Closes the gate, waits until nothing runs inside, and opens it at the end. One caller at a time."""
        async with self._closing:
            # Closed before the wait: otherwise new tasks could keep it from ever being empty.
            self.is_open = False
            try:
                await self._is_empty.wait()
                yield
            finally:
                self.is_open = True
