"""Rate limits: of requests, before they are handled, and of failures, after them.

A failed authentication is counted when it has failed. So a throttle refuses nobody who has the right key: whoever knows
only the id of a client cannot lock the client out, neither from another address nor from the client's own. A caller
above a limit of failures gets 429 in place of 401.
"""

from datetime import timedelta
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import ConfigurationError as LibraryMissing
from limits.errors import StorageError
from limits.storage import storage_from_string

from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Database
from coatcheck.errors import ConfigurationError, TooManyRequests
from coatcheck.rate_limits.storage import DatabaseStorage, ProcessStorage

IPV6_NETWORK = 64
"""Bits of an IPv6 address that are counted: one subscriber has all addresses behind them."""
SECOND = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class RateLimits:
    """Counts in fixed periods: each begins with its first count.

    If the counters cannot be reached, nothing is limited, and the log says so: an outage of the counters must not be an
    outage of the service.
    """

    def __init__(self, settings: Settings, clock: Clock, db: Database) -> None:
        self._clock = clock
        self._limiter = FixedWindowRateLimiter(_storage(settings.limit_storage, clock, db))
        self._requests_of_address = _item(settings.limit_requests_of_address)
        self._requests_of_caller = _item(settings.limit_requests_of_caller)
        self._failures_of_address = _item(settings.limit_failures_of_address)
        self._failures_of_caller = _item(settings.limit_failures_of_caller)
        self._refused_codes = _item(settings.limit_refused_codes)

        self.counts_requests = bool(self._requests_of_address or self._requests_of_caller)
        """Whether a limit of requests is set. Without one, no request needs `count_request`."""

    async def count_request(self, caller: str, address: str | None) -> None:
        """Counts a request of an address, and of whoever has these credentials.

        Args:
            caller: the credentials, which need not be verified: only who has them can use their limit up. Empty
                without any.
            address: of the caller.

        Raises:
            TooManyRequests: it is above a limit.
        """
        # The address first: beyond its limit, the credentials that it makes up are not stored.
        wait = await self._count(self._requests_of_address, "requests", network_of(address))
        if wait is None and caller:
            wait = await self._count(self._requests_of_caller, "caller", caller)
        if wait is not None:
            raise TooManyRequests(wait)

    async def count_failure(self, caller: str, address: str | None) -> timedelta | None:
        """Counts a failed authentication, of the address and of the address with this id.

        Returns:
            How long to wait if it is above a limit; otherwise None.
        """
        network = network_of(address)
        # As for requests: beyond the limit of the address, the ids that it makes up are not stored.
        wait = await self._count(self._failures_of_address, "failures", network)
        if wait is None and caller:
            wait = await self._count(self._failures_of_caller, "failures", caller, network)
        return wait

    async def count_refused_code(self, processor: str, address: str | None) -> timedelta | None:
        """Counts a code that the processor may not redeem.

        Returns:
            As `count_failure`.
        """
        return await self._count(self._refused_codes, "codes", processor, network_of(address))

    async def _count(self, item: RateLimitItem | None, name: str, *identity: str) -> timedelta | None:
        if item is None:
            return None
        # Hashed: the caller chooses the text, which can be long, and the credentials in it must not be in the store.
        key = blake2b("\n".join(identity).encode(errors="replace"), digest_size=16).hexdigest()
        try:
            if await self._limiter.hit(item, name, key):
                return None
            end = await self._limiter.storage.get_expiry(item.key_for(name, key))
        except StorageError as error:
            log.warning("rate_limits.unavailable", error=type(error).__name__)
            return None
        period = timedelta(seconds=item.get_expiry())
        left = timedelta(seconds=end - self._clock.instant().timestamp())
        # Another process, or a clock that was moved, may have ended the period in between.
        return min(max(left, SECOND), period)


def network_of(address: str | None) -> str:
    """What is counted of an address: an IPv4 address, or the network of an IPv6 address."""
    if address is None:
        return "unknown"
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_NETWORK), strict=False))
    return address


def _item(limit: str) -> RateLimitItem | None:
    return parse(limit) if limit else None


def _storage(setting: str, clock: Clock, db: Database) -> Storage:
    match setting:
        case "memory":
            return ProcessStorage(clock)
        case "database":
            return DatabaseStorage(clock, db)
    try:
        # The client of Valkey works with Redis too.
        found = storage_from_string(f"async+{setting}", implementation="valkey", wrap_exceptions=True)
    except (LibraryMissing, ValueError, ImportError):
        raise ConfigurationError(
            "The setting limit_storage must be memory, database, or the URL of a server such as"
            " valkey://valkey:6379 or redis://redis:6379, with its extra installed: pip install 'coatcheck[valkey]'."
        ) from None
    assert isinstance(found, Storage)
    return found
