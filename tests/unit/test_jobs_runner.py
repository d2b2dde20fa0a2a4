"""The runner: claims as many tasks as there are free slots, and stops in order."""

import asyncio
import contextlib
import gc
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from coatcheck.jobs import runner, tasks
from coatcheck.jobs.runner import TaskRunner
from coatcheck.jobs.tasks import TaskKind, cancel_tasks, uninterrupted
from tests.member_setup import until


class Source:
    """Tasks that wait for a gate."""

    def __init__(self, count=0):
        self.queued = count
        self.running = 0
        self.most = 0
        self.cancelled = 0
        self.claims = []
        self.gate = asyncio.Event()

    async def claim(self, limit):
        self.claims.append(limit)
        claimed = min(limit, self.queued)
        self.queued -= claimed
        return [self.run] * claimed

    async def run(self):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def has_running(self, count):
        return self.running == count


@asynccontextmanager
async def running(sources, slots, grace=timedelta(seconds=5)):
    stop = asyncio.Event()
    the_runner = TaskRunner({kind: source.claim for kind, source in sources.items()}, slots=slots)
    task = asyncio.create_task(the_runner.run(stop, grace))
    try:
        yield the_runner
    finally:
        stop.set()
        await task


async def test_each_kind_has_its_own_slots_and_never_more_tasks_than_slots(monkeypatch):
    monkeypatch.setattr(runner, "POLL", timedelta(hours=1))
    jobs, deliveries = Source(5), Source(1)
    async with running({TaskKind.MEMBER_JOB: jobs, TaskKind.DELIVERY: deliveries}, slots=2):
        await until(lambda: jobs.has_running(2))
        await until(lambda: deliveries.has_running(1))
        jobs.gate.set()
        deliveries.gate.set()
        await until(lambda: jobs.has_running(0))

        async def is_empty():
            return jobs.queued == 0 and jobs.running == 0

        await until(is_empty)
    assert jobs.most == 2


async def test_tasks_are_claimed_after_a_notification_or_at_the_next_poll(monkeypatch):
    monkeypatch.setattr(runner, "POLL", timedelta(hours=1))
    source = Source()
    async with running({TaskKind.DELIVERY: source}, slots=2) as the_runner:
        await until(lambda: has_claimed(source, 1))
        source.queued = 1
        the_runner.notify(TaskKind.DELIVERY)
        await until(lambda: source.has_running(1))
        source.queued = 1
        the_runner.notify()
        await until(lambda: source.has_running(2))
        source.gate.set()
    monkeypatch.setattr(runner, "POLL", timedelta(seconds=0.05))
    source = Source()
    async with running({TaskKind.DELIVERY: source}, slots=2):
        await until(lambda: has_claimed(source, 2))
        source.queued = 1
        await until(lambda: source.has_running(1))
        source.gate.set()


async def test_a_notification_of_one_kind_makes_the_runner_claim_no_other(monkeypatch):
    monkeypatch.setattr(runner, "POLL", timedelta(hours=1))
    jobs, deliveries = Source(), Source()
    async with running({TaskKind.MEMBER_JOB: jobs, TaskKind.DELIVERY: deliveries}, slots=2) as the_runner:
        await until(lambda: has_claimed(jobs, 1))
        await until(lambda: has_claimed(deliveries, 1))
        the_runner.notify(TaskKind.DELIVERY)
        await until(lambda: has_claimed(deliveries, 2))
        assert len(jobs.claims) == 1


async def has_claimed(source, times):
    return len(source.claims) >= times


async def test_never_more_tasks_are_claimed_than_slots_are_free(monkeypatch):
    monkeypatch.setattr(runner, "POLL", timedelta(seconds=0.01))
    source = Source(1)
    async with running({TaskKind.DELIVERY: source}, slots=3):
        await until(lambda: has_claimed(source, 3))
        source.gate.set()
    assert source.claims[:3] == [3, 2, 2]


async def test_after_stop_nothing_is_claimed_and_tasks_may_finish():
    source = Source(3)
    async with running({TaskKind.DELIVERY: source}, slots=2):
        await until(lambda: source.has_running(2))
        asyncio.get_running_loop().call_later(0.1, source.gate.set)
    assert (source.queued, source.cancelled, source.running) == (1, 0, 0)


async def test_tasks_that_take_longer_than_the_grace_are_cancelled():
    source = Source(2)
    async with running({TaskKind.DELIVERY: source}, slots=2, grace=timedelta(seconds=0.05)):
        await until(lambda: source.has_running(2))
    assert (source.cancelled, source.running) == (2, 0)


async def test_tasks_that_are_claimed_during_stop_are_run():
    claiming, claimed, ran = asyncio.Event(), asyncio.Event(), []

    async def claim(limit):
        if claiming.is_set():
            return []
        claiming.set()
        await claimed.wait()
        return [run]

    async def run():
        ran.append(True)

    stop = asyncio.Event()
    task = asyncio.create_task(
        TaskRunner({TaskKind.DELIVERY: claim}, slots=1).run(stop, timedelta(seconds=5))
    )
    await claiming.wait()
    stop.set()
    claimed.set()
    await task
    assert ran == [True]


async def test_a_failed_task_or_claim_is_logged_with_the_type_of_the_error_and_stops_nothing(monkeypatch):
    monkeypatch.setattr(runner, "POLL", timedelta(seconds=0.01))
    claims = []

    async def fail():
        raise ValueError("a secret")

    async def claim(limit):
        claims.append(limit)
        if len(claims) == 1:
            raise OSError("a secret")
        return [fail] if len(claims) == 2 else []

    stop = asyncio.Event()
    with capture_logs() as logs:
        task = asyncio.create_task(
            TaskRunner({TaskKind.DELIVERY: claim}, slots=1).run(stop, timedelta(seconds=5))
        )

        async def has_gone_on():
            return len(claims) >= 4

        await until(has_gone_on)
        stop.set()
        await task
    assert [(entry["event"], entry["task_kind"], entry["error"]) for entry in logs] == [
        ("task.not_claimed", "delivery", "OSError"),
        ("task.failed", "delivery", "ValueError"),
    ]
    assert "a secret" not in str(logs)


# --- cancellation --------------------------------------------------------------------------------------------


async def begun(coroutine):
    """A task that has run up to its first wait."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


@pytest.fixture
async def unread():
    """What asyncio reports of tasks whose exception nobody has read, once nothing refers to them."""
    reported = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    def collected():
        gc.collect()
        return reported

    yield collected
    loop.set_exception_handler(None)


async def test_what_cancelled_tasks_raise_is_ignored_and_one_that_has_ended_is_left_alone(unread):
    async def fail():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError from None

    async def end():
        return "a result"

    failing, ended = await begun(fail()), await begun(end())
    await cancel_tasks(failing, ended)
    assert (failing.done(), ended.result()) == (True, "a result")
    del failing
    assert unread() == []


async def test_a_task_that_ignores_every_cancellation_is_logged_and_left_behind(monkeypatch):
    monkeypatch.setattr(tasks, "MAX_CANCELLATIONS", 1)
    may_end = asyncio.Event()

    async def stubborn():
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    left, ended = await begun(stubborn()), await begun(asyncio.Event().wait())
    with capture_logs() as logs:
        await cancel_tasks(left, ended)
    states = (left.done(), ended.cancelled())
    may_end.set()
    await left
    assert states == (False, True)
    assert logs == [{"event": "task.ignores_cancellation", "count": 1, "log_level": "error"}]


async def test_work_that_nobody_interrupts_gives_its_result_or_its_error():
    async def answer():
        await asyncio.sleep(0)
        return "an answer"

    async def fail():
        raise ValueError

    assert await uninterrupted(answer()) == "an answer"
    with pytest.raises(ValueError):  # noqa: PT011 (the one that it raised)
        await uninterrupted(fail())


@pytest.mark.parametrize("fails", [False, True])
async def test_work_runs_to_its_end_however_often_its_caller_is_cancelled(unread, fails):
    may_end, ended = asyncio.Event(), []

    async def work():
        await may_end.wait()
        ended.append(True)
        if fails:
            raise ValueError

    caller = await begun(uninterrupted(work()))
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    (outcome,) = await asyncio.gather(caller, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)
    assert ended == [True]
    del caller, outcome
    assert unread() == []
