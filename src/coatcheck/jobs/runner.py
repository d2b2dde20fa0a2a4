"""Runs claimed tasks, in a number of slots for each kind.

    a notification, the end of a task, or the poll interval --> claim as many tasks as there are free slots --> run

Each kind has slots of its own, so that institutions that hang delay no webhook.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import timedelta

import structlog

from coatcheck import tracing
from coatcheck.jobs.gate import TaskGate
from coatcheck.jobs.tasks import Claim, ClaimedTask, TaskKind, cancel_tasks

log = structlog.get_logger(__name__)

POLL = timedelta(seconds=1)
"""How long a due task waits at most when its notification was lost, or when only time made it due."""


class TaskRunner:
    """The tasks that this process runs."""

    def __init__(self, claims: Mapping[TaskKind, Claim], *, slots: int, gate: TaskGate | None = None) -> None:
        gate = gate or TaskGate()
        self._kinds = {
            task_kind: _Slots(task_kind, claim, slots, gate) for task_kind, claim in claims.items()
        }

    def notify(self, task_kind: TaskKind | None = None) -> None:
        """Claims tasks of the kind, or of every kind, as soon as possible."""
        for each in self._kinds.values() if task_kind is None else (self._kinds[task_kind],):
            each.changed.set()

    async def run(self, stop: asyncio.Event, grace: timedelta) -> None:
        """Claims and runs tasks until `stop` is set; then claims nothing more and returns within `grace`.

        What still runs after `grace` is cancelled, which releases it.
        """
        async with asyncio.TaskGroup() as group:
            for each in self._kinds.values():
                group.create_task(each.fill(stop))
            await stop.wait()
            self.notify()  # wakes `fill`, so that it sees `stop` without waiting for a poll
        # What was claimed while it stopped is running by now and gets its grace too.
        if running := set().union(*(each.running for each in self._kinds.values())):
            _, late = await asyncio.wait(running, timeout=grace.total_seconds())
            await cancel_tasks(*late)


class _Slots:
    """The slots of one kind."""

    def __init__(self, task_kind: TaskKind, claim: Claim, count: int, gate: TaskGate) -> None:
        self._task_kind = task_kind
        self._claim = claim
        self._count = count
        self._gate = gate
        self.running: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()
        """Set when there may be something to claim or a slot came free."""

    async def fill(self, stop: asyncio.Event) -> None:
        """Fills free slots until `stop` is set."""
        while not stop.is_set():
            # Before the claim: a notification that arrives during the claim must cause another one.
            self.changed.clear()
            if self._gate.is_open and (free := self._count - len(self.running)):
                # A claim is inside the gate too: what it claims must not run after the gate has closed.
                self._gate.enter()
                for claimed in await self._claim_some(free):
                    self._gate.enter()
                    task = asyncio.create_task(self._run(claimed))
                    self.running.add(task)
                    task.add_done_callback(self._end)
                self._gate.leave()
            # Nobody notifies of what falls due by the clock, and a notification is lost with its connection.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL.total_seconds()):
                    await self.changed.wait()

    async def _claim_some(self, limit: int) -> list[ClaimedTask]:
        try:
            return list(await self._claim(limit))
        except Exception as error:  # noqa: BLE001 (the next poll tries again, whatever went wrong)
            log.warning("task.not_claimed", task_kind=self._task_kind.value, error=type(error).__name__)
            return []

    async def _run(self, claimed: ClaimedTask) -> None:
        try:
            with tracing.span(f"task {self._task_kind}", {}):
                await claimed()
        except Exception as error:  # noqa: BLE001 (one task's failure must not end the others)
            # The exception's text may contain what a bank sent.
            log.warning("task.failed", task_kind=self._task_kind.value, error=type(error).__name__)

    def _end(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self._gate.leave()
        self.changed.set()
