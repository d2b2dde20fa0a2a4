"""The worker: runs what is due, shares slots fairly, stops in order, and survives lost connections."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from structlog.testing import capture_logs

from coatcheck import worker
from coatcheck.app import build
from coatcheck.connectors.contract import JobKind
from coatcheck.jobs import runner
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members.job_scheduler import JobScheduler
from coatcheck.members.outcome import JobFinisher
from coatcheck.vault.vault import SecretKind, WorkerReader
from coatcheck.worker_services import WorkerServices, run_pending
from tests.gated_bank import GatedBank
from tests.member_setup import PATIENCE, make_end_user, until

STATES = "SELECT state, attempt, claims FROM member_job WHERE user_guid = %(user)s ORDER BY created_at, guid"
SHORT_GRACE = timedelta(seconds=0.5)


pytestmark = pytest.mark.own_database


@asynccontextmanager
async def working(services, grace=worker.GRACE):
    """Runs a worker during the block, and stops it at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.main(services, stop, grace=grace))
    try:
        yield stop
    finally:
        stop.set()
        await task


def has_status(end_user, member, status):
    async def condition():
        return (await end_user.reload(member)).connection_status == status

    return condition


async def is_running(end_user):
    return (await end_user.rows(STATES))[-1][0] == "running"


async def test_a_job_starts_without_waiting_for_a_poll_or_a_sweep(services, monkeypatch):
    monkeypatch.setattr(worker, "SWEEP", timedelta(hours=1))
    monkeypatch.setattr(runner, "POLL", timedelta(hours=1))
    end_user = await make_end_user(services)
    async with working(services):
        for login in ("one+no_tx", "two+no_tx", "three+no_tx"):
            await asyncio.sleep(0.1)
            member = await end_user.connect(login)
            await until(has_status(end_user, member, "CONNECTED"))


async def test_every_kind_of_task_starts_without_waiting_for_a_poll(services, monkeypatch):
    monkeypatch.setattr(runner, "POLL", timedelta(hours=1))
    end_user, done = await make_end_user(services), set()
    claims = {}

    def claim_of(task_kind):
        async def claim(limit):
            return [partial(run, task_kind)] if task_kind in due else []

        return claim

    async def run(task_kind):
        due.discard(task_kind)
        done.add(task_kind)

    due = set()
    claims = {task_kind: claim_of(task_kind) for task_kind in TaskKind}
    monkeypatch.setattr(WorkerServices, "claims", property(lambda _: claims))
    async with working(services):
        await until(lambda: is_listening(end_user))
        for task_kind in TaskKind:
            due.add(task_kind)
            async with services.db.connection() as connection:
                await notify_workers(connection, task_kind)

        async def are_done():
            return done == set(TaskKind)

        await until(are_done)


async def test_a_bank_that_hangs_delays_no_other_bank(settings, clock):
    narrow = replace(settings, institution_concurrency=2, worker_concurrency=4)
    async with build(narrow, clock) as services:
        hung, end_user = await make_end_user(services), await make_end_user(services)
        async with working(services, SHORT_GRACE):
            for number in range(6):
                await hung.connect(f"user-{number}+hang", institution="mxcu_credential")
            await until(lambda: is_two(hung))
            member = await end_user.connect("mxuser+no_tx")
            await until(has_status(end_user, member, "CONNECTED"))
            assert await is_two(hung)


async def is_two(end_user):
    running = "SELECT count(*) FROM member_job WHERE user_guid = %(user)s AND state = 'running'"
    return await end_user.rows(running) == [(2,)]


async def test_a_job_that_runs_when_the_worker_is_stopped_may_finish(services):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+no_tx+slow=1")
    async with working(services):
        await until(lambda: is_running(end_user))
    assert (await end_user.reload(member)).connection_status == "CONNECTED"
    assert await end_user.rows(STATES) == [("ended", 1, 1)]


async def test_a_job_that_does_not_finish_in_time_is_released_at_once(services):
    end_user = await make_end_user(services)
    await end_user.connect("mxuser+hang")
    async with working(services, SHORT_GRACE):
        await until(lambda: is_running(end_user))
    assert await end_user.rows(STATES) == [("queued", 1, 0)]


async def test_a_stopping_worker_waits_until_a_secret_that_the_bank_replaced_is_saved(services, monkeypatch):
    exchanging = asyncio.Event()

    async def exchange():
        exchanging.set()
        await asyncio.sleep(2.5)  # longer than the second between two cancellations
        return b"the new secret"

    async def run(bank_session):
        await bank_session.rotate(exchange)

    monkeypatch.setattr(services.registry.connector_for("mxbank"), "run", run)
    end_user = await make_end_user(services)
    member = await end_user.connect()
    async with working(services, timedelta(0)):
        await asyncio.wait_for(exchanging.wait(), PATIENCE)
    async with services.db.connection() as connection:
        saved = await services.vault.disclose_secret(
            connection,
            owner_guid=end_user.user.guid,
            record_guid=member.guid,
            kind=SecretKind.STATE,
            reader=WorkerReader("JOB-test"),
        )
    assert saved == b"the new secret"
    assert await end_user.rows(STATES) == [("queued", 1, 0)]


async def test_a_stopping_worker_leaves_queued_jobs_to_others(settings, clock):
    async with build(replace(settings, worker_concurrency=1), clock) as services:
        hung, waiting = await make_end_user(services), await make_end_user(services)
        async with working(services, SHORT_GRACE):
            await hung.connect("mxuser+hang")
            await until(lambda: is_running(hung))
            member = await waiting.connect("mxuser+no_tx")
        assert await waiting.rows(STATES) == [("queued", 0, 0)]
        await hung.rows("DELETE FROM member WHERE user_guid = %(user)s")
        await run_pending(services)
        assert (await waiting.reload(member)).connection_status == "CONNECTED"


async def test_a_worker_continues_after_its_connections_were_terminated(services, monkeypatch):
    monkeypatch.setattr(runner, "POLL", timedelta(hours=1))
    end_user = await make_end_user(services)
    async with working(services):
        before = await end_user.connect("before+no_tx")
        await until(has_status(end_user, before, "CONNECTED"))
        for _ in range(2):
            await end_user.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'coatcheck worker'"
            )
            await until(lambda: is_listening(end_user))
        after = await end_user.connect("after+no_tx")
        await until(has_status(end_user, after, "CONNECTED"), 15)


async def is_listening(end_user):
    """Whether the worker listens: `doctor` finds it by the same query."""
    lines = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coatcheck worker'"
    return await end_user.rows(lines) == [(1,)]


async def test_a_failed_task_stops_nothing_and_its_message_is_not_logged(services, monkeypatch):
    end_user = await make_end_user(services)
    failing = iter([ValueError("a-secret")])
    finish = JobFinisher.finish_job

    async def fail_once(*arguments):
        if error := next(failing, None):
            raise error
        await finish(*arguments)

    monkeypatch.setattr(JobFinisher, "finish_job", fail_once)
    with capture_logs() as logs:

        async def has_failed():
            return any(entry["event"] == "result.unusable" for entry in logs)

        async with working(services):
            await end_user.connect("first+no_tx")
            # Otherwise the two jobs run at the same time, and the second one may be the one that fails.
            await until(has_failed)
            member = await end_user.connect("mxuser+no_tx")
            await until(has_status(end_user, member, "CONNECTED"))
    assert "a-secret" not in str(logs)
    assert {"worker.ready", "worker.stopped"} <= {entry["event"] for entry in logs}


async def test_the_worker_runs_its_periodic_actions_at_the_start_and_repeatedly(services, monkeypatch):
    counts = Counter()
    sweep, refresh, maintain = WorkerServices.sweep, JobScheduler.refresh, worker.run_maintenance

    async def counting(name, action, *arguments):
        counts[name] += 1
        if counts[name] == 2:
            raise OSError
        return await action(*arguments)

    monkeypatch.setattr(WorkerServices, "sweep", lambda self: counting("sweep", sweep, self))
    monkeypatch.setattr(JobScheduler, "refresh", lambda self: counting("refresh", refresh, self))
    monkeypatch.setattr(
        worker, "run_maintenance", lambda services: counting("maintenance", maintain, services)
    )
    for name in ("SWEEP", "REFRESH", "MAINTENANCE"):
        monkeypatch.setattr(worker, name, timedelta(seconds=0.05))

    async def are_repeated():
        return all(counts[name] >= 3 for name in ("sweep", "refresh", "maintenance"))

    with capture_logs() as logs:
        async with working(services):
            await until(are_repeated)
    failed = [entry["action"] for entry in logs if entry["event"] == "worker.periodic_failed"]
    assert sorted(failed) == ["maintenance", "refresh", "sweep"], "a failure does not end it"


@pytest.mark.parametrize("hangs", ["sweep", "refresh", "maintenance"])
async def test_a_stopping_worker_does_not_wait_for_a_periodic_action(services, monkeypatch, hangs):
    begun = asyncio.Event()

    async def hang(*_):
        begun.set()
        await asyncio.Event().wait()

    owner, name = {
        "sweep": (WorkerServices, "sweep"),
        "refresh": (JobScheduler, "refresh"),
        "maintenance": (worker, "run_maintenance"),
    }[hangs]
    monkeypatch.setattr(owner, name, hang)
    async with asyncio.timeout(20), working(services):
        await begun.wait()


async def test_a_running_worker_creates_the_partitions(services):
    end_user = await make_end_user(services)
    async with working(services):

        async def are_there():
            return await end_user.rows("SELECT count(*) > 10 FROM pg_inherits") == [(True,)]

        await until(are_there)


async def test_a_running_worker_starts_the_daily_aggregation(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx")
    clock.advance(services.settings.background_interval + timedelta(seconds=1))
    before = await end_user.reload(member)
    async with working(services):

        async def is_aggregated():
            return (await end_user.reload(member)).aggregated_at > before.aggregated_at

        await until(is_aggregated)
    assert [each["is_background"] for each in await end_user.events("AGGREGATION")] == [False, True]


async def test_a_running_worker_ends_a_job_whose_questions_were_not_answered(services, clock):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser+no_tx", "challenge")
    assert member.connection_status == "CHALLENGED"
    clock.advance(services.settings.mfa_ttl + timedelta(seconds=1))
    async with working(services):
        await until(has_status(end_user, member, "EXPIRED"))


async def test_two_workers_run_every_job_once(settings, clock):
    async with build(settings, clock) as one, build(settings, clock) as two:
        end_user = await make_end_user(one)
        async with working(one), working(two):
            members = [await end_user.connect(f"user-{number}+no_tx") for number in range(12)]
            for member in members:
                await until(has_status(end_user, member, "CONNECTED"))
        assert await end_user.rows(STATES) == [("ended", 1, 1)] * 12
        assert len(await end_user.events("AGGREGATION")) == 12


async def test_jobs_that_are_requested_one_after_the_other_all_run(services):
    end_user = await make_end_user(services)
    async with working(services):
        member = await end_user.connect("mxuser+no_tx")
        for kind in (JobKind.BALANCE, JobKind.VERIFICATION, JobKind.BALANCE):
            await until(lambda: is_idle(end_user, member))
            await end_user.start(member, kind)
        await until(lambda: is_idle(end_user, member))
    assert await end_user.rows(STATES) == [("ended", 1, 1)] * 4


async def is_idle(end_user, member):
    return not (await end_user.reload(member)).is_being_aggregated


# --- slots (the bank answers when the test lets it, so that no result depends on time) --------------------------------


@asynccontextmanager
async def gated(settings, clock, monkeypatch, bank=None):
    """Services whose bank answers when the test lets it."""
    bank = bank or GatedBank()
    monkeypatch.setattr(runner, "POLL", timedelta(hours=1))
    async with build(settings, clock) as services:
        bank.attach(services, monkeypatch)
        yield services, bank


async def enqueue(end_user, count):
    """Members with credentials and a queued job each, written as fast as the database can."""
    added = await end_user.rows(
        """WITH added AS (
               INSERT INTO member (user_guid, guid, client_guid, institution_code, institution_guid, name,
                                   connection_status, created_at, updated_at)
               SELECT %(user)s, 'MBR-' || gen_random_uuid(), %(client)s, 'mxbank', 'INS-1', 'MX Bank', 'CREATED',
                      now(), now()
               FROM generate_series(1, %(count)s) RETURNING guid)
           INSERT INTO member_job (user_guid, guid, client_guid, member_guid, institution_code, kind, state,
                                   requested_by, created_at, queued_at)
           SELECT %(user)s, 'JOB-' || gen_random_uuid(), %(client)s, guid, 'mxbank', 'AGGREGATION', 'queued', 'test',
                  now(), now() FROM added RETURNING member_guid""",
        client=end_user.client.guid,
        count=count,
    )
    async with end_user.services.db.transaction() as connection:
        for (member_guid,) in added:
            await end_user.services.vault.store_secret(
                connection,
                owner_guid=end_user.user.guid,
                record_guid=member_guid,
                kind=SecretKind.CREDENTIALS,
                value=b"{}",
            )
        await notify_workers(connection, TaskKind.MEMBER_JOB)


async def test_200_members_at_one_bank_keep_its_slots_busy_until_the_last(settings, clock, monkeypatch):
    async with gated(settings, clock, monkeypatch) as (services, bank):
        await enqueue(await make_end_user(services), 200)
        slots = settings.institution_concurrency
        async with working(services):
            for done in range(200 - slots + 1):
                await bank.has(running=slots, started=done + slots)
                assert bank.started == done + slots
                await bank.release()
            await bank.release(slots - 1)


async def test_each_of_several_jobs_that_end_at_once_frees_a_slot(settings, clock, monkeypatch):
    async with gated(settings, clock, monkeypatch) as (services, bank):
        await enqueue(await make_end_user(services), 40)
        slots = settings.institution_concurrency
        async with working(services):
            for turn in range(1, 6):
                await bank.has(running=slots, started=turn * slots)
                await bank.release(slots)
        assert bank.started == 40


async def test_two_workers_share_an_institutions_slots(settings, clock, monkeypatch):
    """Twice as many jobs run at once, up to the institution's limit, and each of them once."""
    bank, narrow = GatedBank(), replace(settings, worker_concurrency=4, institution_concurrency=8)
    async with (
        gated(narrow, clock, monkeypatch, bank) as (one, _),
        gated(narrow, clock, monkeypatch, bank) as (two, _),
    ):
        await enqueue(await make_end_user(one), 40)
        async with working(one):
            await bank.has(running=4)
            async with working(two):
                for done in range(33):
                    await bank.has(running=8, started=8 + done)
                    await bank.release()
                await bank.release(7)
        assert bank.started == 40


async def test_a_slot_that_a_stopping_worker_frees_is_filled_by_another(settings, clock, monkeypatch):
    bank, narrow = GatedBank(), replace(settings, worker_concurrency=2, institution_concurrency=2)
    async with (
        gated(narrow, clock, monkeypatch, bank) as (one, _),
        gated(narrow, clock, monkeypatch, bank) as (two, _),
    ):
        await enqueue(await make_end_user(one), 4)
        async with working(one) as stop:
            await bank.has(running=2)
            async with working(two):
                stop.set()
                for done in range(2):
                    await bank.release()
                    await bank.has(running=2, started=3 + done)
                await bank.release(2)


async def test_behind_a_backlog_of_one_client_anothers_job_starts_within_two_turns(
    settings, clock, monkeypatch
):
    async with gated(settings, clock, monkeypatch) as (services, bank):
        large, small = await make_end_user(services), await make_end_user(services)
        await enqueue(large, 2000)
        slots = settings.institution_concurrency
        async with working(services):
            await bank.has(running=slots)
            await enqueue(small, 1)
            for turn in (1, 2):
                await bank.release()
                await bank.has(running=slots, started=slots + turn)
            assert await small.rows("SELECT state FROM member_job WHERE user_guid = %(user)s") == [
                ("running",)
            ]
            await large.rows("DELETE FROM member_job WHERE state = 'queued'")
            await bank.release(slots)
