"""Where the counters of the rate limits are: in the process, or in the database for all processes together.

Both extend the library `limits` by its interface for storages, and count by the clock that they are given. Those of the
library use the machine's clock, and its memory storage looks at every key at each count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from limits.aio.storage import Storage

from coatcheck.clock import Clock
from coatcheck.db.batches import delete_in_batches
from coatcheck.db.database import Connection, Database, fetch_all, fetch_one, run
from coatcheck.errors import Unavailable

MAX_KEYS = 100_000
"""Counters in one process, about 20 MB. Above, the oldest are dropped: a flood of keys does not fill the memory."""


class ProcessStorage(Storage):
    """Counters in this process. No two of its steps are interrupted by another task, so that none is lost."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._counters: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        return Unavailable

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = self._now()
        hits, expires = self._counters.get(key, (0, 0.0))
        if expires <= now:
            # At the end of the dictionary, which is in the order of the beginnings of the periods.
            self._counters.pop(key, None)
            hits, expires = 0, now + expiry
            self._make_room(now)
        self._counters[key] = (hits + amount, expires)
        return hits + amount

    async def get(self, key: str) -> int:
        hits, expires = self._counters.get(key, (0, 0.0))
        return hits if expires > self._now() else 0

    async def get_expiry(self, key: str) -> float:
        return self._counters.get(key, (0, self._now()))[1]

    async def check(self) -> bool:
        return True

    async def reset(self) -> int:
        count = len(self._counters)
        self._counters.clear()
        return count

    async def clear(self, key: str) -> None:
        self._counters.pop(key, None)

    def _make_room(self, now: float) -> None:
        # From the front, where the oldest are: first those whose period has ended, then the oldest of the others.
        while self._counters:
            oldest = next(iter(self._counters))
            if self._counters[oldest][1] > now and len(self._counters) < MAX_KEYS:
                return
            del self._counters[oldest]

    def _now(self) -> float:
        return self._clock.instant().timestamp()


@dataclass(frozen=True, slots=True)
class Counter:
    hits: int
    expires_at: datetime


class DatabaseStorage(Storage):
    """Counters in the table `rate_limit`, one statement a count. All processes on the database share them."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, db: Database) -> None:
        # The library makes a StorageError of `base_exceptions`, which `RateLimits` takes for an outage of the counters.
        super().__init__(wrap_exceptions=True)
        self._clock = clock
        self._db = db

    @property
    def base_exceptions(self) -> type[Exception]:
        return Unavailable

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        async with self._db.connection() as connection:
            counter = await increment(
                connection, key, timedelta(seconds=expiry), self._clock.instant(), amount
            )
        return counter.hits

    async def get(self, key: str) -> int:
        counter = await self._find(key)
        return counter.hits if counter else 0

    async def get_expiry(self, key: str) -> float:
        counter = await self._find(key)
        return (counter.expires_at if counter else self._clock.instant()).timestamp()

    async def check(self) -> bool:
        await self._find("")
        return True

    async def reset(self) -> int:
        async with self._db.connection() as connection:
            return await run(connection, "DELETE FROM rate_limit", {})

    async def clear(self, key: str) -> None:
        async with self._db.connection() as connection:
            await delete_counter(connection, key)

    async def _find(self, key: str) -> Counter | None:
        async with self._db.connection() as connection:
            return await fetch_one(
                connection,
                Counter,
                "SELECT hits, expires_at FROM rate_limit WHERE key = %(key)s AND expires_at > %(now)s",
                {"key": key, "now": self._clock.instant()},
            )


@dataclass(frozen=True, slots=True)
class KeyedCounter:
    key: str
    hits: int
    expires_at: datetime


async def counters_of(connection: Connection, keys: Sequence[str], now: datetime) -> Sequence[KeyedCounter]:
    """Those of the counters whose period has not ended."""
    return await fetch_all(
        connection,
        KeyedCounter,
        "SELECT key, hits, expires_at FROM rate_limit WHERE key = ANY (%(keys)s) AND expires_at > %(now)s",
        {"keys": list(keys), "now": now},
    )


async def increment(
    connection: Connection, key: str, period: timedelta, now: datetime, amount: int = 1
) -> Counter:
    """Counts in the table `rate_limit`. A counter whose period has ended begins again."""
    counter = await fetch_one(
        connection,
        Counter,
        """INSERT INTO rate_limit AS r (key, hits, expires_at) VALUES (%(key)s, %(amount)s, %(until)s)
           ON CONFLICT (key) DO UPDATE
           SET hits = CASE WHEN r.expires_at <= %(now)s THEN 0 ELSE r.hits END + %(amount)s,
               expires_at = CASE WHEN r.expires_at <= %(now)s THEN %(until)s ELSE r.expires_at END
           RETURNING hits, expires_at""",
        {"key": key, "amount": amount, "now": now, "until": now + period},
    )
    assert counter is not None, "the statement writes one row"
    return counter


async def delete_counter(connection: Connection, key: str) -> None:
    await run(connection, "DELETE FROM rate_limit WHERE key = %(key)s", {"key": key})


async def delete_expired(connection: Connection, now: datetime) -> None:
    """Deletes the counters of periods that have ended."""
    await delete_in_batches(connection, "rate_limit", "expires_at <= %(now)s", {"now": now})
