"""The current time. Production uses the system clock; a test moves its clock.

Records that MX's API shows have times in whole seconds. What expires, and what proves an order of events, is exact: a
code issued at 10:00:00.9 must not expire as if it were issued at 10:00:00.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC in whole seconds, the resolution of MX's timestamps. For `created_at` and the like of records."""
        ...

    def instant(self) -> datetime:
        """Aware UTC in microseconds. For secrets and what they expire by, for disclosures and the audit log."""
        ...


def whole_second(at: datetime) -> datetime:
    """The instant without its fraction of a second, as MX's API writes it."""
    return at.replace(microsecond=0)


class SystemClock:
    def now(self) -> datetime:
        return whole_second(self.instant())

    def instant(self) -> datetime:
        return datetime.now(UTC)


class MovableClock:
    """The system clock, or an instant at which it stands, plus an offset. For a sandbox and for tests."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._frozen_at: datetime | None = None

    def now(self) -> datetime:
        return whole_second(self.instant())

    def instant(self) -> datetime:
        return (self._frozen_at or datetime.now(UTC)) + self._offset

    @property
    def offset(self) -> timedelta:
        """How far it was moved."""
        return self._offset

    def freeze(self, at: datetime) -> None:
        """From now on it only changes when it is moved."""
        self._frozen_at = at

    def move_to(self, offset: timedelta) -> None:
        """Moves it to this offset, unless it is further ahead already: time never goes back."""
        self._offset = max(self._offset, offset)

    def advance(self, duration: timedelta) -> None:
        self._offset += duration
