"""Moves a sandbox's clock, and runs what falls due on the way: once each, in the order of the due times.

    find the earliest due time up to the target --> set the clock to it --> run what is due --> again
    no due time is left --> set the clock to the target --> run what is due

Meanwhile the worker of this process claims no task (`jobs.gate`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.errors import Unprocessable
from coatcheck.events import claims, history
from coatcheck.grants.expiry import NEXT_EXPIRY, NOTICE
from coatcheck.grants.tokens import count_expired
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members import job_rows, member_rows
from coatcheck.members.disconnections import NEXT_DISCONNECTION
from coatcheck.members.job_scheduler import REFRESH_BATCH, RETRY_DEGRADED
from coatcheck.members.status import BACKGROUND
from coatcheck.micro_deposits import deposit_rows
from coatcheck.sandbox_clock import store_offset
from coatcheck.worker_services import WorkerServices, build_worker, due_kinds, run_maintenance

LONGEST_MOVE = timedelta(days=3650)
AFTER = timedelta(seconds=1)
"""A time counts as passed in the second after it: what expires at 12:00:00 is expired at 12:00:01."""
MAINTENANCE = timedelta(days=28)
"""How often the audit log is sealed and partitions are prepared on the way. Those of events are for two months more."""
EXPIRY, UNANSWERED, ARRIVAL, REFRESH = "expiry", "unanswered", "arrival", "refresh"
MOMENTS: Mapping[str, str] = MappingProxyType(
    {
        EXPIRY: NEXT_EXPIRY,
        UNANSWERED: job_rows.NEXT_UNANSWERED,
        ARRIVAL: deposit_rows.NEXT_ARRIVAL,
        REFRESH: member_rows.NEXT_REFRESH,
        "delivery": claims.NEXT_DUE,
        "disconnection": NEXT_DISCONNECTION,
    }
)
"""What falls due, and the statement that says when the next one does."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What ran while the clock moved."""

    jobs: int
    events: int
    expired_tokens: int


async def move_to(services: Services, target: datetime) -> Ran:
    """Moves the clock forward to an instant. It keeps running from there.

    Raises:
        Unprocessable: the instant has passed, or is more than ten years ahead.
    """
    async with services.task_gate.closed():
        # Inside the gate: while it waited for another move, the clock went on.
        return await _advance(services, target - services.clock.instant())


async def advance(services: Services, duration: timedelta) -> Ran:
    """Moves the clock forward by exactly this duration, however long the work on the way takes.

    Raises:
        Unprocessable: the duration is negative, or longer than ten years.
    """
    async with services.task_gate.closed():
        return await _advance(services, duration)


async def _advance(services: Services, duration: timedelta) -> Ran:
    clock = services.clock
    assert isinstance(clock, MovableClock), "only a sandbox moves its clock"
    start = clock.instant()
    if duration < timedelta():
        raise Unprocessable("The clock only moves forward.")
    if duration > LONGEST_MOVE:
        raise Unprocessable("The clock moves at most ten years at once.")
    position = await _position(services)
    move = _Move(services, clock, build_worker(services), maintained_at=clock.now(), swept_at=clock.now())
    await move.run(clock.offset + duration)
    return Ran(
        jobs=move.jobs,
        events=await _position(services) - position,
        expired_tokens=await _count_expired(services, start),
    )


@dataclass(slots=True)
class _Move:
    services: Services
    clock: MovableClock
    worker: WorkerServices
    maintained_at: datetime
    swept_at: datetime
    jobs: int = 0

    async def run(self, target: timedelta) -> None:
        """Moves the clock until it is this far ahead of the system's."""
        try:
            await self._pass_moments(target)
            await self._set(target)
        finally:
            # Also if something failed on the way: what requests issue now needs its partitions.
            await run_maintenance(self.services)
        await self._sweep()
        await self._run_tasks()
        await self.worker.seal()

    async def _pass_moments(self, target: timedelta) -> None:
        """Runs what falls due before the target."""
        tried: set[datetime] = set()
        await self._sweep()
        await self._run_tasks()
        while moments := await self._next_moments():
            due = min(moments.values()) + AFTER
            if self._offset_at(due) >= target:
                break
            # What is due and cannot run, such as a job whose bank's slots are taken, must not stop the clock.
            if due in tried:
                due = max(due, self.clock.now()) + timedelta(minutes=1)
            tried.add(due)
            await self._set(min(self._offset_at(due), target))
            now = self.clock.now()
            kinds = {name for name, at in moments.items() if at < now}
            if now.date() > self.swept_at.date():
                # Once a day: jobs and deposits that end because nobody finished them have no moment.
                kinds |= {UNANSWERED, ARRIVAL}
                self.swept_at = now
            await self._sweep(kinds)
            await self._run_tasks()

    def _offset_at(self, at: datetime) -> timedelta:
        """How far ahead of the system's the clock is when it shows this instant now."""
        return self.clock.offset + (at - self.clock.instant())

    async def _set(self, offset: timedelta) -> None:
        if offset > self.clock.offset:
            self.clock.move_to(offset)
            async with self.services.db.connection() as connection:
                await store_offset(connection, offset)
        now = self.clock.now()
        if now - self.maintained_at >= MAINTENANCE:
            self.maintained_at = now
            await run_maintenance(self.services, is_passing=True)
            await self.worker.seal()

    async def _next_moments(self) -> Mapping[str, datetime]:
        """When the next thing of each kind falls due, or fell. Kinds of which nothing waits are left out."""
        async with self.services.db.connection() as connection:
            cursor = await connection.execute(
                f"SELECT {', '.join(f'({statement})' for statement in MOMENTS.values())}",
                {
                    "notice": NOTICE,
                    "statuses": [status.value for status in BACKGROUND],
                    "interval": self.services.settings.background_interval,
                    "retry": RETRY_DEGRADED,
                },
            )
            row = await cursor.fetchone()
        assert row is not None, "the statement always returns a row"
        return {name: at for name, at in zip(MOMENTS, row, strict=True) if at is not None}

    async def _sweep(self, due: Collection[str] = MOMENTS) -> None:
        """Ends and starts what only time makes due, of these kinds."""
        if EXPIRY in due:
            await self.worker.expiry.sweep()
        if UNANSWERED in due:
            await self.worker.scheduler.sweep()
        if ARRIVAL in due:
            await self.worker.micro_deposits.sweep()
        while REFRESH in due and await self.worker.scheduler.refresh() >= REFRESH_BATCH:
            pass

    async def _run_tasks(self) -> None:
        """Runs every task that is due at the clock's time, and what that makes due at once."""
        # With a seed, webhooks have the same order in every run.
        in_order = self.services.seeding.has_seed
        while kinds := await self._due_kinds():
            ran = await self.worker.run_due(kinds, delivers_in_order=in_order)
            if not ran.total():
                break
            self.jobs += ran[TaskKind.MEMBER_JOB]

    async def _due_kinds(self) -> frozenset[TaskKind]:
        async with self.services.db.connection() as connection:
            return await due_kinds(connection, self.clock.instant())


async def _position(services: Services) -> int:
    """How many events were announced ever."""
    async with services.db.connection() as connection:
        return await history.last_position(connection)


async def _count_expired(services: Services, since: datetime) -> int:
    async with services.db.connection() as connection:
        return await count_expired(connection, since, services.clock.instant())
