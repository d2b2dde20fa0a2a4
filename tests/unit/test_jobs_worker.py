"""The worker at work: picking, stopping, and outliving its database connections."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from structlog.testing import capture_logs

from coatcheck import worker
from coatcheck.app import build
from coatcheck.connectors.contract import JobKind
from coatcheck.jobs.queue import TaskKind
from coatcheck.worker import TaskRunner, TwoLines, run_pending
from tests.member_setup import make_home, until

STATES = "SELECT state, attempt, pickups FROM member_job WHERE user_guid = %(user)s ORDER BY created_at, guid"
IMPATIENT = timedelta(seconds=0.5)


@asynccontextmanager
async def working(services, grace=worker.GRACE):
    """A worker for the length of the block, that is stopped in order."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.main(services, stop, grace=grace))
    try:
        yield stop
    finally:
        stop.set()
        await task


def has_status(home, member, status):
    async def condition():
        return (await home.again(member)).connection_status == status

    return condition


async def is_running(home):
    return (await home.rows(STATES))[-1][0] == "running"


async def test_a_job_is_done_without_waiting_for_a_poll_or_a_sweep(services, monkeypatch):
    monkeypatch.setattr(worker, "SWEEP", timedelta(hours=1))
    monkeypatch.setattr(worker, "POLL", timedelta(hours=1))
    await run_pending(services)
    home = await make_home(services)
    async with working(services):
        for login in ("one+no_tx", "two+no_tx", "three+no_tx"):
            await asyncio.sleep(0.1)
            member = await home.connect(login)
            await until(has_status(home, member, "CONNECTED"))


async def test_asking_does_not_wait_for_listening(url):
    async with (
        worker._connected(url) as asking,
        worker._connected(url) as listening,
        TwoLines(asking, listening) as lines,
    ):
        heard = []
        await lines.add_listener("test_channel", heard.append)
        begun = time.monotonic()
        for _ in range(10):
            await asyncio.sleep(0.01)  # as long as the listener needs to take its connection again
            await lines.fetch("SELECT 1")
        assert time.monotonic() - begun < 2, "on one connection each would wait up to a second"
        await lines.notify("test_channel", "hello")
        await until(lambda: has(heard, "hello"))


async def has(heard, word):
    return word in heard


async def test_every_duty_hears_of_its_wake_ups(services, monkeypatch):
    monkeypatch.setattr(worker, "POLL", timedelta(hours=1))
    monkeypatch.setattr(worker, "SWEEP", timedelta(hours=1))
    home = await make_home(services)
    async with working(services):
        await asyncio.sleep(0.3)
        for task_kind in TaskKind:
            async with services.db.connection() as connection:
                await services.jobs.wake(connection, task_kind, f"{home.user.guid}/nothing")
        await until(lambda: is_empty(home))


async def is_empty(home):
    left = "SELECT FROM pgqueuer WHERE convert_from(payload, 'UTF8') LIKE %(user)s || '/%%'"
    return await home.rows(left) == []


async def test_a_hung_bank_delays_no_other(settings, clock):
    narrow = replace(settings, institution_concurrency=2, worker_concurrency=4)
    async with build(narrow, clock) as services:
        await run_pending(services)
        hung, home = await make_home(services), await make_home(services)
        async with working(services, IMPATIENT):
            for number in range(6):
                await hung.connect(f"user-{number}+hang", institution="mxcu_credential")
            await until(lambda: is_two(hung))
            member = await home.connect("mxuser+no_tx")
            await until(has_status(home, member, "CONNECTED"), 3)
            assert await is_two(hung)
        await hung.rows("DELETE FROM member WHERE user_guid = %(user)s")


async def is_two(home):
    running = "SELECT count(*) FROM member_job WHERE user_guid = %(user)s AND state = 'running'"
    return await home.rows(running) == [(2,)]


async def test_what_runs_when_the_worker_is_stopped_may_finish(services):
    home = await make_home(services)
    member = await home.connect("mxuser+no_tx+slow=1")
    async with working(services):
        await until(lambda: is_running(home))
    assert (await home.again(member)).connection_status == "CONNECTED"
    assert await home.rows(STATES) == [("ended", 1, 1)]


async def test_what_takes_too_long_then_is_handed_over_at_once(services):
    home = await make_home(services)
    await home.connect("mxuser+hang")
    async with working(services, IMPATIENT):
        await until(lambda: is_running(home))
    assert await home.rows(STATES) == [("queued", 1, 0)]
    ((count,),) = await home.rows(
        "SELECT count(*) FROM pgqueuer WHERE convert_from(payload, 'UTF8') LIKE %(user)s || '/%%'"
    )
    assert count == 1
    await home.rows("DELETE FROM member WHERE user_guid = %(user)s")


async def test_wake_ups_that_waited_for_a_slot_are_left_to_others(settings, clock):
    async with build(replace(settings, worker_concurrency=1), clock) as services:
        await run_pending(services)
        hung, waiting = await make_home(services), await make_home(services)
        async with working(services, IMPATIENT):
            await hung.connect("mxuser+hang")
            await until(lambda: is_running(hung))
            member = await waiting.connect("mxuser+no_tx")
            picked = "SELECT status FROM pgqueuer WHERE convert_from(payload, 'UTF8') LIKE %(user)s || '/%%'"
            await until(lambda: is_picked(waiting, picked))
        assert await waiting.rows(picked) == [("queued",)]
        await hung.rows("DELETE FROM member WHERE user_guid = %(user)s")
        await run_pending(services)
        assert (await waiting.again(member)).connection_status == "CONNECTED"


async def is_picked(home, statement):
    return await home.rows(statement) == [("picked",)]


async def test_a_worker_whose_connections_were_cut_goes_on(services, monkeypatch):
    monkeypatch.setattr(worker, "POLL", timedelta(seconds=0.3))
    home = await make_home(services)
    async with working(services):
        before = await home.connect("before+no_tx")
        await until(has_status(home, before, "CONNECTED"))
        for _ in range(2):
            await home.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'coatcheck worker'"
            )
            await until(lambda: is_back(home))
        after = await home.connect("after+no_tx")
        await until(has_status(home, after, "CONNECTED"), 15)


async def is_back(home):
    """`doctor` sees it by its connections."""
    lines = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coatcheck worker'"
    return await home.rows(lines) == [(2,)]


async def test_a_duty_that_fails_is_named_in_the_log_and_stops_nothing(services):
    home = await make_home(services)
    with capture_logs() as logs:
        async with working(services):
            async with services.db.connection() as connection:
                await services.jobs.wake(connection, TaskKind.MEMBER_JOB, "a-secret-key/of/three")
            member = await home.connect("mxuser+no_tx")
            await until(has_status(home, member, "CONNECTED"))
    failed = [entry for entry in logs if entry["event"] == "duty.failed"]
    assert [(entry["task_kind"], entry["error"]) for entry in failed] == [("member_job", "TypeError")]
    assert "a-secret-key" not in str(logs)
    assert {"worker.ready", "worker.stopped"} <= {entry["event"] for entry in logs}


async def test_the_worker_sweeps_and_keeps_house_without_being_asked(services):
    home = await make_home(services)
    member = await home.connect("mxuser+no_tx")
    await home.rows("DELETE FROM pgqueuer")
    await home.rows(
        "UPDATE member_job SET created_at = created_at - interval '1 minute' WHERE user_guid = %(user)s"
    )
    async with working(services):
        await until(has_status(home, member, "CONNECTED"))
    partitions = "SELECT count(*) > 10 FROM pg_inherits"
    assert await home.rows(partitions) == [(True,)]


async def test_two_workers_do_every_job_once(settings, clock):
    async with build(settings, clock) as one, build(settings, clock) as two:
        await run_pending(one)
        home = await make_home(one)
        async with working(one), working(two):
            members = [await home.connect(f"user-{number}+no_tx") for number in range(12)]
            for member in members:
                await until(has_status(home, member, "CONNECTED"))
        assert await home.rows(STATES) == [("ended", 1, 1)] * 12
        assert len(await home.events("AGGREGATION")) == 12


async def test_a_shift_does_as_many_at_once_as_it_has_slots_for_each_duty():
    gate, begun = asyncio.Event(), []

    async def do(key: str) -> None:
        begun.append(key)
        await gate.wait()

    shift = TaskRunner({TaskKind.MEMBER_JOB: do, TaskKind.DELIVERY: do}, slots=2)
    taking = [asyncio.create_task(shift.take(TaskKind.MEMBER_JOB, str(number))) for number in range(4)]
    assert await shift.take(TaskKind.DELIVERY, "delivery")
    for _ in range(20):
        await asyncio.sleep(0)
    assert sorted(begun) == ["0", "1", "delivery"]
    gate.set()
    assert await asyncio.gather(*taking) == [True] * 4
    await shift.end(timedelta(seconds=1))
    assert sorted(begun) == ["0", "1", "2", "3", "delivery"]
    assert not await shift.take(TaskKind.MEMBER_JOB, "too late")


async def test_a_job_asked_for_again_and_again_runs_again_and_again(services):
    home = await make_home(services)
    async with working(services):
        member = await home.connect("mxuser+no_tx")
        for kind in (JobKind.BALANCE, JobKind.VERIFICATION, JobKind.BALANCE):
            await until(lambda: is_idle(home, member))
            await home.start(member, kind)
        await until(lambda: is_idle(home, member))
    assert await home.rows(STATES) == [("ended", 1, 1)] * 4


async def is_idle(home, member):
    return not (await home.again(member)).is_being_aggregated
