"""A bank whose every answer waits for the test."""

import asyncio
from collections import deque
from typing import Any

from coatcheck.app import Services
from coatcheck.errors import BankFailed


class GatedBank:
    """Replaces what an institution's connector does: each run waits until it is let go, then fails."""

    def __init__(self, institution: str = "mxbank") -> None:
        self.institution = institution
        self.started = 0
        self._waiting: deque[asyncio.Event] = deque()
        self._changed = asyncio.Condition()

    def attach(self, services: Services, monkeypatch: Any) -> None:
        """Stands in for the connector of these services, beside others' services."""
        monkeypatch.setattr(services.registry.connector_for(self.institution), "run", self._run)

    @property
    def running(self) -> int:
        """How many runs wait."""
        return len(self._waiting)

    async def let_go(self, count: int = 1) -> None:
        """Ends the runs that began first."""
        for _ in range(count):
            self._waiting.popleft().set()
        await self._notify()

    async def has(self, *, running: int, started: int = 0) -> None:
        """Waits until exactly so many run, and at least so many have started.

        Raises:
            TimeoutError: they do not within 10 seconds.
        """
        async with asyncio.timeout(10), self._changed:
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
