"""What time it is. A wall of the house: production reads the system, a test moves it by hand."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC in whole seconds, the resolution MX's timestamps have on the wire."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0)


class MovableClock:
    """Runs with the system, ahead of it by what `advance` was told."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return (datetime.now(UTC) + self._ahead).replace(microsecond=0)

    def advance(self, duration: timedelta) -> None:
        self._ahead += duration
