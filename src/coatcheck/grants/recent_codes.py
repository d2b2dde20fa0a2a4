"""How many codes this process issued lately for an account, roughly: to know when they have to be counted exactly.

Counting in the database makes the issue of a code a third slower, because it searches every partition of the codes.
"""

from array import array
from datetime import UTC, datetime, timedelta

BUCKETS = 2**16
"""Accounts share a bucket, which only makes a count too high. The memory does not grow with their number."""
PROCESSES = 16
"""The exact count begins at this fraction of the limit, so that so many processes together stay within it."""


class RecentCodes:
    """Counts in two windows, of which the earlier one is dropped in turn: every code counts for at least `window`."""

    def __init__(self, *, limit: int, window: timedelta) -> None:
        self._most = limit // PROCESSES
        self._window = window
        self._since = datetime.min.replace(tzinfo=UTC)
        self._counts, self._earlier = _empty(), _empty()

    def may_exceed(self, account_guid: str, now: datetime) -> bool:
        """Counts one more code of the account, and returns whether its codes have to be counted exactly."""
        if now - self._since >= self._window:
            self._since, self._counts, self._earlier = now, _empty(), self._counts
        bucket = hash(account_guid) % BUCKETS
        self._counts[bucket] += 1
        return self._counts[bucket] + self._earlier[bucket] > self._most


def _empty() -> "array[int]":
    return array("L", bytes(array("L").itemsize * BUCKETS))
