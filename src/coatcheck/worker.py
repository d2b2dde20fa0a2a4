"""The worker process: runs due tasks and periodic maintenance."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from coatcheck import ids, metrics
from coatcheck.app import Services, prepare_partitions
from coatcheck.audit.published import Publisher
from coatcheck.audit.sealer import Sealer
from coatcheck.directory.attestations import delete_old_attestations
from coatcheck.errors import Unavailable
from coatcheck.events import delivery
from coatcheck.events.delivery import Deliverer
from coatcheck.grants import partitions as grant_partitions
from coatcheck.grants.authorization_disclosures import delete_old_disclosures
from coatcheck.grants.receipts import delete_old_receipts
from coatcheck.jobs import heartbeats
from coatcheck.jobs.notifications import listen
from coatcheck.jobs.runner import TaskRunner
from coatcheck.jobs.tasks import Claim, ClaimedTask, TaskKind, cancel_tasks
from coatcheck.members import job_rows
from coatcheck.members.job_scheduler import JobScheduler
from coatcheck.members.sync import MemberSync
from coatcheck.micro_deposits.sender import DepositSender
from coatcheck.rate_limits.storage import delete_expired
from coatcheck.vault import vault
from coatcheck.vault.signing_keys import delete_retired_keys

log = structlog.get_logger(__name__)

GRACE = timedelta(seconds=8)
"""How long running tasks may continue after the worker is asked to stop; then they are cancelled."""
SEAL, SWEEP, MEASURE, REFRESH, MAINTENANCE = (
    timedelta(seconds=1),
    timedelta(seconds=5),
    timedelta(seconds=15),
    timedelta(minutes=1),
    timedelta(hours=6),
)
"""The intervals of the periodic actions."""
JOB_RETENTION = timedelta(days=90)
"""How long an ended job can be looked up."""
LINK_MARGIN = timedelta(days=1)
"""Options of a link are stored for this time beyond `link_ttl`, which may have been longer when the link was issued."""


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """The parts that only a worker needs."""

    scheduler: JobScheduler
    sync: MemberSync
    micro_deposits: DepositSender
    deliverer: Deliverer
    sealer: Sealer
    publisher: Publisher

    @property
    def claims(self) -> Mapping[TaskKind, Claim]:
        """How tasks of each kind are claimed."""
        return {
            TaskKind.MEMBER_JOB: self._claim_member_jobs,
            TaskKind.MICRO_DEPOSIT: self._claim_micro_deposits,
            TaskKind.DELIVERY: self._claim_deliveries,
        }

    async def sweep(self) -> None:
        """Ends jobs and deposits whose time is over, and deletes old events."""
        await self.scheduler.sweep()
        await self.micro_deposits.sweep()
        await self.deliverer.sweep()

    async def seal(self) -> None:
        """Seals what was written to the audit log, and publishes the checkpoints."""
        # First: if the published checkpoints are not those of this database, it must not be sealed.
        await self.publisher.publish()
        if await self.sealer.seal():
            await self.publisher.publish()

    async def _claim_member_jobs(self, limit: int) -> list[ClaimedTask]:
        return [partial(self.sync.run, job) for job in await self.scheduler.claim(limit)]

    async def _claim_micro_deposits(self, limit: int) -> list[ClaimedTask]:
        return [partial(self.micro_deposits.send, each) for each in await self.micro_deposits.claim(limit)]

    async def _claim_deliveries(self, limit: int) -> list[ClaimedTask]:
        return [partial(self.deliverer.deliver, each) for each in await self.deliverer.claim(limit)]


def build_worker(services: Services) -> WorkerServices:
    return WorkerServices(
        scheduler=JobScheduler(services.dependencies),
        sync=MemberSync(services.dependencies),
        micro_deposits=DepositSender(services.dependencies),
        deliverer=Deliverer(services.settings, services.clock, services.db, services.vault),
        sealer=Sealer(services.settings, services.clock, services.db, services.signing_keys),
        publisher=Publisher(services.settings, services.db),
    )


async def main(services: Services, stop: asyncio.Event, *, grace: timedelta = GRACE) -> None:
    """Runs tasks until `stop` is set; then claims nothing more, and finishes or releases its tasks within `grace`."""
    worker_services = build_worker(services)
    worker_guid = ids.new("WRK")
    runner = TaskRunner(worker_services.claims, slots=services.settings.worker_concurrency)
    async with asyncio.TaskGroup() as group:
        listener = group.create_task(listen(services.db.url, runner.notify))
        periodic = [
            group.create_task(
                _every(heartbeats.INTERVAL, "heartbeat", partial(_beat, services, worker_guid), stop)
            ),
            group.create_task(_every(SEAL, "seal", worker_services.seal, stop)),
            group.create_task(_every(SWEEP, "sweep", worker_services.sweep, stop)),
            group.create_task(_every(MEASURE, "measure", partial(measure, services), stop)),
            group.create_task(_every(REFRESH, "refresh", worker_services.scheduler.refresh, stop)),
            group.create_task(_every(MAINTENANCE, "maintenance", partial(run_maintenance, services), stop)),
        ]
        await runner.run(stop, grace)
        # What these have not done yet is left to the next worker.
        await cancel_tasks(listener, *periodic)
    with contextlib.suppress(Unavailable):
        async with services.db.connection() as connection:
            await heartbeats.end(connection, worker_guid)
    log.info("worker.stopped")


async def _beat(services: Services, worker_guid: str) -> None:
    async with services.db.connection() as connection:
        await heartbeats.beat(connection, worker_guid)


async def run_pending(services: Services) -> int:
    """Runs every task that is due by the services' clock, one after the other, until none is left; returns how many.

    For tests and demonstrations: it does not wait for tasks that are due later, and raises what a task raises.
    """
    claims = build_worker(services).claims
    count = 0
    while tasks := [task for claim in claims.values() for task in await claim(1)]:
        for task in tasks:
            await task()
            count += 1
    return count


async def run_maintenance(services: Services) -> None:
    """Creates the partitions of the coming days, and deletes expired data."""
    now = services.clock.now()
    async with services.db.connection() as connection:
        await prepare_partitions(connection, now, services.settings)
        await grant_partitions.drop_partitions(connection, now)
        await job_rows.drop_ended(connection, now - JOB_RETENTION)
        created_before = now - services.settings.link_ttl - LINK_MARGIN
        await vault.delete_expired_links(connection, created_before)
        await delete_retired_keys(connection, now)
        await delete_old_receipts(connection, now)
        await delete_old_disclosures(connection, now, services.settings.token_ttl)
        await delete_old_attestations(connection, now)
        await delete_expired(connection, now)


async def measure(services: Services) -> None:
    """Measures how long the oldest due job and the oldest due webhook have waited."""
    now = services.clock.now()
    async with services.db.connection() as connection:
        due = {
            TaskKind.MEMBER_JOB: await job_rows.oldest_due(connection, now),
            TaskKind.DELIVERY: await delivery.oldest_due(connection, now),
        }
    for kind, since in due.items():
        metrics.OLDEST_DUE.labels(kind).set((now - since).total_seconds() if since else 0)


async def _every(
    period: timedelta, name: str, action: Callable[[], Awaitable[object]], stop: asyncio.Event
) -> None:
    """Runs the action now and after each period until `stop` is set. A failure is logged and does not end the loop."""
    while not stop.is_set():
        try:
            await action()
        except Exception as error:  # noqa: BLE001 (the next period tries again, whatever went wrong)
            log.warning("worker.periodic_failed", action=name, error=type(error).__name__)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(period.total_seconds()):
                await stop.wait()
