"""Partitions: created in advance, skipped if they cannot be created, safe to create concurrently."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import pytest

from coatcheck.app import Services
from coatcheck.audit import journal as audit
from coatcheck.db.database import Connection
from coatcheck.db.partitions import ensure_list_partition, ensure_range_partition
from coatcheck.vault import vault

JANUARY, FEBRUARY, MARCH = (datetime(2031, month, 1, tzinfo=UTC) for month in (1, 2, 3))


@pytest.fixture
async def connection(services: Services) -> AsyncIterator[Connection]:
    async with services.db.connection() as connection:
        yield connection


@pytest.fixture
async def by_time(connection: Connection) -> AsyncIterator[str]:
    name = f"by_time_{token_hex(4)}"
    await connection.execute(f"CREATE TABLE {name} (at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    await connection.execute(f"CREATE TABLE {name}_rest PARTITION OF {name} DEFAULT")
    yield name
    await connection.execute(f"DROP TABLE {name}")


@pytest.fixture
async def by_value(connection: Connection) -> AsyncIterator[str]:
    name = f"by_value_{token_hex(4)}"
    await connection.execute(f"CREATE TABLE {name} (week integer NOT NULL) PARTITION BY LIST (week)")
    await connection.execute(f"CREATE TABLE {name}_rest PARTITION OF {name} DEFAULT")
    yield name
    await connection.execute(f"DROP TABLE {name}")


async def partition_of(connection: Connection, table: str, column: str, value: object) -> str:
    await connection.execute(f"INSERT INTO {table} VALUES (%s)", (value,))
    cursor = await connection.execute(
        f"SELECT tableoid::regclass::text FROM {table} WHERE {column} = %s", (value,)
    )
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def test_a_month_contains_its_first_instant_and_not_that_of_the_next_month(
    connection: Connection, by_time: str
) -> None:
    assert await ensure_range_partition(connection, by_time, f"{by_time}_1", JANUARY, FEBRUARY)
    assert await ensure_range_partition(connection, by_time, f"{by_time}_1", JANUARY, FEBRUARY)
    assert await partition_of(connection, by_time, "at", JANUARY) == f"{by_time}_1"
    assert await partition_of(connection, by_time, "at", FEBRUARY - timedelta(seconds=1)) == f"{by_time}_1"
    assert await partition_of(connection, by_time, "at", FEBRUARY) == f"{by_time}_rest"


async def test_a_list_partition_contains_its_value(connection: Connection, by_value: str) -> None:
    assert await ensure_list_partition(connection, by_value, f"{by_value}_7", 7)
    assert await ensure_list_partition(connection, by_value, f"{by_value}_7", 7)
    assert await partition_of(connection, by_value, "week", 7) == f"{by_value}_7"
    assert await partition_of(connection, by_value, "week", 8) == f"{by_value}_rest"


async def test_no_partition_is_created_if_the_default_partition_has_rows_of_its_range(
    connection: Connection, by_time: str, by_value: str
) -> None:
    await connection.execute(f"INSERT INTO {by_time} VALUES (%s)", (JANUARY,))
    assert not await ensure_range_partition(connection, by_time, f"{by_time}_1", JANUARY, FEBRUARY)
    assert await ensure_range_partition(connection, by_time, f"{by_time}_2", FEBRUARY, MARCH)
    await connection.execute(f"INSERT INTO {by_value} VALUES (7)")
    assert not await ensure_list_partition(connection, by_value, f"{by_value}_7", 7)


async def test_no_partition_is_created_if_another_one_covers_its_range(
    connection: Connection, by_time: str
) -> None:
    assert await ensure_range_partition(connection, by_time, f"{by_time}_all", JANUARY, MARCH)
    assert not await ensure_range_partition(connection, by_time, f"{by_time}_2", FEBRUARY, MARCH)


async def test_concurrent_creation_of_a_partition_raises_no_error(
    services: Services, connection: Connection, by_time: str
) -> None:
    async def create() -> None:
        async with services.db.connection() as own:
            await ensure_range_partition(own, by_time, f"{by_time}_1", JANUARY, FEBRUARY)

    await asyncio.gather(*(create() for _ in range(8)))
    assert await partition_of(connection, by_time, "at", JANUARY) == f"{by_time}_1"


async def test_no_partition_is_created_while_the_default_partition_is_locked(
    services: Services, connection: Connection, by_time: str
) -> None:
    async with services.db.transaction() as busy:
        await busy.execute(f"INSERT INTO {by_time} VALUES (%s)", (MARCH,))
        assert not await ensure_range_partition(connection, by_time, f"{by_time}_1", JANUARY, FEBRUARY)
    assert await ensure_range_partition(connection, by_time, f"{by_time}_1", JANUARY, FEBRUARY)


async def test_a_failed_creation_leaves_the_transaction_of_the_caller_usable(
    services: Services, by_time: str
) -> None:
    async with services.db.transaction() as connection:
        await connection.execute(f"INSERT INTO {by_time} VALUES (%s)", (JANUARY,))
        assert not await ensure_range_partition(connection, by_time, f"{by_time}_1", JANUARY, FEBRUARY)
        await connection.execute(f"INSERT INTO {by_time} VALUES (%s)", (FEBRUARY,))


@pytest.mark.parametrize(
    ("prepare", "table"),
    [(vault.prepare_partitions, "disclosure"), (audit.prepare_partitions, "audit_event")],
)
async def test_partitions_of_this_month_and_the_next_two_are_created_also_at_the_end_of_a_year(
    connection: Connection, prepare: object, table: str
) -> None:
    assert callable(prepare)
    await prepare(connection, datetime(2030, 11, 30, 23, 59, tzinfo=UTC))
    cursor = await connection.execute(
        """SELECT inhrelid::regclass::text, pg_get_expr(relpartbound, oid)
           FROM pg_inherits JOIN pg_class ON oid = inhrelid
           WHERE inhparent = %s::regclass AND relname ~ '_(2030|2031)_' ORDER BY 1""",
        (table,),
    )
    bounds = dict(await cursor.fetchall())
    assert list(bounds) == [f"{table}_2030_11", f"{table}_2030_12", f"{table}_2031_01"]
    assert bounds[f"{table}_2030_12"] == (
        "FOR VALUES FROM ('2030-12-01 00:00:00+00') TO ('2031-01-01 00:00:00+00')"
    )
