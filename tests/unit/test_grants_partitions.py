"""Partitions of codes, tokens, links and sessions: created in advance, dropped after they expire."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.grants.partitions import AHEAD, AT_ONCE, RETENTION, drop_partitions, prepare_partitions
from coatcheck.grants.secrets import day_of, week_of
from coatcheck.grants.used_jtis import UsedJtis
from tests.factories import make_account, make_client, make_code, make_processor, make_token, make_user


async def partitions(services: Services, table: str = "access_token") -> set[str]:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (table,)
        )
        return {name for (name,) in await cursor.fetchall()}


async def test_a_token_is_stored_in_the_partition_of_its_week_and_dropped_with_it(
    services: Services, clock: MovableClock
) -> None:
    clock.advance(timedelta(days=3650))  # weeks no other test has used
    async with services.db.connection() as connection:
        await prepare_partitions(connection, clock.now(), services.settings)
    client = await make_client(services)
    account = await make_account(services, await make_user(services, client))
    await make_token(services, account, await make_processor(services, client))
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT tableoid::regclass::text FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        ((partition,),) = await cursor.fetchall()
        assert partition != "access_token_rest"
        clock.advance(timedelta(days=60 + 29))
        assert partition not in await drop_partitions(connection, clock.now())
        clock.advance(timedelta(days=8))
        assert partition in await drop_partitions(connection, clock.now())
        cursor = await connection.execute(
            "SELECT count(*) FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        assert await cursor.fetchone() == (0,)


async def test_a_very_long_lifetime_creates_first_what_is_needed_first_and_the_rest_later(
    services: Services, clock: MovableClock
) -> None:
    clock.advance(timedelta(days=21900))  # weeks no other test has used
    settings = replace(services.settings, token_ttl=timedelta(days=3650))
    before = await partitions(services)
    async with services.db.connection() as connection:
        await prepare_partitions(connection, clock.now(), settings)
    created = await partitions(services) - before
    assert len(created) <= AT_ONCE
    full_lifetime = clock.now() + settings.token_ttl
    for instant in (clock.now(), clock.now() + AHEAD, full_lifetime, full_lifetime + AHEAD):
        assert f"access_token_{week_of(instant)}" in created
    async with services.db.connection() as connection:
        await prepare_partitions(connection, clock.now(), settings)
    assert len(await partitions(services) - before) == 2 * AT_ONCE


@pytest.mark.slow
async def test_a_partition_that_is_being_read_stops_no_other_reader_and_is_dropped_later(
    services: Services, clock: MovableClock
) -> None:
    clock.advance(timedelta(days=14600))  # weeks no other test has used
    async with services.db.connection() as connection:
        await prepare_partitions(connection, clock.now(), services.settings)
        clock.advance(timedelta(days=400))
        # Waits for its locks, and with it everything that waits behind it, for half a second at most.
        async with services.db.transaction() as reader, asyncio.timeout(20):
            await reader.execute("SELECT FROM access_token LIMIT 1")
            assert not [name for name in await drop_partitions(connection, clock.now()) if "token" in name]
        assert [name for name in await drop_partitions(connection, clock.now()) if "token" in name]


async def test_creating_partitions_a_second_time_changes_nothing(
    services: Services, clock: MovableClock
) -> None:
    clock.advance(timedelta(days=7300))
    async with services.db.connection() as connection:
        await prepare_partitions(connection, clock.now(), services.settings)
        first = await partitions(services)
        await prepare_partitions(connection, clock.now(), services.settings)
    assert await partitions(services) == first


@pytest.mark.own_database
@pytest.mark.parametrize("table", ["authorization_code", "link", "portal_session", "widget_session"])
async def test_the_days_of_the_next_two_weeks_and_of_what_they_issue_have_partitions(
    services: Services, clock: MovableClock, settings: Settings, table: str
) -> None:
    """Two weeks, and then as long as what is issued on the last of their days is good."""
    settings = replace(settings, code_ttl=timedelta(days=1), link_ttl=timedelta(days=2))
    before = await partitions(services, table)
    clock.advance(timedelta(days=3650))
    now = clock.now()
    async with services.db.connection() as connection:
        await prepare_partitions(connection, now, settings)
    first = day_of(now)
    assert await partitions(services, table) - before == {
        f"{table}_{day}" for day in range(first, first + 17)
    }


@pytest.mark.own_database
async def test_the_ids_of_used_jwts_are_kept_until_a_day_after_the_jwts_expire(
    services: Services, clock: MovableClock
) -> None:
    clock.advance(timedelta(days=3650))
    used, now = UsedJtis(b"a key of this test"), clock.now()
    async with services.db.connection() as connection:
        await prepare_partitions(connection, now, services.settings)

        async def use(**changed: str) -> bool:
            given = {"signer": "PPR-1", "jti": "one"} | changed
            return await used.use(connection, expires_at=now.timestamp() + 60, **given)

        assert [await use(), await use(), await use(jti="two"), await use(signer="PPR-2")] == [
            True, False, True, True,
        ]  # fmt: skip
        partition = f"used_jti_{day_of(now + timedelta(seconds=60))}"
        cursor = await connection.execute("SELECT DISTINCT tableoid::regclass::text FROM used_jti")
        assert await cursor.fetchall() == [(partition,)]
        assert partition not in await drop_partitions(connection, now + timedelta(hours=23))
        assert partition in await drop_partitions(connection, now + timedelta(days=3))
    assert f"used_jti_{day_of(now) + 14}" in await partitions(services, "used_jti")


@pytest.mark.own_database
async def test_the_weeks_in_which_the_tokens_of_the_next_two_weeks_expire_have_partitions(
    services: Services, clock: MovableClock, settings: Settings
) -> None:
    before = await partitions(services)
    clock.advance(timedelta(days=3650))
    now = clock.now()
    async with services.db.connection() as connection:
        lifetimes = {"token_ttl": timedelta(weeks=4), "app_token_ttl": timedelta(weeks=52)}
        await prepare_partitions(connection, now, replace(settings, **lifetimes))
    first = week_of(now)
    weeks = {*range(first, first + 7), *range(first + 52, first + 55)}
    assert await partitions(services) - before == {f"access_token_{week}" for week in weeks}


@pytest.mark.own_database
async def test_a_row_is_stored_in_the_partition_of_its_number(
    services: Services, clock: MovableClock
) -> None:
    clock.advance(timedelta(days=3650))
    async with services.db.connection() as connection:
        await prepare_partitions(connection, clock.now(), services.settings)
    account = await make_account(services, await make_user(services, await make_client(services)))
    code = await make_code(services, account)
    assert code
    day = day_of(clock.now() + services.settings.code_ttl)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT tableoid::regclass::text, expires_day FROM authorization_code"
        )
        assert await cursor.fetchall() == [(f"authorization_code_{day}", day)]


@pytest.mark.own_database
@pytest.mark.parametrize(("table", "number_of"), [("access_token", week_of), ("link", day_of)])
async def test_a_partition_is_dropped_when_all_of_it_has_been_expired_for_the_retention(
    services: Services, clock: MovableClock, table: str, number_of: Callable[[datetime], int]
) -> None:
    clock.advance(timedelta(days=3650))
    async with services.db.connection() as connection:
        await prepare_partitions(connection, clock.now(), services.settings)
        clock.advance(timedelta(days=40))
        await drop_partitions(connection, clock.now())
    oldest = number_of(clock.now() - RETENTION)
    kept = {int(name.rpartition("_")[2]) for name in await partitions(services, table) if "rest" not in name}
    assert min(kept) == oldest
