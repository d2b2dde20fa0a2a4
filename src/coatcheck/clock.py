"""The current time. Production uses the system clock; a test moves its clock."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC in whole seconds, the resolution of MX's timestamps."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0)


class MovableClock:
    """Follows the system clock with an offset, the sum of all calls of `advance`."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        return (datetime.now(UTC) + self._offset).replace(microsecond=0)

    def advance(self, duration: timedelta) -> None:
        self._offset += duration
