"""Whatever the database does, each request is answered in time: with its result, or with 503 and `Retry-After`."""

import asyncio
import time

import httpx
import psycopg
import pytest

from coatcheck.clock import SystemClock
from tests.databases import execute, postgres
from tests.faults.load import make_scene, steady_load
from tests.faults.proxy import proxied
from tests.faults.servers import frozen, restart
from tests.member_setup import until
from tests.processes import serving

pytestmark = [pytest.mark.faults, pytest.mark.own_database]

HEALED = 15.0
"""Seconds after which the service must have recovered by itself."""
SHORT, DEFAULT = 2.0, 10.0
"""Deadlines. The tests with the default one take long, and run with `make faults`."""
deadlines = pytest.mark.parametrize("deadline", [SHORT, pytest.param(DEFAULT, marks=pytest.mark.slow)])
TERMINATE = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""
"""It waits, at most five seconds, until each has ended."""


@pytest.fixture(scope="module")
def server_url():
    """A server of this file's own, because tests freeze and restart it."""
    with postgres(durable=True) as url:
        yield url


@pytest.fixture
def clock():
    """The real clock: the server process cannot share a movable one."""
    return SystemClock()


@pytest.fixture
async def scene(services):
    return await make_scene(services)


@pytest.fixture
def server(environment, tmp_path):
    with serving(environment, tmp_path / "log") as server:
        yield server


async def get(server, path):
    async with httpx.AsyncClient(base_url=server.base_url) as http:
        return await http.get(path)


async def wait_until_healed(load, since):
    async def has_healed():
        recent = [answer for answer in load.answers if answer.at > load.now() - 1]
        return len(recent) > 5 and all(answer.status == 200 for answer in recent)

    await until(has_healed, HEALED)
    assert load.last_failure < since + HEALED


@deadlines
@pytest.mark.slow
async def test_after_the_host_vanished_every_request_is_answered_and_the_service_heals(
    url, environment, scene, tmp_path, deadline
):
    with proxied(url) as proxy:
        given = environment | {
            "COATCHECK_DATABASE_URL": proxy.url,
            "COATCHECK_REQUEST_DEADLINE": str(deadline),
        }
        with serving(given, tmp_path / "log") as server:
            async with steady_load(server.base_url, scene) as load:
                await asyncio.sleep(2)
                assert load.statuses.keys() == {200}
                vanished = load.now()
                proxy.go_silent()
                await asyncio.sleep(deadline + 1)
                await wait_until_healed(load, vanished)
    assert load.problems() == []
    assert load.statuses[503]
    assert load.longest < deadline + 1


@pytest.mark.slow
@deadlines
async def test_while_the_host_is_away_every_request_is_answered_and_afterwards_the_service_heals(
    url, environment, scene, tmp_path, deadline
):
    with proxied(url) as proxy:
        given = environment | {
            "COATCHECK_DATABASE_URL": proxy.url,
            "COATCHECK_REQUEST_DEADLINE": str(deadline),
        }
        with serving(given, tmp_path / "log") as server:
            async with steady_load(server.base_url, scene) as load:
                await asyncio.sleep(1)
                proxy.die()
                await asyncio.sleep(2 * deadline + 2)
                alive, ready = await get(server, "/health"), await get(server, "/ready")
                proxy.revive()
                await wait_until_healed(load, load.now())
    assert (alive.status_code, ready.status_code) == (200, 503)
    assert load.problems() == []
    assert load.longest < deadline + 1


@deadlines
async def test_a_frozen_database_delays_no_answer_beyond_the_deadline(
    url, environment, scene, tmp_path, deadline
):
    given = environment | {"COATCHECK_REQUEST_DEADLINE": str(deadline)}
    with serving(given, tmp_path / "log") as server:
        async with steady_load(server.base_url, scene) as load:
            await asyncio.sleep(1)
            with frozen(url):
                await asyncio.sleep(2 * deadline)
            await wait_until_healed(load, load.now())
    assert load.problems() == []
    assert load.statuses[503]
    assert load.longest < deadline + 1


@pytest.mark.slow
async def test_a_crash_of_the_database_under_load_loses_no_acknowledged_change(url, server, scene):
    async with steady_load(server.base_url, scene, copies=3) as load:
        await asyncio.sleep(1)
        crashed = load.now()
        await asyncio.to_thread(restart, url)
        await wait_until_healed(load, crashed)
    assert load.problems() == []
    await assert_users_exist(server, scene, load)


async def assert_users_exist(server, scene, load):
    """Every user whose creation was answered with 200 exists."""
    assert load.created
    async with httpx.AsyncClient(base_url=server.base_url, auth=scene.client.auth) as http:
        for guid in load.created:
            assert (await http.get(f"/users/{guid}")).status_code == 200


async def test_killed_connections_under_load_give_only_503(url, server, scene):
    async with steady_load(server.base_url, scene, copies=3) as load:
        for _ in range(5):
            await asyncio.sleep(0.5)
            execute(url, TERMINATE)
        await wait_until_healed(load, load.now())
    assert load.problems() == []
    await assert_users_exist(server, scene, load)


@pytest.mark.slow
async def test_connections_that_ended_while_they_were_idle_cost_no_request(url, server, scene):
    async with httpx.AsyncClient(base_url=server.base_url) as http:

        async def send_all():
            return {(await request(http)).status_code for _, request in scene.requests() * 5}

        assert await send_all() == {200}
        for _ in range(3):
            execute(url, TERMINATE)
            assert await send_all() == {200}


@pytest.mark.slow
async def test_a_primary_that_becomes_read_only_gives_503_and_the_service_heals_when_it_is_writable_again(
    url, server, scene
):
    async with steady_load(server.base_url, scene) as load:
        await asyncio.sleep(1)
        execute(url, "ALTER SYSTEM SET default_transaction_read_only TO on", "SELECT pg_reload_conf()")
        await asyncio.sleep(3)
        ready = await get(server, "/ready")
        execute(
            url,
            "SET default_transaction_read_only TO off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
        await wait_until_healed(load, load.now())
    assert ready.status_code == 503
    assert load.problems() == []
    assert load.statuses[503]


@pytest.mark.slow
async def test_a_lock_of_somebody_else_ends_in_503_and_stops_neither_liveness_nor_readiness(
    url, server, scene
):
    async with httpx.AsyncClient(base_url=server.base_url, timeout=15) as http:
        with psycopg.connect(url) as locker:
            locker.execute("LOCK TABLE end_user IN ACCESS EXCLUSIVE MODE")
            waiting = [asyncio.create_task(request(http)) for _, request in scene.requests() * 5]
            await asyncio.sleep(0.5)
            for path in ("/health", "/ready?exclude=worker"):
                started = time.monotonic()
                assert (await http.get(path)).status_code == 200, path
                assert time.monotonic() - started < 1, path
            answers = await asyncio.gather(*waiting)
            locker.rollback()
        assert {answer.status_code for answer in answers} == {503}
        assert all("retry-after" in answer.headers for answer in answers)
        assert {(await request(http)).status_code for _, request in scene.requests()} == {200}


async def test_reserved_connections_exchange_codes_while_all_others_wait_for_a_lock(url, server, scene):
    codes = await scene.codes(5)
    async with httpx.AsyncClient(base_url=server.base_url, timeout=15) as http:
        with psycopg.connect(url) as locker:
            locker.execute('LOCK TABLE "transaction" IN ACCESS EXCLUSIVE MODE')
            (_, transactions) = scene.requests()[1]
            waiting = [asyncio.create_task(transactions(http)) for _ in range(30)]
            await asyncio.sleep(0.5)
            for code in codes:
                started = time.monotonic()
                answer = await http.post(
                    "/token",
                    params={"grant_type": "authorization_code", "code": code},
                    auth=scene.processor.auth,
                )
                assert answer.status_code == 200
                assert time.monotonic() - started < 3, "those that wait give up after four seconds"
            locker.rollback()
        await asyncio.gather(*waiting)


@pytest.mark.parametrize(
    "sqlstate",
    [
        "25006",  # read_only_sql_transaction
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "53100",  # disk_full
        "53200",  # out_of_memory
        "53300",  # too_many_connections
        "55P03",  # lock_not_available
        "57014",  # query_canceled
        "57P01",  # admin_shutdown
        "57P03",  # cannot_connect_now
        "58030",  # io_error
    ],
)
async def test_each_state_of_the_database_is_answered_with_503(url, http, client, sqlstate):
    execute(
        url,
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END $$""",
        "CREATE TRIGGER refuse BEFORE INSERT ON end_user FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    answer = await http.post("/users", json={"user": {"metadata": "x"}}, auth=client.auth)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
