"""Compares Coatcheck with a baseline (`bench/bare.py`). The server has one core, PostgreSQL and the load another.

    make bench          # a table, and bench/results/<time>.json

Rounds alternate between the two servers, so that other load on the machine affects both. The ratio compares requests
per second of the server's CPU time: the load generator is written in Python too, and limits the requests per second.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from bench.load import Run, request, send_all
from coatcheck.app import Services, build
from coatcheck.cli.embedded import database
from coatcheck.config import Settings
from coatcheck.grants.partitions import prepare_partitions
from coatcheck.grants.secrets import Kind, parse_secret, week_of
from coatcheck.ids import new
from coatcheck.migrations.upgrade import upgrade
from tests.factories import make_account, make_client, make_processor, make_token, make_user, scope_of

SERVER_CORE, OTHER_CORE = 0, max(os.sched_getaffinity(0))
TARGETS = {"exchange": 0.60, "account numbers": 0.60}
ACCOUNTS = 100
"""Codes are issued for them in turn: the number of codes of one account that are not redeemed is limited."""
console = Console(width=130)


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@dataclass(frozen=True)
class Measured:
    run: Run
    per_cpu_second: float


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[int], "asyncio.Future[list[bytes]]"]
    count: int
    connections: int = 16
    bare: Callable[[int], "asyncio.Future[list[bytes]]"] | None = None


@contextmanager
def serving(name: str, arguments: list[str], environment: dict[str, str], port: int) -> Iterator[Server]:
    process = subprocess.Popen(
        arguments,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        _wait_for(port, process)
        yield Server(name, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode}")
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except OSError as error:
            if getattr(error, "code", None) == 404:
                return
            time.sleep(0.1)
    sys.exit("the server did not start")


async def measure(server: Server, requests: list[bytes], connections: int) -> Measured:
    before = server.cpu_seconds()
    run = await send_all(server.port, requests, connections=connections)
    if set(run.statuses) != {200}:
        sys.exit(f"{server.name}: {dict(run.statuses)}")
    return Measured(run, run.requests / max(server.cpu_seconds() - before, 0.01))


async def make_transactions(services: Services, user_guid: str, account_guid: str, member_guid: str) -> None:
    """Two years of an account: 900 rows."""
    now = services.clock.now()
    async with services.db.transaction() as connection:
        cursor = connection.cursor()
        await cursor.executemany(
            """INSERT INTO transaction (user_guid, guid, member_guid, account_guid, id, amount, type, status, date,
                   transacted_at, posted_at, description, original_description, currency_code, category,
                   category_guid, top_level_category, top_level_category_guid, created_at, updated_at)
               VALUES (%s, %s, %s, %s, %s, %s, 'DEBIT', 'POSTED', %s, %s, %s, 'Corner Bakery',
                       'POS PURCHASE CORNER BAKERY 0042', 'USD', 'Restaurants', 'CAT-1', 'Food & Dining', 'CAT-2',
                       %s, %s)""",
            [
                (user_guid, new("TRN"), member_guid, account_guid, str(n), Decimal(n) / 7 // 1 + 1,
                 now.date() - timedelta(days=n % 110), now, now, now, now)
                for n in range(900)
            ],
        )  # fmt: skip


async def main(requests: int, rounds: int, output: Path) -> None:
    os.sched_setaffinity(0, {OTHER_CORE})
    master_key = f"bench:{b64encode(secrets.token_bytes(32)).decode()}"
    with tempfile.TemporaryDirectory() as directory, database(Path(directory) / "postgres") as url:
        upgrade(url)
        settings = Settings(database_url=url, master_key=master_key, connectors=("sandbox",))
        async with build(settings) as services:
            await compare(services, master_key, requests, rounds, output)


async def compare(services: Services, master_key: str, requests: int, rounds: int, output: Path) -> None:
    async with services.db.connection() as connection:
        await prepare_partitions(connection, services.clock.now(), services.settings)
    client = await make_client(services)
    processor = await make_processor(services, client)
    user = await make_user(services, client)
    accounts = [await make_account(services, user) for _ in range(ACCOUNTS)]
    account = accounts[0]
    await make_transactions(services, user.guid, account.guid, account.member_guid)
    token = await make_token(services, account, processor)
    hash_key: bytes = services.issuer._hash_key  # noqa: SLF001
    presented = parse_secret(Kind.PROCESSOR_KEY, processor.api_key, hash_key)
    assert presented is not None
    environment = {
        "COATCHECK_DATABASE_URL": services.settings.database_url,
        "COATCHECK_MASTER_KEY": master_key,
        "COATCHECK_CONNECTORS": "sandbox",
        "COATCHECK_LOG_LEVEL": "WARNING",
        "BARE_HASH_KEY": hash_key.hex(),
        "BARE_KEY_HASH": presented.hash.hex(),
        "BARE_PROCESSOR": processor.guid,
        "PYTHONPATH": str(Path.cwd()),
    }
    basic = {"Authorization": "Basic " + b64encode(":".join(processor.auth).encode()).decode()}
    as_client = {"Authorization": "Basic " + b64encode(":".join(client.auth).encode()).decode()}
    bearer = {"Authorization": f"Bearer {token}"}
    week = week_of(services.clock.now() + timedelta(days=60))

    async def codes(count: int) -> list[str]:
        async with services.db.connection() as connection:
            return [
                await services.issuer.issue_authenticated(
                    connection, client_guid=client.guid, scope=scope_of(each)
                )
                for each in islice(cycle(accounts), count)
            ]

    async def exchanges(count: int) -> list[bytes]:
        return [
            request("POST", f"/token?grant_type=authorization_code&code={code}", basic)
            for code in await codes(count)
        ]

    async def bare_exchanges(count: int) -> list[bytes]:
        return [
            request("POST", f"/token?code={code}&day={_day(code, hash_key)}&week={week}", basic)
            for code in await codes(count)
        ]

    async def numbers(count: int) -> list[bytes]:
        return [request("GET", "/account/account_numbers", bearer)] * count

    async def bare_numbers(count: int) -> list[bytes]:
        period = parse_secret(Kind.TOKEN, token, hash_key)
        assert period is not None
        return [request("GET", "/account/account_numbers", bearer | {"X-Week": str(period.period)})] * count

    async def page(count: int) -> list[bytes]:
        return [request("GET", "/account/transactions?records_per_page=100", bearer)] * count

    async def code_requests(count: int) -> list[bytes]:
        bodies = [
            json.dumps({"authorization_code": {"scope": str(scope_of(each))}}).encode() for each in accounts
        ]
        headers = as_client | {"Content-Type": "application/json"}
        return [
            request("POST", "/authorization_code", headers, body) for body in islice(cycle(bodies), count)
        ]

    cases = [
        Case("exchange", exchanges, requests, bare=bare_exchanges),
        Case("account numbers", numbers, requests, bare=bare_numbers),
        Case("100-row page", page, max(200, requests // 10), connections=1),
        Case("code issue", code_requests, requests),
    ]
    ours = [sys.executable, "-m", "coatcheck.cli", "serve", "--port", "8761"]
    bare = [
        sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", "8762", "--loop", "uvloop",
        "--http", "httptools", "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    with (
        serving("coatcheck", ours, environment, 8761) as coatcheck,
        serving("bare", bare, environment, 8762) as baseline,
    ):
        idle = coatcheck.resident_megabytes()
        results = {}
        for case in cases:
            with console.status(f"measuring: {case.name}"):
                results[case.name] = await run_rounds(case, coatcheck, baseline, rounds)
        report(results, idle, coatcheck.resident_megabytes(), output)


def _day(code: str, hash_key: bytes) -> int:
    presented = parse_secret(Kind.CODE, code, hash_key)
    assert presented is not None
    return presented.period


async def run_rounds(case: Case, ours: Server, bare: Server, rounds: int) -> dict[str, float]:
    await measure(ours, await case.make(max(50, case.count // 5)), case.connections)
    if case.bare:
        await measure(bare, await case.bare(max(50, case.count // 5)), case.connections)
    coatcheck_runs, baseline_runs = [], []
    for _ in range(rounds):
        coatcheck_runs.append(await measure(ours, await case.make(case.count), case.connections))
        if case.bare:
            baseline_runs.append(await measure(bare, await case.bare(case.count), case.connections))
    single = await measure(ours, await case.make(max(200, case.count // 10)), 1)
    median = statistics.median
    result = {
        "requests_per_second": median(m.run.requests / m.run.seconds for m in coatcheck_runs),
        "requests_per_cpu_second": median(m.per_cpu_second for m in coatcheck_runs),
        "p50_ms": median(m.run.percentile(0.50) for m in coatcheck_runs),
        "p99_ms": median(m.run.percentile(0.99) for m in coatcheck_runs),
        "p50_alone_ms": single.run.percentile(0.50),
        "p99_alone_ms": single.run.percentile(0.99),
    }
    if baseline_runs:
        result |= {
            "bare_requests_per_second": median(m.run.requests / m.run.seconds for m in baseline_runs),
            "bare_requests_per_cpu_second": median(m.per_cpu_second for m in baseline_runs),
            "ratio_by_cpu": median(
                a.per_cpu_second / b.per_cpu_second
                for a, b in zip(coatcheck_runs, baseline_runs, strict=True)
            ),
            "ratio_by_clock": median(
                b.run.seconds / a.run.seconds for a, b in zip(coatcheck_runs, baseline_runs, strict=True)
            ),
        }
    return result


def report(results: dict[str, dict[str, float]], idle: float, after: float, output: Path) -> None:
    table = Table(title="Coatcheck on one core, PostgreSQL and the load on the other")
    headings = "requests/s", "per CPU second", "p50 ms", "p99 ms", "alone p50", "bare/CPU s"
    for heading in ("", *headings, "of bare (CPU)", "of bare (clock)"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, result in results.items():
        ratio = result.get("ratio_by_cpu")
        table.add_row(
            name,
            f"{result['requests_per_second']:,.0f}",
            f"{result['requests_per_cpu_second']:,.0f}",
            f"{result['p50_ms']:.2f}",
            f"{result['p99_ms']:.2f}",
            f"{result['p50_alone_ms']:.2f}",
            f"{result['bare_requests_per_cpu_second']:,.0f}" if ratio else "",
            f"{ratio:.0%}" if ratio else "",
            f"{result['ratio_by_clock']:.0%}" if ratio else "",
        )
    console.print(table)
    checks = {
        **{
            f"{name} at {target:.0%} of bare or more": results[name]["ratio_by_cpu"] >= target
            for name, target in TARGETS.items()
        },
        "100-row page under 8 ms at p50": results["100-row page"]["p50_alone_ms"] < 8,
        "idle server under 120 MB": idle < 120,
    }
    console.print(f"memory: {idle:.0f} MB idle, {after:.0f} MB after the load")
    for check, is_met in checks.items():
        console.print(f"{'met   ' if is_met else 'MISSED'}  {check}")
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(
        json.dumps({"results": results, "idle_mb": idle, "after_mb": after, "checks": checks}, indent=2)
    )
    console.print(f"written to {file}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=3000, help="requests of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    asyncio.run(main(given.requests, given.rounds, given.output))
