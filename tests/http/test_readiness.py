"""Liveness without the database, and readiness with everything that the installation needs."""

import asyncio

import psycopg
import pytest

from coatcheck import worker
from coatcheck.jobs import heartbeats
from tests.databases import execute
from tests.member_setup import until
from tests.waiting_statements import until_waiting

pytestmark = pytest.mark.own_database

ALL_OK = {"database": "ok", "migrations": "ok", "keys": "ok", "worker": "ok"}


@pytest.fixture
async def running_worker(services):
    """The heartbeat of a worker."""
    async with services.db.connection() as connection:
        await heartbeats.beat(connection, "WRK-test")


async def run(services, statement):
    async with services.db.connection() as connection:
        await connection.execute(statement)


@pytest.mark.usefixtures("running_worker")
async def test_an_installation_with_everything_is_ready(http):
    answer = await http.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": ALL_OK}


async def test_without_a_worker_it_is_not_ready_unless_the_probe_excludes_it(http):
    answer = await http.get("/ready")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json() == {"status": "not_ready", "checks": ALL_OK | {"worker": "failed"}}
    excluded = await http.get("/ready", params={"exclude": "worker"})
    assert excluded.status_code == 200
    assert excluded.json() == {"status": "ready", "checks": ALL_OK | {"worker": "failed"}}


async def test_an_unknown_check_cannot_be_excluded(http):
    answer = await http.get("/ready", params={"exclude": "workers"})
    assert answer.status_code == 400
    assert "worker" in answer.json()["error"]["message"]


@pytest.mark.usefixtures("running_worker")
async def test_a_worker_that_was_killed_counts_no_more_after_20_seconds(services, http):
    await run(services, "UPDATE worker_heartbeat SET at = at - interval '19 seconds'")
    assert (await http.get("/ready")).status_code == 200
    await run(services, "UPDATE worker_heartbeat SET at = at - interval '2 seconds'")
    assert (await http.get("/ready")).json()["checks"]["worker"] == "failed"


async def test_a_worker_that_stops_counts_no_more_at_once(services, http):
    stop = asyncio.Event()
    running = asyncio.create_task(worker.main(services, stop))

    async def is_ready():
        return (await http.get("/ready")).status_code == 200

    await until(is_ready)
    stop.set()
    await running
    assert (await http.get("/ready")).json()["checks"]["worker"] == "failed"


@pytest.mark.usefixtures("running_worker")
async def test_an_older_schema_is_not_ready(services, http):
    await run(services, "UPDATE alembic_version SET version_num = '0001'")
    answer = await http.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {
        "database": "ok",
        "migrations": "failed",
        "keys": "unknown",
        "worker": "unknown",
    }


@pytest.mark.usefixtures("running_worker")
async def test_a_keyring_under_another_master_key_is_not_ready(services, http):
    await run(services, "UPDATE keyring SET master_key_id = 'lost'")
    answer = await http.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"] == ALL_OK | {"keys": "failed"}


@pytest.mark.usefixtures("services")
async def test_without_the_database_it_is_alive_and_not_ready_and_names_nothing_else(server_url, url, http):
    with psycopg.connect(url) as connection:
        name = connection.info.dbname
    execute(
        server_url,
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    alive, ready = await http.get("/health"), await http.get("/ready")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert ready.status_code == 503
    assert ready.json() == {
        "status": "not_ready",
        "checks": {"database": "failed", "migrations": "unknown", "keys": "unknown", "worker": "unknown"},
    }


@pytest.mark.usefixtures("running_worker")
async def test_probes_at_the_same_time_share_one_examination_and_one_connection(services, http):
    async with services.db.transaction() as connection:
        await connection.execute("LOCK TABLE keyring IN ACCESS EXCLUSIVE MODE")
        probes = [asyncio.create_task(http.get("/ready")) for _ in range(20)]
        await until_waiting(services, 1)
        probes.pop().cancel()  # one that hangs up
    answers = [await probe for probe in probes]
    assert {(each.status_code, each.text) for each in answers} == {(200, answers[0].text)}
    assert len(answers) == 19
