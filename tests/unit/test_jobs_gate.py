"""The gate before the worker's tasks."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from coatcheck.jobs.gate import TaskGate
from coatcheck.jobs.runner import TaskRunner
from coatcheck.jobs.tasks import ClaimedTask, TaskKind
from tests.member_setup import PATIENCE


async def test_a_closed_gate_waits_for_the_running_tasks_and_lets_no_other_begin() -> None:
    gate, began, may_end, stop = TaskGate(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    count = 0

    async def task() -> None:
        nonlocal count
        count += 1
        began.set()
        await may_end.wait()

    async def claim(_limit: int) -> list[ClaimedTask]:
        return [task]

    runner = TaskRunner({TaskKind.DELIVERY: claim}, slots=1, gate=gate)
    running = asyncio.create_task(runner.run(stop, timedelta(seconds=1)))
    await began.wait()
    closing = asyncio.create_task(_count_while_closed(gate, runner, lambda: count))
    await asyncio.sleep(0)
    assert not closing.done()
    may_end.set()
    first, last = await closing
    assert first == last
    began.clear()
    async with asyncio.timeout(PATIENCE):
        await began.wait()
    stop.set()
    await running


async def _count_while_closed(
    gate: TaskGate, runner: TaskRunner, count: Callable[[], int]
) -> tuple[int, int]:
    async with gate.closed():
        first = count()
        runner.notify()
        for _ in range(20):
            await asyncio.sleep(0)
        return first, count()


async def test_a_gate_is_not_closed_before_the_last_of_several_tasks_has_left() -> None:
    gate, closed = TaskGate(), asyncio.Event()

    async def close() -> None:
        async with gate.closed():
            closed.set()

    gate.enter()
    gate.enter()
    closing = asyncio.create_task(close())
    gate.leave()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (closed.is_set(), gate.is_open) == (False, False)
    gate.leave()
    await closing
    assert (closed.is_set(), gate.is_open) == (True, True)
