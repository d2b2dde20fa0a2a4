"""The job process: picks wake-ups up, does its duties, and looks after what nobody wakes it for.

    PgQueuer's row --picked--> a free slot? --> the row is done, the duty begins --> our own rows say how it went

A wake-up's row is done as soon as its duty begins: how the duty ends is written in our own rows, and a worker that
dies leaves them to the sweep. Each duty has slots of its own, so that hung banks keep no webhook waiting.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Self, TypeAlias
from uuid import uuid4

import psycopg
import stamina
import structlog
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import NotifyCallback
from pgqueuer.ports.repository import EntrypointExecutionParameter

from coatcheck.app import Services, prepare_partitions
from coatcheck.db.database import Connection
from coatcheck.events.delivery import Deliverer
from coatcheck.grants import partitions as tokens
from coatcheck.jobs.queue import TaskKind
from coatcheck.members import job_rows
from coatcheck.members.sync import MemberSync, end_tasks
from coatcheck.micro_deposits.micro_deposits import MicroDeposits
from coatcheck.vault import vault

log = structlog.get_logger(__name__)

APPLICATION_NAME = "coatcheck worker"
"""By which `doctor` finds a living worker in pg_stat_activity."""
GRACE = timedelta(seconds=8)
"""How long running duties may go on after a worker was told to stop; then they hand over what they have."""
SWEEP, REFRESH, HOUSEKEEPING = timedelta(seconds=5), timedelta(minutes=1), timedelta(hours=6)
"""How often each is done."""
POLL = timedelta(seconds=5)
"""How long a wake-up stays unseen whose notification got lost."""
HEARTBEAT = timedelta(seconds=6)
"""After which silence a picked wake-up is another's; until then it stands in the way of the sweep's."""
BATCH = 10
LONGEST_BACKOFF = 2.0
"""Seconds between two attempts to reach the database."""
CONNECT_TIMEOUT = 5
"""Seconds."""
JOBS_KEPT = timedelta(days=90)
"""How long an ended job can be looked up."""

Handler: TypeAlias = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """The parts that only a worker needs."""

    sync: MemberSync
    micro_deposits: MicroDeposits
    deliverer: Deliverer

    async def sweep(self) -> None:
        """Looks for what waits without a wake-up."""
        await self.sync.sweep()
        await self.micro_deposits.sweep()
        await self.deliverer.sweep()

    @property
    def handlers(self) -> Mapping[TaskKind, Handler]:
        """What each duty's wake-ups lead to, by their key."""
        return {
            TaskKind.MEMBER_JOB: lambda key: self.sync.work(*key.split("/")),
            TaskKind.MICRO_DEPOSIT: lambda key: self.micro_deposits.send(*key.split("/")),
            TaskKind.DELIVERY: self.deliverer.deliver,
        }


def build_worker(services: Services) -> WorkerServices:
    """The crew of a house."""
    return WorkerServices(
        sync=MemberSync(services.dependencies),
        micro_deposits=services.micro_deposits,
        deliverer=Deliverer(services.settings, services.clock, services.db, services.vault, services.jobs),
    )


async def main(services: Services, stop: asyncio.Event, *, grace: timedelta = GRACE) -> None:
    """Works until `stop` is set; then picks nothing more, and ends or hands over what it has within `grace`."""
    worker_services = build_worker(services)
    shift = TaskRunner(worker_services.handlers, slots=services.settings.worker_concurrency)
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_picking(services.db.url, shift, stop))
        group.create_task(_every(SWEEP, "sweep", worker_services.sweep, stop))
        group.create_task(_every(REFRESH, "refresh", worker_services.sync.refresh, stop))
        group.create_task(_every(HOUSEKEEPING, "housekeeping", partial(run_maintenance, services), stop))
        await stop.wait()
        await shift.end(grace)
    log.info("worker.stopped")


async def run_pending(services: Services) -> int:
    """Does every duty that is due by the house's clock, one after the other, until none is left; how many.

    For tests and demonstrations: it waits for nothing, and raises what a duty raises.
    """
    handlers = build_worker(services).handlers
    done = 0
    async with _connected(services.db.url) as connection:
        queries = Queries(PsycopgDriver(connection))
        while jobs := await _pick_due(connection, queries, services):
            for job in jobs:
                await queries.log_jobs([(job, "successful", None)])
                await handlers[TaskKind(job.entrypoint)](_key(job))
                done += 1
    return done


async def run_maintenance(services: Services) -> None:
    """Makes the partitions of the days to come, and drops what is kept no longer."""
    now = services.clock.now()
    async with services.db.connection() as connection:
        await prepare_partitions(connection, now, services.settings)
        await tokens.drop_partitions(connection, now)
        await job_rows.drop_ended(connection, now - JOBS_KEPT)
        await vault.delete_expired_links(connection, now - services.settings.link_ttl - timedelta(days=1))
        await Queries(PsycopgDriver(connection)).clear_queue_log([task_kind.value for task_kind in TaskKind])


class TaskRunner:
    """What this process is doing, in a number of slots for each duty."""

    def __init__(self, handlers: Mapping[TaskKind, Handler], *, slots: int) -> None:
        self._handlers = handlers
        self._slots = slots
        self._busy: dict[TaskKind, set[asyncio.Task[None]]] = {task_kind: set() for task_kind in handlers}
        self._room = asyncio.Condition()
        self._has_ended = False

    async def take(self, task_kind: TaskKind, key: str) -> bool:
        """Begins the duty as soon as there is a slot; False if the shift ended first."""
        async with self._room:
            await self._room.wait_for(lambda: self._has_ended or len(self._busy[task_kind]) < self._slots)
            if self._has_ended:
                return False
            self._busy[task_kind].add(asyncio.create_task(self._do(task_kind, key)))
        return True

    async def end(self, grace: timedelta) -> None:
        """Takes nothing more; what still runs after the grace is cancelled, and hands over."""
        async with self._room:
            self._has_ended = True
            self._room.notify_all()
        if running := set().union(*self._busy.values()):
            _, late = await asyncio.wait(running, timeout=grace.total_seconds())
            await end_tasks(*late)

    async def _do(self, task_kind: TaskKind, key: str) -> None:
        try:
            await self._handlers[task_kind](key)
        except Exception as error:  # noqa: BLE001 (one duty's failure is no other's; the sweep comes back to it)
            # Its name alone: a message may hold what a bank said.
            log.warning("duty.failed", task_kind=task_kind.value, error=type(error).__name__)
        finally:
            async with self._room:
                self._busy[task_kind] = {
                    task for task in self._busy[task_kind] if task is not asyncio.current_task()
                }
                self._room.notify_all()


class TwoLines(PsycopgDriver):
    """Asks on one connection and listens on another.

    While psycopg listens it holds its connection, up to a second at a time, and the next question waits as long.
    """

    def __init__(self, asking: Connection, listening: Connection) -> None:
        super().__init__(asking)
        self._ear = PsycopgDriver(listening)
        self._one_by_one = asyncio.Lock()

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        # PgQueuer 1.6.0 forgets the listeners of managers that begin at the same moment.
        async with self._one_by_one:
            await self._ear.add_listener(channel, callback)

    async def __aenter__(self) -> Self:
        await self._ear.__aenter__()
        return await super().__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await self._ear.__aexit__(*error)


async def _keep_picking(url: str, shift: TaskRunner, stop: asyncio.Event) -> None:
    """Picks until told to stop, over again when the database went away, however long it stays away."""
    async for attempt in stamina.retry_context(
        on=Exception, attempts=None, timeout=None, wait_max=LONGEST_BACKOFF
    ):
        with attempt:
            if not stop.is_set():
                await _pick(url, shift, stop)


async def _pick(url: str, shift: TaskRunner, stop: asyncio.Event) -> None:
    async with _connected(url) as asking, _connected(url) as listening:
        lines = TwoLines(asking, listening)
        managers = [_manager(lines, task_kind, shift) for task_kind in TaskKind]
        async with asyncio.TaskGroup() as group:
            for manager in managers:
                group.create_task(
                    manager.run(
                        dequeue_timeout=POLL,
                        batch_size=BATCH,
                        max_concurrent_tasks=2 * BATCH,
                        shutdown_on_listener_failure=True,
                        heartbeat_timeout=HEARTBEAT,
                        log_aggregation_interval=timedelta(),
                    )
                )
            log.info("worker.ready")
            await stop.wait()
            for manager in managers:
                manager.shutdown.set()


def _manager(lines: PsycopgDriver, task_kind: TaskKind, shift: TaskRunner) -> QueueManager:
    """Picks one duty's wake-ups: each has its own, or a full duty's would stand in the way of the others'."""
    manager = QueueManager(Queries(lines))

    @manager.entrypoint(task_kind.value)
    async def take(job: Job) -> None:
        if not await shift.take(task_kind, _key(job)):
            raise RetryRequested(delay=timedelta(), reason="the worker stops")

    return manager


async def _pick_due(connection: Connection, queries: Queries, services: Services) -> list[Job]:
    """A few wake-ups that are due; the house's clock may be ahead of the database's, which PgQueuer asks."""
    await connection.execute(
        """UPDATE pgqueuer SET execute_after = now() - interval '1 second'
           WHERE status = 'queued' AND execute_after >= now() AND execute_after <= %(now)s""",
        {"now": services.clock.now()},
    )
    return await queries.dequeue(
        batch_size=BATCH,
        entrypoints={
            QueueEntrypoint(task_kind.value): EntrypointExecutionParameter(0) for task_kind in TaskKind
        },
        queue_manager_id=QueueManagerId(uuid4()),
        global_concurrency_limit=None,
        heartbeat_timeout=timedelta(minutes=5),
    )


def _key(job: Job) -> str:
    return (job.payload or b"").decode()


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, application_name=APPLICATION_NAME, connect_timeout=CONNECT_TIMEOUT
    )
    async with connection:
        yield connection


async def _every(
    period: timedelta, name: str, action: Callable[[], Awaitable[object]], stop: asyncio.Event
) -> None:
    while not stop.is_set():
        try:
            await action()
        except Exception as error:  # noqa: BLE001 (it comes back after the period, whatever went wrong)
            log.warning("duty.failed", task_kind=name, error=type(error).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), period.total_seconds())
