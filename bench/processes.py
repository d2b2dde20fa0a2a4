"""Measures what one and two web processes on one PostgreSQL cost, and at what rate PostgreSQL would be the limit.

    make bench-processes          # a table, and bench/results/processes-<time>.json

Figures are requests per second of CPU time: of all web processes, and of PostgreSQL. They hold on a machine that does
other work as well. Two processes serve twice as much as one while the figure of the web processes stays the same, until
PostgreSQL has no core left.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import tempfile
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coatcheck.app import Services, build
from coatcheck.cli.embedded import database
from coatcheck.config import Settings
from coatcheck.grants.partitions import prepare_partitions
from coatcheck.migrations.upgrade import upgrade
from coatcheck.testing.load import request, send_all
from tests.factories import make_account, make_client, make_code, make_processor, make_token, make_user
from tests.faults.servers import processes
from tests.processes import Serving, serving

CONNECTIONS = 32
"""Of each process: a process that is not busy coalesces less, and costs more a request."""
ACCOUNTS = 100
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Sequence[int]) -> float:
    """Of these processes and of their children that have ended."""
    return (
        sum(
            sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
            for pid in pids
        )
        / TICKS
    )


async def measure(servers: Sequence[Serving], url: str, requests: Sequence[bytes]) -> dict[str, float]:
    pids = [server.process.pid for server in servers]
    before = cpu_seconds(pids), cpu_seconds(processes(url))
    runs = await asyncio.gather(
        *(
            send_all(server.port, requests[number :: len(servers)], connections=CONNECTIONS)
            for number, server in enumerate(servers)
        )
    )
    web, postgres = cpu_seconds(pids) - before[0], cpu_seconds(processes(url)) - before[1]
    assert all(set(run.statuses) == {200} for run in runs), [run.statuses for run in runs]
    return {
        "web": len(requests) / web,
        "postgres": len(requests) / postgres,
        "clock": len(requests) / max(run.seconds for run in runs),
    }


async def cases(services: Services) -> Mapping[str, Callable[[int], "asyncio.Future[list[bytes]]"]]:
    """Makes the requests of each case."""
    async with services.db.connection() as connection:
        await prepare_partitions(connection, services.clock.now(), services.settings)
    client = await make_client(services)
    processor = await make_processor(services, client)
    user = await make_user(services, client)
    accounts = [await make_account(services, user) for _ in range(ACCOUNTS)]
    tokens = [await make_token(services, account, processor) for account in accounts]
    basic = {"Authorization": "Basic " + b64encode(":".join(processor.auth).encode()).decode()}

    async def exchanges(count: int) -> list[bytes]:
        codes = [await make_code(services, account) for account in islice(cycle(accounts), count)]
        return [request("POST", f"/token?grant_type=authorization_code&code={code}", basic) for code in codes]

    async def numbers(count: int) -> list[bytes]:
        headers = ({"Authorization": f"Bearer {token}"} for token in cycle(tokens))
        return [request("GET", "/account/account_numbers", each) for each in islice(headers, count)]

    return {"exchange": exchanges, "account numbers": numbers}  # type: ignore[dict-item]  # coroutines


async def main(count: int, rounds: int, output: Path) -> None:
    key = f"bench:{b64encode(secrets.token_bytes(32)).decode()}"
    results: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        database(Path(name) / "postgres") as url,
        ExitStack() as stack,
    ):
        upgrade(url)
        environment = {
            "COATCHECK_DATABASE_URL": url,
            "COATCHECK_MASTER_KEY": key,
            "COATCHECK_LOG_LEVEL": "WARNING",
        }
        servers = [stack.enter_context(serving(environment, Path(name) / str(n))) for n in range(2)]
        async with build(Settings(database_url=url, master_key=key)) as services:
            made = await cases(services)
            for case, make in made.items():
                measured: dict[int, list[dict[str, float]]] = {1: [], 2: []}
                for _ in range(rounds):
                    for (
                        number,
                        results_of_number,
                    ) in measured.items():  # in turn, so that other load affects both
                        requests = await make(count)
                        results_of_number.append(await measure(servers[:number], url, requests))
                for number, each in measured.items():
                    medians = {key: statistics.median(one[key] for one in each) for key in each[0]}
                    results[f"{case}, {number} process{'es' * (number > 1)}"] = medians
    report(results, output)


def report(results: Mapping[str, Mapping[str, float]], output: Path) -> None:
    table = Table(
        "", "per CPU second of the web processes", "per CPU second of PostgreSQL", "per second here"
    )
    for name, result in results.items():
        table.add_row(name, *(f"{result[key]:,.0f}" for key in ("web", "postgres", "clock")))
    Console().print(table)
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"processes-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2000, help="requests of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    asyncio.run(main(given.requests, given.rounds, given.output))
