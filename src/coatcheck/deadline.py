"""The instant by which the current request must be answered. Whatever waits on its behalf waits no longer."""

import time
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import timedelta

__all__ = ["instant", "remaining", "seconds_left", "within"]

_instant: ContextVar[float | None] = ContextVar("deadline", default=None)
"""By `time.monotonic`; None in jobs and commands. A task keeps its own value."""


def instant() -> float | None:
    """The deadline by `time.monotonic`; None if there is none."""
    return _instant.get()


def remaining(limit: float) -> float:
    """Seconds until the deadline, at least 0 and at most `limit`; `limit` if there is no deadline."""
    left = seconds_left()
    return limit if left is None else min(limit, left)


def seconds_left() -> float | None:
    """Seconds until the deadline, at least 0; None if there is none."""
    instant = _instant.get()
    return None if instant is None else max(0.0, instant - time.monotonic())


class _Within:
    # A class, because every request enters two of these blocks, and a generator takes three times as long.
    __slots__ = ("_duration", "_token")

    def __init__(self, duration: timedelta | None) -> None:
        self._duration = duration

    def __enter__(self) -> None:
        given = _instant.get()
        if self._duration is None:
            instant = None
        else:
            instant = time.monotonic() + self._duration.total_seconds()
            instant = instant if given is None else min(given, instant)
        self._token = _instant.set(instant)

    def __exit__(self, *_: object) -> None:
        _instant.reset(self._token)


def within(duration: timedelta | None) -> AbstractContextManager[None]:
    """Sets the deadline while the block runs. It shortens an earlier deadline and never extends it.

    Args:
        duration: counted from the start of the block; None for no deadline, also where there was one.
    """
    return _Within(duration)
