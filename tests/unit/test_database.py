"""The connections of a process: their deadline, their number, and which servers they accept."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from coatcheck.db import pool
from coatcheck.db.database import Database
from coatcheck.deadline import within
from coatcheck.errors import Unavailable
from tests.databases import execute
from tests.member_setup import until

pytestmark = pytest.mark.own_database

SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %(query)s AND state = 'active'"


@asynccontextmanager
async def opened(url: str, pool_size: int = 4) -> AsyncIterator[Database]:
    database = Database(url, pool_size=pool_size)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def value(database: Database, statement: str, **parameters: object) -> object:
    async with database.connection() as connection:
        row = await (await connection.execute(statement, parameters)).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("pool_size", [1, 2, 3, 4, 5])
async def test_every_size_of_the_pool_lends_that_many_connections_with_the_reserved_ones(
    url: str, pool_size: int
) -> None:
    async with opened(url, pool_size) as database, AsyncExitStack() as lent:
        for _ in range(pool_size):
            await lent.enter_async_context(database.connection(is_reserved=True))


async def test_only_those_who_may_use_them_get_the_reserved_connections(url: str) -> None:
    async with opened(url, 4) as database, AsyncExitStack() as lent:
        for _ in range(2):
            await lent.enter_async_context(database.connection())
        with within(timedelta(seconds=0.5)), pytest.raises(Unavailable):
            await value(database, "SELECT 1")
        async with database.connection(is_reserved=True) as connection:
            await connection.execute("SELECT 1")


async def test_connections_beyond_the_least_number_are_closed_when_they_are_not_needed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SURPLUS_INTERVAL", timedelta(seconds=0.1))
    async with opened(url, 8) as database:
        async with AsyncExitStack() as lent:
            for _ in range(6):
                await lent.enter_async_context(database.connection())
            assert database.pool_stats()["pool_size"] == 6

        async def is_small() -> bool:
            return database.pool_stats()["pool_size"] == 2

        await until(is_small)


async def test_callers_that_meet_by_chance_open_no_connection_and_one_that_is_held_opens_one(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SURPLUS_INTERVAL", timedelta(seconds=0.1))
    monkeypatch.setattr(pool, "IDLE_WAIT", timedelta(seconds=20))
    async with opened(url, 8) as database:

        async def is_idle() -> bool:
            if database.pool_stats()["pool_size"] > 1:
                return False
            await asyncio.gather(*(value(database, "SELECT pg_sleep(0.001)") for _ in range(3)))
            return database.pool_stats()["pool_size"] == 1

        await until(is_idle, 30)
        monkeypatch.setattr(pool, "IDLE_WAIT", timedelta(seconds=0.01))
        async with database.connection():
            assert await value(database, "SELECT 1") == 1
        assert database.pool_stats()["pool_size"] > 1


async def test_a_statement_beyond_the_deadline_is_refused_in_time_and_ends_at_the_server(url: str) -> None:
    async with opened(url) as database:
        started = time.monotonic()
        with within(timedelta(seconds=0.3)), pytest.raises(Unavailable):
            await value(database, "SELECT pg_sleep(25)")
        assert time.monotonic() - started < 10
        assert await value(database, "SELECT 1") == 1

        async def has_ended() -> bool:
            return await value(database, SLEEPING, query="SELECT pg_sleep(%") == 0

        await until(has_ended)
        assert time.monotonic() - started < 20


async def test_a_late_answer_is_never_that_of_another_statement(url: str) -> None:
    async with opened(url, 1) as database:
        for _ in range(3):
            with within(timedelta(seconds=0.2)), pytest.raises(Unavailable):
                await value(database, "SELECT 'late' FROM pg_sleep(0.4)")
            assert await value(database, "SELECT 'prompt'") == "prompt"


async def test_every_session_has_the_settings_that_protect_others(url: str) -> None:
    async with opened(url) as database:
        for name, expected in (
            ("synchronous_commit", "on"),
            ("lock_timeout", "4s"),
            ("statement_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "20s"),
            ("client_connection_check_interval", "2s"),
        ):
            assert await value(database, "SELECT current_setting(%(name)s)", name=name) == expected, name


async def test_a_role_that_may_not_read_the_control_data_can_be_used(url: str) -> None:
    """As on managed databases."""
    role = f"role_{uuid4().hex}"
    execute(url, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", f"CREATE ROLE {role} LOGIN")
    try:
        parts = urlsplit(url)
        async with opened(parts._replace(netloc=f"{role}@").geturl()) as database:
            assert await value(database, "SELECT current_user") == role
    finally:
        execute(url, f"DROP ROLE {role}")
