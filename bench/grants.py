"""Measures lists, reads and revocations of a client with a million grants.

    make bench-grants          # a table; about five minutes

The server and PostgreSQL run on this machine, with the load. Every request is sent over one connection, one after the
other, so that a latency is that of the request alone.
"""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import repeat, takewhile
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from bench.servers import Server, serving
from coatcheck.app import Services, build
from coatcheck.cli.embedded import database
from coatcheck.config import Settings
from coatcheck.grants.partitions import prepare_partitions
from coatcheck.grants.secrets import week_of
from coatcheck.migrations.upgrade import upgrade
from coatcheck.testing.load import Run, request, send_all
from tests.factories import Keyed, make_account, make_client, make_processor, make_token, make_user
from tests.processes import free_port

USERS, PROCESSORS = 20_000, 20
console = Console(width=130)

OBJECTS = """
INSERT INTO end_user (guid, client_guid, created_at)
    SELECT 'USR-fill-' || n, %(client)s, now() FROM generate_series(0, %(users)s - 1) n;
INSERT INTO member (user_guid, guid, client_guid, institution_code, institution_guid, name, connection_status,
                    broken_since, created_at, updated_at)
    SELECT 'USR-fill-' || n, 'MBR-fill-' || n, %(client)s, 'mxbank', 'INS-1', 'MX Bank',
           CASE WHEN n %% 33 = 0 THEN 'DISCONNECTED' ELSE 'CONNECTED' END,
           CASE WHEN n %% 33 = 0 THEN now() END, now(), now()
    FROM generate_series(0, %(users)s - 1) n;
INSERT INTO account (user_guid, guid, client_guid, member_guid, id, type, created_at, updated_at)
    SELECT 'USR-fill-' || n, 'ACT-fill-' || n, %(client)s, 'MBR-fill-' || n, 'a', 'CHECKING', now(), now()
    FROM generate_series(0, %(users)s - 1) n;
INSERT INTO processor (guid, name, created_at)
    SELECT 'PPR-fill-' || n, 'Processor ' || n, now() FROM generate_series(0, %(processors)s - 1) n;
INSERT INTO client_processor (client_guid, processor_guid, enabled_at)
    SELECT %(client)s, 'PPR-fill-' || n, now() FROM generate_series(0, %(processors)s - 1) n
"""
TOKENS = """
COPY access_token (expires_week, token_hash, guid, client_guid, processor_guid, user_guid, member_guid, account_guid,
                   atoms, reads_protected, first_characters, created_at, expires_at, max_reads, reads, revoked_at)
FROM STDIN
"""


async def fill(services: Services, client: Keyed, count: int) -> None:
    """Grants of one client, in the weeks in which they expire: 9 in 10 live, the others expired, revoked, exhausted."""
    now = services.clock.instant()
    async with services.db.connection() as connection:
        for weeks in range(-1, 10):
            week = week_of(now + timedelta(weeks=weeks))
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS access_token_{week} PARTITION OF access_token FOR VALUES IN ({week})"
            )
    values = {"client": client.guid, "users": USERS, "processors": PROCESSORS}
    async with await psycopg.AsyncConnection.connect(
        services.settings.database_url, autocommit=True, cursor_factory=psycopg.AsyncClientCursor
    ) as connection:
        for statement in OBJECTS.split(";"):
            await connection.execute(statement, values)
        async with connection.cursor() as cursor, cursor.copy(TOKENS) as copy:
            for n in range(count):
                created = now - timedelta(days=60) + n * timedelta(days=60) / count
                expires = created + timedelta(days=60 if n % 20 else 50)
                user = n % USERS
                await copy.write_row(
                    (
                        week_of(expires),
                        secrets.token_bytes(32),
                        f"TKN-01990000-0000-7000-8000-{n:012x}",
                        client.guid,
                        f"PPR-fill-{n % PROCESSORS}",
                        f"USR-fill-{user}",
                        f"MBR-fill-{user}",
                        f"ACT-fill-{user}",
                        "",
                        False,
                        "cct_0m1Ek3bE",
                        created,
                        expires,
                        5 if n % 50 == 1 else None,
                        5 if n % 50 == 1 else 0,
                        now if n % 20 == 3 else None,
                    )
                )
        await connection.execute("VACUUM ANALYZE")


async def time_of(port: int, requests: Sequence[bytes]) -> Run:
    """Each request once, one after the other, after as many to warm up as a connection needs to prepare its plan."""
    await send_all(port, list(requests[:20]), connections=1)
    run = await send_all(port, list(requests[20:]), connections=1)
    assert set(run.statuses) <= {200}, run.statuses
    return run


def cases(headers: Mapping[str, str], processor: Mapping[str, str], count: int) -> Mapping[str, list[bytes]]:
    def lists(query: str, caller: Mapping[str, str] = headers) -> list[bytes]:
        return [request("GET", f"/coatcheck/grants?{query}", dict(caller))] * 120

    def each(method: str, suffix: str) -> list[bytes]:
        guids = [f"TKN-01990000-0000-7000-8000-{secrets.randbelow(count):012x}" for _ in range(120)]
        return [request(method, f"/coatcheck/grants/{guid}{suffix}", dict(headers)) for guid in guids]

    return {
        "list": lists(""),
        "list, page 1,000": lists("page=1000"),
        "list, 1,000 on a page": lists("records_per_page=1000"),
        **{f"list, status {status}": lists(f"status={status}") for status in
           ("active", "expired", "exhausted", "suspended", "revoked")},
        "list of a processor": lists("", processor),
        "list, processor_guid": lists("processor_guid=PPR-fill-7"),
        "list, user_guid": lists("user_guid=USR-fill-77"),
        "list, member_guid": lists("member_guid=MBR-fill-77"),
        "list, account_guid": lists("account_guid=ACT-fill-77"),
        "list, account_guid and status": lists("account_guid=ACT-fill-77&status=active"),
        "show": each("GET", ""),
        "reads": each("GET", "/reads"),
        "revoke": each("POST", "/revoke"),
    }  # fmt: skip


async def stream_tokens(
    server: Server, headers: Mapping[str, str], other: bytes
) -> tuple[float, float, float, Run]:
    """Seconds and MB of `GET /tokens`, the server's growth in MB, and another caller's reads meanwhile."""
    await send_all(server.port, [other] * 20, connections=1)
    before, peak, size, started = server.resident_megabytes(), 0.0, 0, time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request("GET", "/tokens", {**headers, "Connection": "close"}))
    done = asyncio.Event()
    others = takewhile(lambda _: not done.is_set(), repeat(other))
    reading = asyncio.create_task(send_all(server.port, others, connections=1))
    while chunk := await reader.read(1 << 20):
        size += len(chunk)
        peak = max(peak, server.resident_megabytes())
    done.set()
    seconds = time.monotonic() - started
    writer.close()
    return seconds, size / 1e6, peak - before, await reading


async def main(count: int, output: Path) -> None:
    master_key = f"bench:{b64encode(secrets.token_bytes(32)).decode()}"
    with tempfile.TemporaryDirectory() as directory, database(Path(directory) / "postgres") as url:
        upgrade(url)
        settings = Settings(database_url=url, master_key=master_key, connectors=("sandbox",))
        async with build(settings) as services:
            async with services.db.connection() as connection:
                await prepare_partitions(connection, services.clock.now(), settings)
            client, beside = await make_client(services), await make_client(services)
            processor = await make_processor(services, client, beside)
            with console.status(f"Filling a database with {count} grants"):
                await fill(services, client, count)
            # Not of the pool: its statements have a time limit.
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(
                    "UPDATE access_token SET processor_guid = %s WHERE processor_guid = 'PPR-fill-3'",
                    (processor.guid,),
                )
                await connection.execute("VACUUM ANALYZE access_token")
            token = await make_token(
                services, await make_account(services, await make_user(services, beside)), processor
            )
            environment = {
                "COATCHECK_DATABASE_URL": url,
                "COATCHECK_MASTER_KEY": master_key,
                "COATCHECK_CONNECTORS": "sandbox",
                "COATCHECK_LOG_LEVEL": "WARNING",
            }
            port = free_port()
            serve = [str(Path(sys.executable).parent / "coatcheck"), "serve", "--port", str(port)]
            with serving("coatcheck", serve, environment, port) as server:
                await measure(server, client, processor, token, count, output)


def save(results: Mapping[str, object], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / f"grants-{int(time.time())}.json").write_text(json.dumps(results, indent=1))


async def measure(
    server: Server, client: Keyed, processor: Keyed, token: str, count: int, output: Path
) -> None:
    headers, as_processor = ({"Authorization": "Basic " + b64encode(":".join(each.auth).encode()).decode()}
                             for each in (client, processor))  # fmt: skip
    results: dict[str, dict[str, float]] = {}
    table = Table("request", "p50 ms", "p99 ms", "max ms", title=f"{count:,} grants of one client")
    for name, requests in cases(headers, as_processor, count).items():
        run = await time_of(server.port, requests)
        results[name] = {"p50": run.percentile(0.5), "p99": run.percentile(0.99), "max": run.percentile(1)}
        table.add_row(name, *(f"{value:.2f}" for value in results[name].values()))
    other = request("GET", "/payment_account", {"Authorization": f"Bearer {token}"})
    alone = await time_of(server.port, [other] * 520)
    seconds, size, growth, beside = await stream_tokens(server, headers, other)
    results["GET /tokens"] = {"seconds": seconds, "megabytes": size, "growth_megabytes": growth}
    results["another caller"] = {
        "alone_p50": alone.percentile(0.5), "alone_p99": alone.percentile(0.99),
        "p50": beside.percentile(0.5), "p99": beside.percentile(0.99), "max": beside.percentile(1),
    }  # fmt: skip
    console.print(table)
    console.print(
        f"GET /tokens: {size:.0f} MB in {seconds:.1f} s, the server grows by {growth:.1f} MB.\n"
        f"Another caller meanwhile: p50 {beside.percentile(0.5):.1f} ms, p99 {beside.percentile(0.99):.1f} ms "
        f"(alone: {alone.percentile(0.5):.1f}, {alone.percentile(0.99):.1f})."
    )
    save(results, output)
    slow = {name: result["p50"] for name, result in results.items() if result.get("p50", 0) > 5}
    console.print(f"Slower than 5 ms: {slow}" if slow else "Every p50 is below 5 ms.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grants", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path("bench/results"))
    arguments = parser.parse_args()
    asyncio.run(main(arguments.grants, arguments.output))
