"""A bank whose runs wait until the test releases them."""

import asyncio
from collections import deque
from typing import Any

from coatcheck.app import Services
from coatcheck.errors import BankFailed
from tests.member_setup import PATIENCE


class GatedBank:
    """Replaces the connector of an institution. Each run waits until it is released, then fails."""

    def __init__(self, institution: str = "mxbank") -> None:
        self.institution = institution
        self.started = 0
        self._waiting: deque[asyncio.Event] = deque()
        self._changed = asyncio.Condition()

    def attach(self, services: Services, monkeypatch: Any) -> None:
        """Replaces the connector of these services. Several services can share one bank."""
        monkeypatch.setattr(services.registry.connector_for(self.institution), "run", self._run)

    @property
    def running(self) -> int:
        """The number of waiting runs."""
        return len(self._waiting)

    async def release(self, count: int = 1) -> None:
        """Ends the oldest runs."""
        for _ in range(count):
            self._waiting.popleft().set()
        await self._notify()

    async def has(self, *, running: int, started: int = 0) -> None:
        """Waits until exactly `running` runs wait, and at least `started` have started.

        Raises:
            TimeoutError: the condition is not met in time.
        """
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.running == running and self.started >= started)

    async def _run(self, *_: object) -> None:
        gate = asyncio.Event()
        self._waiting.append(gate)
        self.started += 1
        await self._notify()
        try:
            await gate.wait()
        finally:
            if gate in self._waiting:
                self._waiting.remove(gate)
        raise BankFailed

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
