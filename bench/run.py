"""Compares Coatcheck with its peers and with a bare handler (docs/performance/README.md).

    make bench          # less than five minutes; bench/results/
    make bench-full     # three times as many requests; docs/performance/

The server under test has one core; PostgreSQL and the load have another. In each round every server is measured once,
so that other load on the machine affects all of them. The medians of the rounds are compared.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path

import psycopg
import uvloop
from rich.console import Console

from bench import report
from bench.peers.servers import Contender, Make, peers
from bench.servers import OTHER_CORE, Server, cpu_seconds, free_port, serving
from coatcheck.app import Services, build
from coatcheck.cli.embedded import database
from coatcheck.config import Settings
from coatcheck.grants.partitions import prepare_partitions
from coatcheck.grants.secrets import Kind, parse_secret, week_of
from coatcheck.ids import new
from coatcheck.migrations.upgrade import upgrade
from coatcheck.testing.load import Run, request, send_all
from tests.factories import make_account, make_client, make_processor, make_token, make_user, scope_of

CONNECTIONS = 16, 64
RATES = 0.3, 0.7, 0.9
"""Of the largest number of requests per second."""
RATE_SECONDS = 3
ACCOUNTS = 100
"""Codes are issued for them in turn: the number of codes of one account that are not redeemed is limited."""
ISSUED_TOGETHER = 32
TOKEN = b'"access_token"'
console = Console(width=130)


@dataclass(frozen=True)
class Case:
    """One kind of request, and who answers it."""

    name: str
    contenders: Sequence[tuple[Contender, Make, bytes]]
    """Each with its requests, and what every answer contains."""
    requests: int
    connections: int


@dataclass(frozen=True)
class Measured:
    run: Run
    server_us: float
    """CPU time of the server for each request, in microseconds."""
    database_us: float

    @property
    def per_second(self) -> float:
        return self.run.requests / self.run.seconds


async def measure(
    contender: Contender, requests: list[bytes], expected: bytes, postmaster: int, connections: int
) -> Measured:
    server, database_ = contender.server.cpu_seconds(), cpu_seconds(postmaster)
    run = await send_all(contender.server.port, requests, connections=connections, expected=expected)
    check(contender, run)
    spent = contender.server.cpu_seconds() - server, cpu_seconds(postmaster) - database_
    return Measured(run, *(1e6 * each / run.requests for each in spent))


def check(contender: Contender, run: Run) -> None:
    if set(run.statuses) != {200} or run.wrong_bodies:
        sys.exit(f"{contender.server.name}: {dict(run.statuses)}, {run.wrong_bodies} unexpected bodies")


async def measure_case(case: Case, rounds: int, postmaster: int) -> dict[str, report.Figures]:
    """The medians of each contender."""
    runs: dict[str, list[Measured]] = {each.server.name: [] for each, _, _ in case.contenders}
    counts = dict.fromkeys(runs, case.requests)
    for number in range(rounds + 1):
        for contender, make, expected in case.contenders[:: 1 if number % 2 else -1]:
            name = contender.server.name
            requests = await make(counts[name])
            runs[name].append(await measure(contender, requests, expected, postmaster, case.connections))
        if not number:  # the first round warms up
            counts = of_equal_length(case, {name: all_.pop() for name, all_ in runs.items()})
    median = statistics.median
    first = runs[case.contenders[0][0].server.name]
    return {
        name: report.Figures(
            per_second=median(each.per_second for each in all_),
            server_us=median(each.server_us for each in all_),
            database_us=median(each.database_us for each in all_),
            p50_ms=median(each.run.percentile(0.50) for each in all_),
            p99_ms=median(each.run.percentile(0.99) for each in all_),
            ratio=median(a.per_second / b.per_second for a, b in zip(first, all_, strict=True)),
        )
        for name, all_ in runs.items()
    }


def of_equal_length(case: Case, warmed_up: Mapping[str, Measured]) -> dict[str, int]:
    """How many requests each contender gets, so that all take as long as the first one for `case.requests`.

    Otherwise the slowest peer takes most of the time, and there are few rounds.
    """
    first = warmed_up[case.contenders[0][0].server.name].per_second
    return {
        name: max(4 * case.connections, int(case.requests * each.per_second / first))
        for name, each in warmed_up.items()
    }


async def measure_rates(case: Case, saturation: float) -> dict[str, tuple[float, float]]:
    """The latencies (p50, p99) of the first contender at fixed rates, in milliseconds."""
    contender, make, expected = case.contenders[0]
    found = {}
    for part in RATES:
        rate = part * saturation
        run = await send_all(
            contender.server.port,
            await make(int(rate * RATE_SECONDS)),
            connections=4 * case.connections,
            expected=expected,
            per_second=rate,
        )
        check(contender, run)
        found[f"{part:.0%}"] = run.percentile(0.50), run.percentile(0.99)
    return found


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


class World:
    """A client, a processor and accounts, and the requests of Coatcheck and of the bare handler."""

    async def make(self, services: Services, master_key: str) -> None:
        async with services.db.connection() as connection:
            await prepare_partitions(connection, services.clock.now(), services.settings)
        self.services = services
        self.client = await make_client(services)
        processor = await make_processor(services, self.client)
        user = await make_user(services, self.client)
        self.accounts = [await make_account(services, user) for _ in range(ACCOUNTS)]
        account = self.accounts[0]
        await make_transactions(services, user.guid, account.guid, account.member_guid)
        self.tokens = [await make_token(services, each, processor) for each in self.accounts]
        self.hash_key: bytes = services.issuer._hash_key  # noqa: SLF001
        self.basic = _basic(processor.auth)
        presented = parse_secret(Kind.PROCESSOR_KEY, processor.api_key, self.hash_key)
        assert presented is not None
        self.environment = {
            "COATCHECK_DATABASE_URL": services.settings.database_url,
            "COATCHECK_MASTER_KEY": master_key,
            "COATCHECK_CONNECTORS": "sandbox",
            "COATCHECK_LOG_LEVEL": "WARNING",
            "BARE_HASH_KEY": self.hash_key.hex(),
            "BARE_KEY_HASH": presented.hash.hex(),
            "BARE_PROCESSOR": processor.guid,
            "PYTHONPATH": str(Path.cwd()),
        }

    async def codes(self, count: int) -> list[str]:
        client_guid, api_key = self.client.auth
        found: list[str] = []
        accounts = cycle(self.accounts)
        while len(found) < count:
            found += await asyncio.gather(
                *(
                    self.services.issuer.issue(client_guid=client_guid, api_key=api_key, scope=scope_of(each))
                    for each in islice(accounts, min(ISSUED_TOGETHER, count - len(found)))
                )
            )
        return found

    async def exchanges(self, count: int) -> list[bytes]:
        return [
            request("POST", f"/token?grant_type=authorization_code&code={code}", self.basic)
            for code in await self.codes(count)
        ]

    async def bare_exchanges(self, count: int) -> list[bytes]:
        week = week_of(self.services.clock.now() + timedelta(days=60))
        return [
            request("POST", f"/token?code={code}&day={self._period(Kind.CODE, code)}&week={week}", self.basic)
            for code in await self.codes(count)
        ]

    async def numbers(self, count: int) -> list[bytes]:
        return [
            request("GET", "/account/account_numbers", _bearer(each))
            for each in islice(cycle(self.tokens), count)
        ]

    async def bare_numbers(self, count: int) -> list[bytes]:
        return [
            request(
                "GET",
                "/account/account_numbers",
                _bearer(each) | {"X-Week": str(self._period(Kind.TOKEN, each))},
            )
            for each in islice(cycle(self.tokens), count)
        ]

    async def pages(self, count: int) -> list[bytes]:
        path = "/account/transactions?records_per_page=100"
        return [request("GET", path, _bearer(self.tokens[0]))] * count

    async def code_requests(self, count: int) -> list[bytes]:
        bodies = [
            json.dumps({"authorization_code": {"scope": str(scope_of(each))}}).encode()
            for each in self.accounts
        ]
        headers = _basic(self.client.auth) | {"Content-Type": "application/json"}
        return [
            request("POST", "/authorization_code", headers, body) for body in islice(cycle(bodies), count)
        ]

    def _period(self, kind: Kind, secret: str) -> int:
        presented = parse_secret(kind, secret, self.hash_key)
        assert presented is not None
        return presented.period


def _basic(credentials: tuple[str, str]) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(":".join(credentials).encode()).decode()}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def cases_of(world: World, ours: Contender, others: Sequence[Contender], requests: int) -> list[Case]:
    exchanged = [(each, each.exchanges, TOKEN) for each in (ours, *others) if each.exchanges is not None]
    read = [(each, each.reads, each.number) for each in (ours, *others)]
    cases = []
    for connections in CONNECTIONS:
        cases.append(Case("exchange", exchanged, requests, connections))
        cases.append(Case("account numbers", read, 2 * requests, connections))
    cases.append(Case("code issue", [(ours, world.code_requests, b'"code"')], requests, CONNECTIONS[0]))
    cases.append(Case("100-row page", [(ours, world.pages, b'"transactions"')], requests // 5, 1))
    return cases


def compare(requests: int, rounds: int, *, is_check: bool) -> report.Results:
    """Starts every server, and measures them. For a check only Coatcheck and the bare handler, at 16 connections."""
    master_key = f"bench:{b64encode(secrets.token_bytes(32)).decode()}"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coatcheck-bench-")))
        directory.chmod(0o755)  # PostgreSQL and nginx may run as other users
        url = stack.enter_context(database(directory / "postgres"))
        postmaster = int(next(directory.rglob("postmaster.pid")).read_text().split()[0])
        upgrade(url)
        databases = {name: _new_database(url, name) for name in ("oidc", "django")}
        others = stack.enter_context(peers(directory, databases)) if not is_check else []
        settings = Settings(database_url=url, master_key=master_key, connectors=("sandbox",))
        return uvloop.run(measure_all(settings, requests, rounds, others, postmaster, is_check=is_check))


async def measure_all(
    settings: Settings,
    requests: int,
    rounds: int,
    others: Sequence[Contender],
    postmaster: int,
    *,
    is_check: bool,
) -> report.Results:
    async with build(settings) as services:
        world = World()
        await world.make(services, settings.master_key)
        with ExitStack() as stack:
            ours, bare = (stack.enter_context(each) for each in servers(world))
            contender = Contender(ours, world.exchanges, world.numbers, b'"account_number"')
            compared = [
                Contender(bare, world.bare_exchanges, world.bare_numbers, b'"account_number"'),
                *others,
            ]
            results = report.Results(idle_mb=ours.resident_megabytes())
            cases = cases_of(world, contender, compared, requests)
            if is_check:
                cases = [
                    each for each in cases if len(each.contenders) > 1 and each.connections == CONNECTIONS[0]
                ]
            for case in cases:
                key = f"{case.name}, {case.connections} connections"
                with console.status(f"measuring: {key}"):
                    results.cases[key] = await measure_case(case, rounds, postmaster)
                    if not is_check and case.connections == CONNECTIONS[0] and len(case.contenders) > 1:
                        saturation = results.cases[key][ours.name].per_second
                        results.rates[key] = await measure_rates(case, saturation)
            return results


def servers(world: World) -> Iterator[AbstractContextManager[Server]]:
    """Coatcheck and the bare handler."""
    python, port = [sys.executable, "-m"], free_port()
    ours = [*python, "coatcheck.cli", "serve", "--port", str(port)]
    yield serving("Coatcheck", ours, world.environment, port)
    port = free_port()
    bare = [
        *python, "uvicorn", "bench.bare:app", "--port", str(port), "--loop", "uvloop", "--http", "httptools",
        "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    yield serving("bare handler", bare, world.environment, port)


def _new_database(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return url.replace("/postgres?", f"/{name}?")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1000, help="requests of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument(
        "--check", action="store_true", help="compare the CPU time with the bare handler's alone"
    )
    given = parser.parse_args()
    os.sched_setaffinity(0, {OTHER_CORE})
    results = compare(given.requests, given.rounds, is_check=given.check)
    if given.check:
        report.check(results, console)
    else:
        report.write(results, given.output, console)


if __name__ == "__main__":
    main()
