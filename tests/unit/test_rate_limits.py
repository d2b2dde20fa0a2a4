"""Each rate limit, at its number and at one more, with the clock moved."""

import gc
import threading
import warnings
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakeredis import TcpFakeServer

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings, load
from coatcheck.errors import ConfigurationError, TooManyRequests, Unavailable
from coatcheck.rate_limits import storage
from coatcheck.rate_limits.limits import RateLimits, network_of
from coatcheck.rate_limits.storage import ProcessStorage
from coatcheck.worker_services import run_maintenance

HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"
STORAGES = ["memory", "database"]


@pytest.fixture(params=STORAGES)
def limited(request: pytest.FixtureRequest, services: Services) -> "Limited":
    return Limited(services, request.param)


class Limited:
    """Makes rate limits with some settings."""

    def __init__(self, services: Services, where: str) -> None:
        self.services, self.where = services, where

    def __call__(self, **settings: Any) -> RateLimits:
        changed = replace(self.services.settings, limit_storage=self.where, **settings)
        return RateLimits(changed, self.services.clock, self.services.db)


async def is_refused(limits: RateLimits, caller: str = "", address: str | None = HOME) -> bool:
    try:
        await limits.count_request(caller, address)
    except TooManyRequests:
        return True
    return False


async def test_requests_of_an_address_are_limited(limited: Limited, clock: MovableClock) -> None:
    limits = limited(limit_requests_of_address="3/minute")
    assert [await is_refused(limits) for _ in range(4)] == [False, False, False, True]
    assert not await is_refused(limits, address=ELSEWHERE)
    clock.advance(timedelta(seconds=59))
    assert await is_refused(limits)
    clock.advance(timedelta(seconds=1))
    assert [await is_refused(limits) for _ in range(4)] == [False, False, False, True]


async def test_requests_of_a_caller_are_limited_from_all_addresses_together(
    limited: Limited, clock: MovableClock
) -> None:
    limits = limited(limit_requests_of_caller="2/10 second")
    assert [await is_refused(limits, "a", address) for address in (HOME, ELSEWHERE, HOME)] == [
        False,
        False,
        True,
    ]
    assert not await is_refused(limits, "b")
    assert not await is_refused(limits, ""), "without credentials there is no caller"
    clock.advance(timedelta(seconds=10))
    assert not await is_refused(limits, "a")


@pytest.mark.parametrize("name", ["limit_failures_of_caller", "limit_failures_of_address"])
async def test_failures_are_limited_and_their_wait_ends_with_the_period(
    limited: Limited, clock: MovableClock, name: str
) -> None:
    limits = limited(**{name: "3/minute"})
    assert [await limits.count_failure("id", HOME) for _ in range(3)] == [None] * 3
    clock.advance(timedelta(seconds=20))
    wait = await limits.count_failure("id", HOME)
    assert wait is not None
    assert timedelta(seconds=39) < wait <= timedelta(seconds=40)
    assert await limits.count_failure("id", ELSEWHERE) is None
    is_of_address = name == "limit_failures_of_address"
    assert (await limits.count_failure("other", HOME) is not None) is is_of_address
    clock.advance(timedelta(seconds=40))
    assert await limits.count_failure("id", HOME) is None


async def test_refused_codes_are_limited(limited: Limited, clock: MovableClock) -> None:
    limits = limited(limit_refused_codes="2/minute")
    waits = [await limits.count_refused_code("PPR-1", HOME) for _ in range(3)]
    assert [wait is not None for wait in waits] == [False, False, True]
    assert await limits.count_refused_code("PPR-2", HOME) is None
    assert await limits.count_refused_code("PPR-1", ELSEWHERE) is None
    clock.advance(timedelta(minutes=1))
    assert await limits.count_refused_code("PPR-1", HOME) is None


async def test_an_empty_limit_never_refuses(limited: Limited) -> None:
    limits = limited(limit_failures_of_caller="", limit_failures_of_address="", limit_refused_codes="")
    assert not limits.counts_requests
    for _ in range(50):
        assert not await is_refused(limits, "a")
        assert await limits.count_failure("id", HOME) is None
        assert await limits.count_refused_code("id", HOME) is None


async def test_two_processes_count_together_in_the_database_and_apart_in_memory(services: Services) -> None:
    for where, expected in (("database", [False, False, True]), ("memory", [False, False, False])):
        make = Limited(services, where)
        first, second = (make(limit_requests_of_caller="2/minute") for _ in range(2))
        seen = [await is_refused(each, f"shared {where}") for each in (first, second, first)]
        assert seen == expected


async def test_a_subscriber_s_ipv6_network_is_one_address(limited: Limited) -> None:
    limits = limited(limit_requests_of_address="1/minute")
    assert not await is_refused(limits, address="2001:db8:0:1::1")
    assert await is_refused(limits, address="2001:db8:0:1:ffff::9")
    assert not await is_refused(limits, address="2001:db8:0:2::1")
    assert network_of(None) == "unknown"


async def test_a_flood_of_keys_does_not_fill_the_memory(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MAX_KEYS", 10)
    memory = ProcessStorage(clock)
    for number in range(100):
        await memory.incr(f"key {number}", 60)
    assert await memory.reset() <= 10
    await memory.incr("old", 60)
    clock.advance(timedelta(seconds=60))
    await memory.incr("new", 60)
    assert await memory.reset() == 1, "a period that ended is forgotten"


@pytest.mark.own_database
async def test_ids_that_an_address_makes_up_beyond_its_limit_are_not_stored(services: Services) -> None:
    limits = Limited(services, "database")(
        limit_requests_of_address="3/minute",
        limit_requests_of_caller="9/minute",
        limit_failures_of_address="3/minute",
        limit_failures_of_caller="9/minute",
    )

    async def count() -> int:
        async with services.db.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM rate_limit")
            ((number,),) = await cursor.fetchall()
        return int(number)

    before = await count()
    for number in range(10):
        assert await is_refused(limits, f"made up {number}", "192.0.2.77") is (number >= 3)
        wait = await limits.count_failure(f"made up {number}", "192.0.2.77")
        assert (wait is not None) is (number >= 3)
    # Of the address, and of the three ids within its limit; for requests and for failures.
    assert await count() - before == 2 * (1 + 3)


@pytest.mark.own_database
async def test_ended_periods_are_deleted_from_the_database(services: Services, clock: MovableClock) -> None:
    limits = Limited(services, "database")(limit_failures_of_caller="", limit_failures_of_address="1/minute")
    await limits.count_failure("id", HOME)
    for expected in (1, 0):
        await run_maintenance(services)
        async with services.db.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM rate_limit")
            assert await cursor.fetchone() == (expected,)
        clock.advance(timedelta(minutes=2))


async def test_an_outage_of_the_counters_refuses_nothing(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limited(services, "database")(limit_failures_of_address="1/minute")

    def fail() -> Any:
        raise Unavailable

    monkeypatch.setattr(services.db, "connection", fail)
    assert [await limits.count_failure("id", HOME) for _ in range(3)] == [None] * 3


# The library's connections can also be collected in the middle of the test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scheme", ["valkey", "redis"])
async def test_processes_count_together_in_valkey_or_redis(services: Services, scheme: str) -> None:
    """The server is a fake that speaks the protocol and runs the scripts: it proves our calls, not the server's."""
    server = TcpFakeServer(("127.0.0.1", 0), server_type="valkey")
    threading.Thread(target=server.serve_forever, daemon=True).start()

    async def count() -> list[timedelta | None]:
        make = Limited(services, f"{scheme}://127.0.0.1:{server.server_address[1]}")
        first, second = (make(limit_failures_of_caller="2/minute") for _ in range(2))
        return [await each.count_failure("id", HOME) for each in (first, second, first)]

    waits = await count()
    assert waits[:2] == [None, None]
    assert waits[2] is not None
    assert timedelta(0) < waits[2] <= timedelta(minutes=1)
    server.shutdown()
    server.server_close()
    assert await count() == [None] * 3, "an outage refuses nothing"
    with warnings.catch_warnings():
        # The library closes its connections only with the process.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("limit", ["", "1/second", "100/minute", "10/30 second", "5/hour", "1/day"])
def test_a_limit_is_a_number_and_a_period(limit: str) -> None:
    assert load({"COATCHECK_LIMIT_REQUESTS_OF_CALLER": limit}).limit_requests_of_caller == limit


@pytest.mark.parametrize(
    "limit", ["many", "0/minute", "-1/minute", "1/fortnight", "1", "1/minute; 2/hour", "1/minute\n"]
)
def test_another_limit_is_refused_with_what_is_allowed(limit: str) -> None:
    with pytest.raises(ConfigurationError, match="such as 100/minute"):
        load({"COATCHECK_LIMIT_FAILURES_OF_CALLER": limit})


@pytest.mark.parametrize("where", ["disk", "http://cache", "", "redis"])
async def test_an_unknown_storage_is_refused_with_what_is_allowed(services: Services, where: str) -> None:
    with pytest.raises(ConfigurationError, match="memory, database, or the URL"):
        Limited(services, where)()


def test_the_password_of_a_storage_is_not_in_the_repr_of_the_settings() -> None:
    assert "swordfish" not in repr(Settings(limit_storage="valkey://:swordfish@valkey"))
