"""Measures the job queue with real worker processes and the sandbox bank.

    make bench-jobs     # a table, and bench/results/jobs-<time>.json; about five minutes

Every figure is read from the job rows, twenty times a second.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import LiteralString

from rich.console import Console

from coatcheck.app import Services, build
from coatcheck.cli.embedded import database
from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.members import job_leases
from coatcheck.migrations.upgrade import upgrade
from tests.factories import Keyed, make_client, make_user
from tests.member_setup import EndUser

BANK_SECONDS = 2
POLL_SECONDS = 0.05
LEASE_SECONDS = 5
console = Console(width=130)


class Bench:
    def __init__(self, services: Services, master_key: str, directory: Path) -> None:
        self.services = services
        self._environment = {
            "COATCHECK_DATABASE_URL": services.settings.database_url,
            "COATCHECK_MASTER_KEY": master_key,
            "COATCHECK_CONNECTORS": "sandbox",
            "COATCHECK_LOG_LEVEL": "INFO",
        }
        self._logs = directory
        self._numbers = count(1)

    @contextmanager
    def workers(self, number: int, **settings: str) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Starts worker processes and waits until they are ready; kills them at the end."""
        with ExitStack() as stack:
            processes = []
            for _ in range(number):
                file = self._logs / f"worker-{next(self._numbers)}.log"
                log = stack.enter_context(file.open("wb"))
                process = subprocess.Popen(
                    [sys.executable, "-m", "coatcheck.cli", "work"],
                    env=os.environ | self._environment | settings,
                    stdout=log,
                    stderr=log,
                )
                stack.callback(process.wait)
                stack.callback(process.kill)
                while b"worker.ready" not in file.read_bytes():
                    assert process.poll() is None, file.read_text()
                    time.sleep(0.05)
                processes.append(process)
            yield processes

    async def enqueue(self, client: Keyed, count: int, login: str = "mxuser+no_tx") -> None:
        """Creates users, each with a member that has a queued job."""
        for _ in range(count):
            user = await make_user(self.services, client)
            await EndUser(self.services, client, user).connect(login)  # type: ignore[arg-type]

    async def value(self, statement: str, *values: object) -> int:
        async with self.services.db.connection() as connection:
            row = await (await connection.execute(statement, values)).fetchone()
            assert row is not None
            return int(row[0])

    async def count(self, state: str) -> int:
        return await self.value("SELECT count(*) FROM member_job WHERE state = %s", state)

    async def wait_until_running(self, count: int, *, attempt: int = 1) -> None:
        statement = "SELECT count(*) FROM member_job WHERE state = 'running' AND attempt = %s"
        while await self.value(statement, attempt) < count:  # noqa: ASYNC110 (another process runs them)
            await asyncio.sleep(POLL_SECONDS)

    async def clear(self) -> None:
        await self.execute("DELETE FROM member")

    async def execute(self, statement: LiteralString) -> None:
        async with self.services.db.connection() as connection:
            await connection.execute(statement)

    async def drain(self, count: int, login: str, workers: int, **settings: str) -> dict[str, float]:
        """Returns the jobs per second, and the mean number of running jobs until 8 are left.

        The jobs become due when every worker is ready, so that the start of a process does not count.
        """
        await self.clear()
        await self.enqueue(await make_client(self.services), count, login)
        busy = []
        await self.execute("UPDATE member_job SET state = 'waiting', waits_until = now() + interval '1 hour'")
        with self.workers(workers, **settings):
            started = time.monotonic()
            await self.execute("UPDATE member_job SET state = 'queued', waits_until = NULL")
            await self.execute("SELECT pg_notify('coatcheck_jobs', 'member_job')")
            while (ended := await self.count("ended")) < count:
                running = await self.count("running")
                if count - ended > 8:
                    busy.append(running)
                await asyncio.sleep(POLL_SECONDS)
            seconds = time.monotonic() - started
        return {
            "jobs_per_second": round(count / seconds, 2),
            "busy_slots": round(statistics.mean(busy), 2) if busy else 0.0,
        }


async def instant_bank(bench: Bench) -> dict[str, object]:
    return {f"{n} workers": await bench.drain(200, "mxuser+no_tx", n) for n in (1, 2)}


async def slow_bank(bench: Bench) -> dict[str, object]:
    return {"1 workers": await bench.drain(200, f"mxuser+no_tx+slow={BANK_SECONDS}", 1)}


async def more_workers(bench: Bench) -> dict[str, object]:
    """Each worker has 4 slots, the institution 8: the workers are the limit, and not the institution."""
    settings = {"COATCHECK_WORKER_CONCURRENCY": "4", "COATCHECK_INSTITUTION_CONCURRENCY": "8"}
    one, two = [await bench.drain(48, f"mxuser+no_tx+slow={BANK_SECONDS}", n, **settings) for n in (1, 2)]
    return {
        "1 workers": one,
        "2 workers": two,
        "ratio": round(two["jobs_per_second"] / one["jobs_per_second"], 2),
    }


async def backlog(bench: Bench) -> dict[str, object]:
    """How long the job of one client waits behind 2,000 jobs of another at the same bank."""
    await bench.clear()
    large, small = await make_client(bench.services), await make_client(bench.services)
    await bench.enqueue(large, 2000, f"mxuser+no_tx+slow={BANK_SECONDS}")
    with bench.workers(1):
        await bench.wait_until_running(8)
        await asyncio.sleep(BANK_SECONDS)
        waits = []
        for _ in range(3):
            await bench.enqueue(small, 1, f"mxuser+no_tx+slow={BANK_SECONDS}")
            started = time.monotonic()
            queued = "SELECT count(*) FROM member_job WHERE client_guid = %s AND state = 'queued'"
            while await bench.value(queued, small.guid):
                await asyncio.sleep(POLL_SECONDS)
                if time.monotonic() - started > 60:
                    break
            waits.append(round(time.monotonic() - started, 2))
    return {"waits_seconds": waits, "turn_seconds": BANK_SECONDS}


async def hung_bank(bench: Bench) -> dict[str, object]:
    """How long jobs at one bank take, from the request to the end, while another bank hangs and while none does.

    The two are measured in turn, so that other work on the machine affects both.
    """
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for is_hanging in (False, True) * 3:
        await bench.clear()
        client = await make_client(bench.services)
        with bench.workers(1):
            if is_hanging:
                await bench.enqueue(client, 60, "mxuser+hang")
                await bench.wait_until_running(bench.services.settings.institution_concurrency)
            turns = [_jobs_in_turn(bench, client, 10) for _ in range(4)]
            for each in await asyncio.gather(*turns):
                seconds[is_hanging] += each
    alone, beside = (statistics.quantiles(seconds[each], n=20)[-1] for each in (False, True))
    return {
        "jobs": len(seconds[True]),
        "p95_seconds_alone": round(alone, 3),
        "p95_seconds_beside_a_hung_bank": round(beside, 3),
        "ratio": round(beside / alone, 3),
    }


async def _jobs_in_turn(bench: Bench, client: Keyed, count: int) -> list[float]:
    """The seconds that each of `count` jobs at another bank takes, one after the other."""
    seconds = []
    for _ in range(count):
        end_user = EndUser(bench.services, client, await make_user(bench.services, client))  # type: ignore[arg-type]
        started = time.perf_counter()
        await end_user.connect("mxuser+no_tx+slow=1", institution="mxcu_credential")
        unfinished = "SELECT count(*) FROM member_job WHERE user_guid = %s AND state <> 'ended'"
        while await bench.value(unfinished, end_user.user.guid):  # noqa: ASYNC110 (another process runs it)
            await asyncio.sleep(0.02)
        seconds.append(time.perf_counter() - started)
    return seconds


async def recovery(bench: Bench) -> dict[str, object]:
    """How long after `kill -9` of its worker a job runs again in another."""
    await bench.clear()
    await bench.enqueue(await make_client(bench.services), 8, "mxuser+hang")
    settings = {"COATCHECK_JOB_LEASE": str(LEASE_SECONDS)}
    with bench.workers(1, **settings) as (first,):
        await bench.wait_until_running(8)
        with bench.workers(1, **settings):
            first.kill()
            started = time.monotonic()
            await bench.wait_until_running(8, attempt=2)
            seconds = time.monotonic() - started
    return {"seconds": round(seconds, 2), "lease_seconds": LEASE_SECONDS}


async def claim_cost(bench: Bench) -> dict[str, object]:
    """Milliseconds for a claim of 8, with 1,000 and 100,000 jobs queued by 20 clients at 50 institutions."""
    clients = [(await make_client(bench.services)).guid for _ in range(20)]
    return {f"{count} queued": await _claim_milliseconds(bench, clients, count) for count in (1_000, 100_000)}


async def _claim_milliseconds(bench: Bench, clients: list[str], count: int) -> float:
    settings, services, times = bench.services.settings, bench.services, []
    async with services.db.connection() as connection:
        await fill_queue(connection, clients, count)
        for _ in range(20):
            started = time.perf_counter()
            async with connection.transaction(force_rollback=True):
                await job_leases.claim(
                    connection,
                    now=services.clock.now(),
                    lease=settings.job_lease,
                    limit=8,
                    max_claims=settings.job_attempts,
                    max_at_institution=settings.institution_concurrency,
                )
                times.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(times), 2)


async def fill_queue(connection: Connection, clients: list[str], count: int) -> None:
    """Replaces all jobs by queued ones of these clients at 50 institutions. The new jobs have no members."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("DELETE FROM member_job")
        await connection.execute(
            """INSERT INTO member_job (user_guid, guid, client_guid, member_guid, institution_code, kind, state,
                                       requested_by, created_at, queued_at)
               SELECT 'USR-' || n, 'JOB-' || n, (%(clients)s::text[])[1 + n %% cardinality(%(clients)s)],
                      'MBR-' || n, 'bank-' || n %% 50, 'AGGREGATION', 'queued', 'bench', now(), now()
               FROM generate_series(1, %(count)s) AS n""",
            {"clients": clients, "count": count},
        )
    await connection.execute("ANALYZE member_job")


SCENARIOS: dict[str, Callable[[Bench], Awaitable[dict[str, object]]]] = {
    "200 members at one bank that answers at once": instant_bank,
    f"200 members at one bank that takes {BANK_SECONDS} s": slow_bank,
    f"48 members at one bank that takes {BANK_SECONDS} s, 4 slots a worker": more_workers,
    "another client's job behind 2,000": backlog,
    "a bank beside one that hangs": hung_bank,
    "a worker killed": recovery,
    "a claim, in milliseconds": claim_cost,
}


async def main(output: Path, only: str) -> None:
    master_key = f"bench:{b64encode(secrets.token_bytes(32)).decode()}"
    with tempfile.TemporaryDirectory() as directory, database(Path(directory) / "postgres") as url:
        upgrade(url)
        settings = replace(
            Settings(database_url=url, master_key=master_key, connectors=("sandbox",)), pool_size=4
        )
        results: dict[str, object] = {}
        async with build(settings) as services:
            bench = Bench(services, master_key, Path(directory))
            for name, scenario in SCENARIOS.items():
                if only in name:
                    results[name] = await scenario(bench)
                    console.print(f"{name}: {results[name]}")
    write(results, output)


def write(results: dict[str, object], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"jobs-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(results, indent=2))
    console.print(f"written to {file}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    asyncio.run(main(given.output, given.only))
