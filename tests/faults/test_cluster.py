"""Coatcheck on a cluster of three machines whose leader is killed, frozen or cut off, under load.

`make ha` runs these tests, in about ten minutes. HA_KILLS and HA_FREEZES say how often each fault is repeated.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from coatcheck.app import build
from coatcheck.clock import SystemClock
from coatcheck.config import load
from coatcheck.migrations.upgrade import upgrade
from tests.databases import execute
from tests.factories import make_token
from tests.faults.cluster import (
    MISSING,
    PATRONI,
    Cluster,
    Machine,
    accepts_writes,
    cluster,
    wait_for,
)
from tests.faults.load import Scene, make_scene
from tests.member_setup import until
from tests.processes import Serving, process, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(not PATRONI.exists(), reason=MISSING),
]

KILLS = int(os.environ.get("HA_KILLS", "5"))
"""Of each kind."""
FREEZES = int(os.environ.get("HA_FREEZES", "3"))
MARGIN = 1.0
"""How many seconds longer than the database's the gap of the product may be."""
PAUSE = 0.05
AFTERWARDS = 5.0
"""Seconds of load after the fault is over."""
needs_namespaces = pytest.mark.skipif(os.geteuid() != 0, reason="only root can cut a machine off")


@dataclass
class Acknowledged:
    """The instants at which writes were acknowledged."""

    times: list[float] = field(default_factory=list)

    def gap(self, since: float) -> float:
        """The longest time between two of them that ended after `since`."""
        return max(later - earlier for earlier, later in pairwise(self.times) if later > since)


@dataclass
class Observed:
    database: Acknowledged = field(default_factory=Acknowledged)
    product: Acknowledged = field(default_factory=Acknowledged)
    created: list[str] = field(default_factory=list)
    """The guids of the users whose creation was acknowledged."""
    wrong: list[str] = field(default_factory=list)
    """Answers that are neither right nor 503 with `Retry-After`."""

    def check(self, answer: httpx.Response, *expected: int) -> bool:
        """Whether the answer is expected. It may be 503 with `Retry-After`; nothing else."""
        if answer.status_code in expected:
            return True
        if answer.status_code != 503 or "retry-after" not in answer.headers:
            self.wrong.append(f"{answer.request.method} {answer.request.url.path}: {answer.status_code}")
        return False


@dataclass(frozen=True)
class Installation:
    cluster: Cluster
    server: Serving
    scene: Scene
    revoked: str
    """A token that was revoked."""


@pytest.fixture(scope="module")
def machines() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
async def installation(
    machines: Cluster, master_key: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """A web process and a worker, which are started once and know the URL of the guide only."""
    machines.wait_until_redundant()
    url, logs = machines.url, tmp_path_factory.mktemp("logs")
    name = f"coatcheck_{time.monotonic_ns()}"
    execute(url, f"CREATE DATABASE {name}", "CREATE TABLE IF NOT EXISTS probe (machine text)")
    settings = {
        "COATCHECK_DATABASE_URL": urlsplit(url)._replace(path=f"/{name}").geturl(),
        "COATCHECK_MASTER_KEY": master_key,
        "COATCHECK_CONNECTORS": "sandbox",
    }
    upgrade(settings["COATCHECK_DATABASE_URL"])
    async with build(load(settings), SystemClock()) as services:
        scene = await make_scene(services)
        revoked = await make_token(services, scene.account, scene.processor)
    with (
        serving(settings, logs / "serve") as server,
        process("work", environment=settings, log=logs / "work"),
    ):
        installation = Installation(machines, server, scene, revoked)
        await revoke(installation)
        await wait_until_ready(server)
        yield installation


async def revoke(installation: Installation) -> None:
    async with httpx.AsyncClient(base_url=installation.server.base_url, timeout=15) as http:
        auth = installation.scene.client.auth
        grants = (await http.get("/coatcheck/grants", auth=auth)).json()["grants"]
        newest = max(grants, key=lambda grant: str(grant["guid"]))
        answer = await http.post(f"/coatcheck/grants/{newest['guid']}/revoke", json={}, auth=auth)
        assert answer.status_code == 200


@asynccontextmanager
async def observed(installation: Installation) -> AsyncIterator[Observed]:
    """Writes and reads without a pause while the block runs: at Coatcheck, and at each database directly."""
    seen, stop = Observed(), asyncio.Event()
    async with (
        httpx.AsyncClient(base_url=installation.server.base_url, timeout=15) as http,
        asyncio.TaskGroup() as group,
    ):
        for machine in installation.cluster.machines:
            group.create_task(probe(machine, seen.database, stop))
        for _ in range(4):
            group.create_task(write(installation, http, seen, stop))
        group.create_task(read(installation, http, seen, stop))
        try:
            yield seen
        finally:
            stop.set()


async def probe(machine: Machine, acknowledged: Acknowledged, stop: asyncio.Event) -> None:
    """Writes to the database of one machine."""
    while not stop.is_set():
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(1):
                connection = await psycopg.AsyncConnection.connect(machine.url, autocommit=True)
            try:
                while not stop.is_set():
                    async with asyncio.timeout(1):
                        await connection.execute("INSERT INTO probe VALUES (%s)", (machine.name,))
                    acknowledged.times.append(time.monotonic())
                    await asyncio.sleep(PAUSE)
            finally:
                connection.pgconn.finish()  # `close` would wait for a machine that is frozen
        await asyncio.sleep(PAUSE)


async def write(
    installation: Installation, http: httpx.AsyncClient, seen: Observed, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        answer = await http.post(
            "/users", json={"user": {"metadata": "x"}}, auth=installation.scene.client.auth
        )
        if seen.check(answer, 200):
            seen.product.times.append(time.monotonic())
            seen.created.append(answer.json()["user"]["guid"])
        await asyncio.sleep(PAUSE)


async def read(
    installation: Installation, http: httpx.AsyncClient, seen: Observed, stop: asyncio.Event
) -> None:
    """Reads what an old leader does not know: the newest user, and that a token was revoked."""
    scene = installation.scene
    while not stop.is_set():
        if seen.created:
            seen.check(await http.get(f"/users/{seen.created[-1]}", auth=scene.client.auth), 200)
        for token, status in ((scene.token, 200), (installation.revoked, 401)):
            headers = {"Authorization": f"Bearer {token}"}
            seen.check(await http.get("/account/account_numbers", headers=headers), status)
        await asyncio.sleep(PAUSE)


async def disturb(
    installation: Installation, fault: Callable[[Machine], object], repair: Callable[[Machine], object]
) -> tuple[float, float]:
    """Causes the fault at the leader, under load, and repairs it when another leader stands.

    Returns how long the database and the product acknowledged no write.
    """
    machines = installation.cluster.machines
    leader = await asyncio.to_thread(installation.cluster.leader)
    async with observed(installation) as seen:
        await asyncio.sleep(2)
        since = time.monotonic()
        await asyncio.to_thread(fault, leader)

        def has_replacement() -> bool:
            return any(accepts_writes(machine) for machine in machines if machine is not leader)

        await asyncio.to_thread(wait_for, has_replacement, 60)

        async def serves_again() -> bool:
            return seen.product.times[-1] > since + 1 and seen.database.times[-1] > since + 1

        await until(serves_again, 60)
        await asyncio.sleep(AFTERWARDS)
        await asyncio.to_thread(repair, leader)
        await asyncio.sleep(AFTERWARDS)
    assert seen.wrong == []
    await assert_all_are_stored(installation, seen.created)
    await wait_until_ready(installation.server)
    await asyncio.to_thread(installation.cluster.wait_until_redundant)
    gaps = seen.database.gap(since), seen.product.gap(since)
    print(f"{leader.name}: no write at the database for {gaps[0]:.2f} s, at Coatcheck for {gaps[1]:.2f} s")
    return gaps


async def assert_all_are_stored(installation: Installation, created: Sequence[str]) -> None:
    async with httpx.AsyncClient(base_url=installation.server.base_url, timeout=15) as http:
        for guid in created:
            assert (await http.get(f"/users/{guid}", auth=installation.scene.client.auth)).status_code == 200


async def wait_until_ready(server: Serving) -> None:
    """Until the web process and the worker have what they need."""
    async with httpx.AsyncClient(base_url=server.base_url, timeout=15) as http:

        async def is_ready() -> bool:
            return (await http.get("/ready")).status_code == 200

        await until(is_ready, 30)


def nothing(_: Machine) -> None:
    """Patroni repairs it."""


async def test_when_the_leader_s_postgresql_is_killed_writes_stop_for_less_than_five_seconds(
    installation: Installation,
) -> None:
    for _ in range(KILLS):
        database, product = await disturb(installation, Machine.kill_postgres, nothing)
        assert product < 5
        assert product <= database + MARGIN


async def test_when_the_leader_s_machine_is_killed_writes_stop_for_as_long_as_in_the_cluster(
    installation: Installation,
) -> None:
    for _ in range(KILLS):
        database, product = await disturb(installation, Machine.kill, installation.cluster.start)
        assert product <= database + MARGIN


async def test_a_frozen_leader_that_goes_on_is_not_believed(installation: Installation) -> None:
    for _ in range(FREEZES):
        database, product = await disturb(
            installation,
            lambda leader: leader.signal(signal.SIGSTOP),
            lambda leader: leader.signal(signal.SIGCONT),
        )
        assert product <= database + MARGIN


@needs_namespaces
async def test_a_leader_that_is_cut_off_from_the_others_is_not_believed(installation: Installation) -> None:
    database, product = await disturb(installation, installation.cluster.isolate, installation.cluster.rejoin)
    assert product <= database + MARGIN
