"""Partitions of codes, tokens, links and sessions: created in advance, dropped after they expire."""

import asyncio
from datetime import timedelta

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.grants.partitions import drop_partitions, prepare_partitions
from tests.factories import make_account, make_client, make_processor, make_token, make_user


async def partitions(services: Services) -> set[str]:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'access_token'::regclass"
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
