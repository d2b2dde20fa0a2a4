"""Measures what grows with the number of tokens and transactions: the look-up of a token, bytes, the purge.

    make bench-growth                                # 1e5 and 1e6; about ten minutes
    .venv/bin/python -m bench.growth --sizes 100000 1000000 10000000    # an hour and 20 GB

Each size has a database of its own. Look-ups of all sizes are timed by turns, so that other load on the machine changes
all of them, and the pages of one are counted, which no load changes.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from bench.grants import USERS, fill
from coatcheck.app import Services, build
from coatcheck.cli.embedded import database
from coatcheck.config import Settings
from coatcheck.db.partitions import drop_partition
from coatcheck.grants.access import PresentedToken
from coatcheck.grants.partitions import prepare_partitions
from coatcheck.grants.secrets import week_of
from coatcheck.migrations.upgrade import upgrade
from tests.factories import Keyed, make_account, make_client, make_processor, make_token, make_user

LOOKUPS, WARM_UP = 400, 20
console = Console(width=140)

TRANSACTIONS = """
COPY transaction (user_guid, guid, member_guid, account_guid, id, amount, type, status, date, transacted_at, posted_at,
                  description, original_description, currency_code, category, category_guid, top_level_category,
                  top_level_category_guid, created_at, updated_at)
FROM STDIN
"""
SIZES = """
SELECT sum(pg_relation_size(relid))::bigint, sum(pg_indexes_size(relid))::bigint
FROM (SELECT relid FROM pg_partition_tree(%(table)s::regclass) UNION SELECT %(table)s::regclass) AS part"""
LEFT_BY_EXCHANGE = "access_token", "audit_event", "authorization_code", "event"
"""The tables that the issue of a code and its exchange write to."""
EXCHANGES = 4_000
# Of all partitions together: the rows, and each index by its columns.
SIZES_BY_INDEX = """
SELECT 'rows', sum(pg_relation_size(relid))::bigint FROM pg_partition_tree(%(table)s::regclass) WHERE isleaf
UNION ALL
SELECT substring(pg_get_indexdef(indexrelid) FROM 'USING .*'), sum(pg_relation_size(indexrelid))::bigint
FROM pg_partition_tree(%(table)s::regclass) JOIN pg_index ON indrelid = relid WHERE isleaf GROUP BY 1"""
# What a look-up reads: the row of a token, by the index of its partition.
PAGES = """
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
SELECT * FROM live_token WHERE expires_week = %(week)s AND token_hash = %(hash)s"""


@dataclass(frozen=True)
class Filled:
    """A database with so many tokens and transactions."""

    size: int
    services: Services
    tokens: Sequence[PresentedToken]
    """A few of them."""
    exchange_bytes: Mapping[str, Mapping[str, float]]


async def copy_transactions(services: Services, count: int) -> None:
    """Of the accounts of `bench.grants`, each with as many, over two years."""
    now = services.clock.now()
    async with (
        await psycopg.AsyncConnection.connect(services.settings.database_url) as connection,
        connection.cursor() as cursor,
        cursor.copy(TRANSACTIONS) as copy,
    ):
        for n in range(count):
            user = n % USERS
            at = now - timedelta(days=n % 730)
            await copy.write_row(
                    (
                        f"USR-fill-{user}", f"TRN-01990000-0000-7000-8000-{n:012x}", f"MBR-fill-{user}",
                        f"ACT-fill-{user}", f"bank-{n}", n % 300, "DEBIT", "POSTED", at.date(), at, at, "Corner Bakery",
                        "POS PURCHASE CORNER BAKERY 0042", "USD", "Restaurants",
                        "CAT-01990000-0000-7000-8000-000000000001", "Food & Dining",
                        "CAT-01990000-0000-7000-8000-000000000002", now, now,
                    )
                )  # fmt: skip


async def bytes_of(connection: psycopg.AsyncConnection[Any], table: str, rows: int) -> dict[str, float]:
    cursor = await connection.execute(SIZES, {"table": table})
    row = await cursor.fetchone()
    assert row is not None
    return {"row": row[0] / rows, "indexes": row[1] / rows}


async def bytes_of_exchange(
    services: Services, connection: psycopg.AsyncConnection[Any], client: Keyed, processor: Keyed
) -> dict[str, dict[str, float]]:
    """What the issue of a code and its exchange leave, by table and index. Each account gets one code.

    The row of a code that was not redeemed yet is dead afterwards. It is vacuumed as autovacuum would.
    """
    accounts = [await make_account(services, await make_user(services, client)) for _ in range(EXCHANGES)]
    before = {table: await sizes_by_index(connection, table) for table in LEFT_BY_EXCHANGE}
    for number, account in enumerate(accounts):
        await make_token(services, account, processor)
        if number % (EXCHANGES // 8) == 0:
            await connection.execute("VACUUM authorization_code")
    left = {}
    for table in LEFT_BY_EXCHANGE:
        after = await sizes_by_index(connection, table)
        left[table] = {name: (size - before[table][name]) / EXCHANGES for name, size in after.items()}
    return left


async def sizes_by_index(connection: psycopg.AsyncConnection[Any], table: str) -> dict[str, int]:
    cursor = await connection.execute(SIZES_BY_INDEX, {"table": table})
    return dict(await cursor.fetchall())


async def time_lookups(filled: Sequence[Filled]) -> list[dict[str, float]]:
    """Milliseconds of a read of account numbers of each size: one after the other, by turns.

    Other load on the machine changes all of them. `ratio` is the median of the ratios to the first size in a turn.
    """
    times: list[list[float]] = [[] for _ in filled]
    for number in range(LOOKUPS + WARM_UP):
        for each, its_times in zip(filled, times, strict=True):
            started = time.perf_counter()
            await each.services.access.numbers(each.tokens[number % len(each.tokens)])
            its_times.append((time.perf_counter() - started) * 1000)
    first = times[0][WARM_UP:]
    return [
        {
            "p50": statistics.median(its_times[WARM_UP:]),
            "p99": sorted(its_times[WARM_UP:])[int(LOOKUPS * 0.99)],
            "ratio": statistics.median(a / b for a, b in zip(its_times[WARM_UP:], first, strict=True)),
        }
        for its_times in times
    ]


async def pages_of_lookup(connection: psycopg.AsyncConnection[Any], token: PresentedToken) -> int:
    values = {"week": token.period, "hash": token.hash}
    await connection.execute(PAGES, values)
    cursor = await connection.execute(PAGES, values)
    row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@asynccontextmanager
async def reads_meanwhile(services: Services, token: PresentedToken) -> AsyncIterator[list[float]]:
    """Reads all the time until the block ends. The milliseconds of each."""
    times: list[float] = []
    is_done = asyncio.Event()

    async def read() -> None:
        while not is_done.is_set():
            started = time.perf_counter()
            await services.access.numbers(token)
            times.append((time.perf_counter() - started) * 1000)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.2)
    yield times
    is_done.set()
    await reader


async def wal_position(connection: psycopg.AsyncConnection[Any]) -> int:
    cursor = await connection.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def purge(
    services: Services, connection: psycopg.AsyncConnection[Any], token: PresentedToken
) -> dict[str, dict[str, float]]:
    """Deletes the tokens of one week, and drops the partition of another with as many, while a token is read."""
    week = week_of(services.clock.now()) + 3
    result = {}
    for name, weeks in (("DELETE", week), ("DROP PARTITION", week + 1)):
        cursor = await connection.execute(
            "SELECT count(*) FROM access_token WHERE expires_week = %s", (weeks,)
        )
        row = await cursor.fetchone()
        before, size = await wal_position(connection), await size_of(connection, f"access_token_{weeks}")
        async with reads_meanwhile(services, token) as times:
            started = time.perf_counter()
            if name == "DELETE":
                await connection.execute("DELETE FROM access_token WHERE expires_week = %s", (weeks,))
                await connection.execute(f"VACUUM access_token_{weeks}")
            else:
                assert await drop_partition(connection, f"access_token_{weeks}")
            seconds = time.perf_counter() - started
        left = await size_of(connection, f"access_token_{weeks}") if name == "DELETE" else 0
        result[name] = {
            "rows": row[0] if row else 0,
            "seconds": seconds,
            "wal_megabytes": (await wal_position(connection) - before) / 1e6,
            "freed_megabytes": (size - left) / 1e6,
            "slowest_read_ms": max(times),
        }
    return result


async def size_of(connection: psycopg.AsyncConnection[Any], table: str) -> int:
    cursor = await connection.execute("SELECT pg_total_relation_size(%s::regclass)", (table,))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def fill_all(services: Services, size: int) -> Filled:
    """Fills the database of a size, and measures what an exchange leaves before."""
    async with services.db.connection() as pooled:
        await prepare_partitions(pooled, services.clock.now(), services.settings)
    client: Keyed = await make_client(services)
    processor = await make_processor(services, client)
    accounts = [await make_account(services, await make_user(services, client)) for _ in range(50)]
    secrets_of = [await make_token(services, each, processor) for each in accounts]
    async with await psycopg.AsyncConnection.connect(
        services.settings.database_url, autocommit=True
    ) as connection:
        exchange_bytes = await bytes_of_exchange(services, connection, client, processor)
        await fill(services, client, size)
        await copy_transactions(services, size)
        await connection.execute("VACUUM ANALYZE")
    return Filled(size, services, [services.access.parse_token(each) for each in secrets_of], exchange_bytes)


async def measure(filled: Filled) -> dict[str, Any]:
    size, token = filled.size, filled.tokens[0]
    async with await psycopg.AsyncConnection.connect(
        filled.services.settings.database_url, autocommit=True
    ) as connection:
        return {
            "pages": await pages_of_lookup(connection, token),
            "exchange_bytes": filled.exchange_bytes,
            "token_bytes": await bytes_of(connection, "access_token", size),
            "transaction_bytes": await bytes_of(connection, "transaction", size),
            "week_bytes": await bytes_of(connection, "transaction_week", size),
            "purge": await purge(filled.services, connection, token),
        }


@asynccontextmanager
async def services_of(size: int) -> AsyncIterator[Services]:
    """With a database of its own."""
    master_key = f"bench:{b64encode(secrets.token_bytes(32)).decode()}"
    with tempfile.TemporaryDirectory() as directory, database(Path(directory) / "postgres") as url:
        upgrade(url)
        settings = Settings(database_url=url, master_key=master_key, connectors=("sandbox",))
        with console.status(f"{size:,} tokens and transactions"):
            async with build(settings) as services:
                yield services


async def main(sizes: list[int], output: Path) -> None:
    async with AsyncExitStack() as stack:
        filled = [await fill_all(await stack.enter_async_context(services_of(size)), size) for size in sizes]
        lookups = await time_lookups(filled)
        results = {
            each.size: {"lookup": lookup} | await measure(each)
            for each, lookup in zip(filled, lookups, strict=True)
        }
    for size, result in results.items():
        report(size, result)
    save(results, output)


def save(results: dict[int, Any], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / f"growth-{int(time.time())}.json").write_text(json.dumps(results, indent=1))


def report(size: int, result: dict[str, Any]) -> None:
    table = Table("", "", title=f"{size:,} tokens and transactions")
    lookup = result["lookup"]
    table.add_row("look-up, p50 and p99 ms", f"{lookup['p50']:.2f}  {lookup['p99']:.2f}")
    table.add_row("look-up, by that of the first size", f"{lookup['ratio']:.2f}")
    table.add_row("pages of a look-up", str(result["pages"]))
    for name in ("token", "transaction", "week"):
        sizes = result[f"{name}_bytes"]
        table.add_row(f"bytes for each {name}: row, indexes", f"{sizes['row']:.0f}  {sizes['indexes']:.0f}")
    for name, each in result["exchange_bytes"].items():
        listed = ", ".join(f"{index} {size:.0f}" for index, size in each.items())
        table.add_row(f"{name}: bytes of an exchange", f"{sum(each.values()):.0f}: {listed}")
    for name, each in result["purge"].items():
        table.add_row(
            f"{name} of {each['rows']:,} tokens",
            f"{each['seconds']:.2f} s, {each['wal_megabytes']:.0f} MB of log, {each['freed_megabytes']:.0f} MB freed,"
            f" slowest read {each['slowest_read_ms']:.0f} ms",
        )
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--output", type=Path, default=Path("bench/results"))
    arguments = parser.parse_args()
    asyncio.run(main(arguments.sizes, arguments.output))
