"""Workers that are killed, suspended, stopped or disconnected lose no job and run none twice."""

import asyncio
import contextlib
import random
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from coatcheck.app import build
from coatcheck.clock import SystemClock
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import Unavailable
from tests.databases import postgres
from tests.faults.servers import restart
from tests.member_setup import make_end_user, until
from tests.processes import process

pytestmark = [pytest.mark.faults, pytest.mark.own_database]

LEASE = 2
TIMEOUT_SECONDS = 60
"""For conditions that need a new process, on a busy machine."""
JOBS = "SELECT kind, state, attempt, outcome FROM member_job WHERE user_guid = %(user)s ORDER BY kind"
NUMBERS = count(1)
STORED = """
SELECT (SELECT count(*) FROM account WHERE user_guid = %(user)s AND member_guid = %(member)s),
       (SELECT count(*) FROM transaction WHERE user_guid = %(user)s AND member_guid = %(member)s),
       (SELECT coalesce(sum(amount), 0) FROM transaction WHERE user_guid = %(user)s AND member_guid = %(member)s),
       (SELECT count(*) FROM account_number WHERE user_guid = %(user)s AND member_guid = %(member)s),
       (SELECT count(*) FROM account_owner WHERE user_guid = %(user)s AND member_guid = %(member)s),
       (SELECT count(*) FROM statement WHERE user_guid = %(user)s AND member_guid = %(member)s)"""


@pytest.fixture(scope="module")
def server_url():
    """A server of this file's own, as durable as a real one, because a test makes it crash."""
    with postgres(durable=True) as url:
        yield url


@pytest.fixture
def clock():
    """The real clock: the tests start other processes, which cannot share a movable one."""
    return SystemClock()


@pytest.fixture
async def services(settings, clock):
    async with build(replace(settings, job_lease=timedelta(seconds=LEASE)), clock) as services:
        yield services


@pytest.fixture
def worker(environment, tmp_path):
    """Starts workers with a short lease; each has a log of its own."""

    @contextmanager
    def start(**settings):
        log = tmp_path / f"worker-{next(NUMBERS)}.log"
        given = {"COATCHECK_JOB_LEASE": str(LEASE), **settings}
        with process("work", environment=environment | given, log=log) as child:
            yield Worker(child, log)

    return start


class Worker:
    def __init__(self, child, log):
        self.child, self.log = child, log

    async def ready(self):
        async def is_ready():
            assert self.child.poll() is None, self.log.read_text()
            return "worker.ready" in self.log.read_text()

        await until(is_ready, TIMEOUT_SECONDS)

    def send_signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        self.child.kill()
        self.child.wait()


def are_all(end_user, state):
    async def condition():
        with contextlib.suppress(Unavailable):  # a test may have stopped the database
            return {row[1] for row in await end_user.rows(JOBS)} == {state}
        return False

    return condition


async def begin_every_kind(end_user, login="mxuser+slow=2"):
    """One member for each kind of job, with the job queued."""
    members = {}
    for kind in JobKind:
        member = await end_user.connect(f"{kind.lower()}-{login}", skip_aggregation=True)
        members[kind] = await end_user.start(member, kind)
    return members


async def stored(end_user, member):
    return await end_user.rows(STORED, member=member.guid)


async def assert_equal_to_an_undisturbed_run(end_user, members):
    """Every job ended once, its client got one event, and the stored data are those of an undisturbed run."""
    undisturbed_user = await make_end_user(end_user.services)
    for kind, member in members.items():
        undisturbed = await undisturbed_user.connect(f"{kind.lower()}-mxuser", skip_aggregation=True)
        await undisturbed_user.run_job(undisturbed, kind)
        assert await stored(end_user, member) == await stored(undisturbed_user, undisturbed), kind
        events = [each for each in await end_user.events(kind.value) if each["member_guid"] == member.guid]
        assert len(events) == (0 if kind is JobKind.IDENTIFICATION else 1), kind
    assert [(kind, state, outcome) for kind, state, _, outcome in await end_user.rows(JOBS)] == [
        (kind.value, "ended", "CONNECTED") for kind in sorted(JobKind)
    ]


async def test_after_a_kill_during_each_kind_of_job_every_job_ends_once(services, worker):
    end_user = await make_end_user(services)
    members = await begin_every_kind(end_user)
    with worker() as first:
        await until(are_all(end_user, "running"), TIMEOUT_SECONDS)
        first.kill()
    with worker() as second:
        await second.ready()
        await until(are_all(end_user, "ended"), TIMEOUT_SECONDS)
    assert {attempt for _, _, attempt, _ in await end_user.rows(JOBS)} == {2}
    await assert_equal_to_an_undisturbed_run(end_user, members)


@pytest.mark.slow
async def test_after_repeated_kills_at_any_moment_every_job_ends_once(services, worker):
    generator = random.Random(20)
    end_users = [await make_end_user(services) for _ in range(3)]
    members = [await begin_every_kind(end_user, "mxuser") for end_user in end_users]
    for _ in range(4):
        with worker(COATCHECK_JOB_ATTEMPTS="50", COATCHECK_INSTITUTION_CONCURRENCY="3") as killed:
            await killed.ready()
            await asyncio.sleep(generator.uniform(0, 0.6))
            killed.kill()
    with worker(COATCHECK_JOB_ATTEMPTS="50"):
        for end_user in end_users:
            await until(are_all(end_user, "ended"), TIMEOUT_SECONDS)
    for end_user, of_end_user in zip(end_users, members, strict=True):
        await assert_equal_to_an_undisturbed_run(end_user, of_end_user)


@pytest.mark.slow
async def test_a_worker_suspended_past_its_lease_and_resumed_saves_nothing(services, worker):
    end_user = await make_end_user(services)
    members = await begin_every_kind(end_user, "mxuser+slow=1")
    with worker() as frozen:
        await until(are_all(end_user, "running"), TIMEOUT_SECONDS)
        frozen.send_signal(signal.SIGSTOP)
        with worker() as second:
            await until(are_all(end_user, "ended"), TIMEOUT_SECONDS)
            before = [await stored(end_user, member) for member in members.values()]
            frozen.send_signal(signal.SIGCONT)

            async def has_noticed():
                return frozen.log.read_text().count("job.lease_lost") == len(JobKind)

            await until(has_noticed, TIMEOUT_SECONDS)
            assert second.log.read_text().count("job.lease_lost") == 0
        assert [await stored(end_user, member) for member in members.values()] == before
    assert {attempt for _, _, attempt, _ in await end_user.rows(JOBS)} == {2}
    await assert_equal_to_an_undisturbed_run(end_user, members)


@pytest.mark.slow
async def test_a_stopped_worker_releases_its_jobs_within_ten_seconds_and_the_next_starts_them(
    services, worker
):
    end_user = await make_end_user(services)
    await end_user.connect("mxuser+hang")
    with worker(COATCHECK_JOB_LEASE="600") as first:
        await until(are_all(end_user, "running"), TIMEOUT_SECONDS)
        started = time.monotonic()
        first.send_signal(signal.SIGTERM)
        assert first.child.wait(15) == 0
        assert time.monotonic() - started < 10
    assert [(state, attempt) for _, state, attempt, _ in await end_user.rows(JOBS)] == [("queued", 1)]
    with worker(COATCHECK_JOB_LEASE="600") as second:
        await second.ready()
        await until(are_all(end_user, "running"))
        second.kill()


@pytest.mark.slow
async def test_a_worker_survives_a_crash_and_restart_of_the_database(services, worker, url):
    end_user = await make_end_user(services)
    members = await begin_every_kind(end_user, "mxuser+slow=3")
    with worker(COATCHECK_JOB_LEASE="12") as survivor:
        await until(are_all(end_user, "running"), TIMEOUT_SECONDS)
        await asyncio.sleep(0.5)  # by now all jobs wait for the bank, for two more seconds
        restart(url)
        await until(are_all(end_user, "ended"), TIMEOUT_SECONDS)
        later = await make_end_user(services)
        member = await later.connect("later+no_tx")

        async def is_connected():
            return (await later.reload(member)).connection_status == "CONNECTED"

        await until(is_connected, TIMEOUT_SECONDS)
        assert survivor.child.poll() is None
    assert {attempt for _, _, attempt, _ in await end_user.rows(JOBS)} == {1}, (
        "the jobs that waited for the bank were saved"
    )
    await assert_equal_to_an_undisturbed_run(end_user, members)


async def test_a_job_that_kills_its_workers_ends_as_failed(services, worker):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+hang")
    for attempt in (1, 2):
        with worker(COATCHECK_JOB_ATTEMPTS="2") as killed:
            await until(has_begun(end_user, attempt), TIMEOUT_SECONDS)
            killed.kill()
        await end_user.rows(
            "UPDATE member_job SET lease_until = now() - interval '1 minute' WHERE user_guid = %(user)s"
        )
    with worker(COATCHECK_JOB_ATTEMPTS="2"):
        await until(are_all(end_user, "ended"), TIMEOUT_SECONDS)
    assert (await end_user.reload(member)).connection_status == "FAILED"
    assert [(attempt, outcome) for _, _, attempt, outcome in await end_user.rows(JOBS)] == [(2, "FAILED")]


def has_begun(end_user, attempt):
    async def condition():
        return [row[1:3] for row in await end_user.rows(JOBS)] == [("running", attempt)]

    return condition
