"""What a worker runs: the tasks of each kind, and the periodic actions.

`worker` runs them in a process of their own. The emulator runs them too, when it moves the clock.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType

from coatcheck.app import Services, prepare_months, prepare_partitions
from coatcheck.audit.published import Publisher
from coatcheck.audit.sealer import Sealer
from coatcheck.db.database import Connection
from coatcheck.directory.attestations import delete_old_attestations
from coatcheck.events import claims as deliveries
from coatcheck.events import partitions as event_partitions
from coatcheck.events.delivery import Deliverer
from coatcheck.grants import partitions as grant_partitions
from coatcheck.grants.authorization_disclosures import delete_old_disclosures
from coatcheck.grants.expiry import ExpiryAnnouncer
from coatcheck.grants.receipts import delete_old_receipts
from coatcheck.jobs.tasks import Claim, ClaimedTask, TaskKind
from coatcheck.members import disconnections, job_leases, job_rows
from coatcheck.members.account_identity import delete_former_accounts
from coatcheck.members.disconnections import Disconnector
from coatcheck.members.job_scheduler import JobScheduler
from coatcheck.members.records import MemberJob
from coatcheck.members.sync import MemberSync
from coatcheck.micro_deposits import deposit_rows
from coatcheck.micro_deposits.sender import DepositSender
from coatcheck.rate_limits.storage import delete_expired
from coatcheck.vault import vault
from coatcheck.vault.signing_keys import destroy_retired_keys

JOB_RETENTION = timedelta(days=90)
"""How long an ended job can be looked up."""
CONCURRENT_TASKS = 8
JOBS_TOGETHER = 64
"""Jobs of members that run together while the clock moves. `institution_concurrency` does not limit them."""
IS_ANY_DUE: Mapping[TaskKind, str] = MappingProxyType(
    {
        TaskKind.MEMBER_JOB: job_leases.IS_ANY_DUE,
        TaskKind.MICRO_DEPOSIT: deposit_rows.IS_ANY_INITIATED,
        TaskKind.DISCONNECTION: disconnections.IS_ANY_DUE,
        TaskKind.DELIVERY: deliveries.IS_ANY_DUE,
    }
)
LINK_MARGIN = timedelta(days=1)
"""Options of a link are stored for this time beyond `link_ttl`, which may have been longer when the link was issued."""


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """The parts that only a worker needs."""

    scheduler: JobScheduler
    sync: MemberSync
    micro_deposits: DepositSender
    disconnector: Disconnector
    deliverer: Deliverer
    expiry: ExpiryAnnouncer
    sealer: Sealer
    publisher: Publisher

    @property
    def claims(self) -> Mapping[TaskKind, Claim]:
        """How tasks of each kind are claimed."""
        return {
            TaskKind.MEMBER_JOB: self._claim_member_jobs,
            TaskKind.MICRO_DEPOSIT: self._claim_micro_deposits,
            TaskKind.DISCONNECTION: self._claim_disconnections,
            TaskKind.DELIVERY: self._claim_deliveries,
        }

    async def run_due(
        self, kinds: Collection[TaskKind], *, delivers_in_order: bool = False
    ) -> Counter[TaskKind]:
        """Claims some due tasks of each of these kinds, runs them, and returns how many of each kind.

        They run one after the other, so that the events that they cause are in order. Jobs of members run together, and
        their results are saved in order. Deliveries cause no event and run at the same time: a receiver may hang.

        Args:
            kinds: what is claimed.
            delivers_in_order: deliveries run one after the other too.
        """
        jobs: Sequence[MemberJob] = ()
        if TaskKind.MEMBER_JOB in kinds:
            jobs = await self.scheduler.claim(JOBS_TOGETHER, max_at_institution=JOBS_TOGETHER)
        claimed = {
            kind: await claim(CONCURRENT_TASKS)
            for kind, claim in self.claims.items()
            if kind in kinds and kind is not TaskKind.MEMBER_JOB
        }
        if jobs:
            await self.sync.run_all(jobs)
        for kind, tasks in claimed.items():
            if kind is not TaskKind.DELIVERY or delivers_in_order:
                for task in tasks:
                    await task()
        if not delivers_in_order:
            await asyncio.gather(*(task() for task in claimed.get(TaskKind.DELIVERY, ())))
        ran: Counter[TaskKind] = Counter({kind: len(tasks) for kind, tasks in claimed.items()})
        ran[TaskKind.MEMBER_JOB] = len(jobs)
        return ran

    async def sweep(self) -> None:
        """Ends jobs and deposits whose time is over."""
        await self.scheduler.sweep()
        await self.micro_deposits.sweep()

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

    async def _claim_disconnections(self, limit: int) -> list[ClaimedTask]:
        return [partial(self.disconnector.run, each) for each in await self.disconnector.claim(limit)]

    async def _claim_deliveries(self, limit: int) -> list[ClaimedTask]:
        return [partial(self.deliverer.deliver, each) for each in await self.deliverer.claim(limit)]


def build_worker(services: Services) -> WorkerServices:
    return WorkerServices(
        scheduler=JobScheduler(services.dependencies),
        sync=MemberSync(services.dependencies),
        micro_deposits=DepositSender(services.dependencies),
        disconnector=Disconnector(services.dependencies),
        deliverer=Deliverer(services.settings, services.clock, services.db, services.vault),
        expiry=ExpiryAnnouncer(services.clock, services.db, services.journal),
        sealer=Sealer(services.settings, services.clock, services.db, services.signing_keys),
        publisher=Publisher(services.settings, services.db),
    )


async def due_kinds(connection: Connection, now: datetime) -> frozenset[TaskKind]:
    """The kinds of which tasks may be due. A claim finds none of the others."""
    cursor = await connection.execute(f"SELECT {', '.join(IS_ANY_DUE.values())}", {"now": now})
    row = await cursor.fetchone()
    assert row is not None, "the statement always returns a row"
    return frozenset(kind for kind, is_due in zip(IS_ANY_DUE, row, strict=True) if is_due)


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


async def run_maintenance(services: Services, *, is_passing: bool = False) -> None:
    """Creates the partitions of the coming days, and deletes expired data.

    `is_passing` is true while the clock moves past this instant: the partitions of the days on which codes, links and
    tokens expire are left out. One that is issued now all the same is in the default partition.
    """
    now = services.clock.now()
    async with services.db.connection() as connection:
        if is_passing:
            await prepare_months(connection, now)
        else:
            await prepare_partitions(connection, now, services.settings)
        await grant_partitions.drop_partitions(connection, now)
        await event_partitions.drop_partitions(connection, now)
        await job_rows.drop_ended(connection, now - JOB_RETENTION)
        created_before = now - services.settings.link_ttl - LINK_MARGIN
        await vault.delete_expired_links(connection, created_before)
        await destroy_retired_keys(connection, now)
        await delete_old_receipts(connection, now)
        await delete_old_disclosures(connection, now, services.settings.token_ttl)
        await delete_old_attestations(connection, now)
        await delete_expired(connection, now)
        await delete_former_accounts(connection, now)
