"""The worker process: runs due tasks and periodic maintenance."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeAlias

import structlog

from coatcheck import ids, metrics
from coatcheck.app import Services
from coatcheck.cells.directory import publish_directory
from coatcheck.errors import Unavailable
from coatcheck.events import claims
from coatcheck.jobs import heartbeats
from coatcheck.jobs.notifications import listen
from coatcheck.jobs.runner import TaskRunner
from coatcheck.jobs.tasks import TaskKind, cancel_tasks
from coatcheck.members import job_rows
from coatcheck.worker_services import build_worker, run_maintenance

log = structlog.get_logger(__name__)

GRACE = timedelta(seconds=8)
"""How long running tasks may continue after the worker is asked to stop; then they are cancelled."""
SEAL, EXPIRY, SWEEP, DIRECTORY, MEASURE, REFRESH, MAINTENANCE = (
    timedelta(seconds=1),
    timedelta(seconds=1),
    timedelta(seconds=5),
    timedelta(seconds=10),
    timedelta(seconds=15),
    timedelta(minutes=1),
    timedelta(hours=6),
)
"""The intervals of the periodic actions."""
APART = timedelta(seconds=0.07)
"""The first runs follow one another at this distance, and the later ones of an interval too. Each action that runs at
the same time needs a connection, and an idle session of PostgreSQL takes up to 10 MB."""
Action: TypeAlias = Callable[[], Awaitable[object]]


async def main(services: Services, stop: asyncio.Event, *, grace: timedelta = GRACE) -> None:
    """Runs tasks until `stop` is set; then claims nothing more, and finishes or releases its tasks within `grace`."""
    worker_services = build_worker(services)
    worker_guid = ids.new("WRK")
    runner = TaskRunner(
        worker_services.claims, slots=services.settings.worker_concurrency, gate=services.task_gate
    )
    async with asyncio.TaskGroup() as group:
        listener = group.create_task(listen(services.settings.direct_url, runner.notify))
        actions: Sequence[tuple[timedelta, str, Action]] = [
            (heartbeats.INTERVAL, "heartbeat", partial(_beat, services, worker_guid)),
            (SEAL, "seal", worker_services.seal),
            (EXPIRY, "expiry", worker_services.expiry.sweep),
            (SWEEP, "sweep", worker_services.sweep),
            (SWEEP, "deletion", services.deletions.run),
            (MEASURE, "measure", partial(measure, services)),
            (REFRESH, "refresh", worker_services.scheduler.refresh),
            (DIRECTORY, "directory", partial(publish_directory, services)),
            (MAINTENANCE, "maintenance", partial(run_maintenance, services)),
        ]
        periodic = [
            group.create_task(_every(period, name, action, stop, first_after=number * APART))
            for number, (period, name, action) in enumerate(actions)
        ]
        await runner.run(stop, grace)
        # What these have not done yet is left to the next worker.
        await cancel_tasks(listener, *periodic)
    # A worker whose database is away must still stop.
    with contextlib.suppress(Unavailable):
        async with services.db.connection() as connection:
            # Otherwise it counts as alive until its last heartbeat is old, and `/ready` says that there is a worker.
            await heartbeats.end(connection, worker_guid)
    log.info("worker.stopped")


async def _beat(services: Services, worker_guid: str) -> None:
    async with services.db.connection() as connection:
        await heartbeats.beat(connection, worker_guid)


async def measure(services: Services) -> None:
    """Measures how long the oldest due job and the oldest due webhook have waited."""
    now = services.clock.now()
    async with services.db.connection() as connection:
        due = {
            TaskKind.MEMBER_JOB: await job_rows.oldest_due(connection, now),
            TaskKind.DELIVERY: await claims.oldest_due(connection, now),
        }
    for kind, since in due.items():
        metrics.OLDEST_DUE.labels(kind).set((now - since).total_seconds() if since else 0)


async def _every(
    period: timedelta, name: str, action: Action, stop: asyncio.Event, *, first_after: timedelta
) -> None:
    """Runs the action after a while and then after each period, until `stop` is set.

    A failure is logged and does not end the loop.
    """
    pause = first_after
    while not await _is_set_within(stop, pause):
        try:
            await action()
        except Exception as error:  # noqa: BLE001 (the next period tries again, whatever went wrong)
            log.warning("worker.periodic_failed", action=name, error=type(error).__name__)
        pause = period


async def _is_set_within(event: asyncio.Event, duration: timedelta) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(duration.total_seconds()):
            await event.wait()
    return event.is_set()
