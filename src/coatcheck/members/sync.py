"""Sittings: what a worker does with a member's job, and what it looks after when nobody wakes it.

    work:  claim --> sit at the bank, outside any transaction, renewing the lease --> save, behind the fence
    sweep: claims from the dead, gives up what was claimed too often, expires what nobody answered
    refresh: the daily aggregation

Whoever lost the job meanwhile (its lease ran out, its credentials changed, its member is gone) saves nothing.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import stamina
import structlog

from coatcheck.connectors.contract import JobKind, Task
from coatcheck.db.database import Connection
from coatcheck.errors import (
    BankError,
    BankFailed,
    BankTimedOut,
    ConnectionDiscontinued,
    CredentialsMissing,
    NotFound,
    Unavailable,
    UserDisabled,
)
from coatcheck.jobs.queue import TaskKind
from coatcheck.members import job_rows, member_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.job_queue import Queue
from coatcheck.members.job_rows import JobKey, JobLease
from coatcheck.members.member_rows import MemberKey
from coatcheck.members.outcome import JobFinisher, LeaseLost, Result
from coatcheck.members.records import JobRequest, MemberJob
from coatcheck.members.status import BACKGROUND, MemberEvent, status_after_start
from coatcheck.vault.vault import SecretKind, WorkerReader

log = structlog.get_logger(__name__)

OURSELVES = "coatcheck"
"""Who asks for the daily aggregation."""
PATIENCE_WITH_WAKE_UPS = timedelta(seconds=10)
"""How long a job stays queued before the sweep takes its wake-up for lost."""
RETRY_DEGRADED = timedelta(hours=1)
"""How soon a background aggregation is tried again when the institution had trouble."""
REFRESH_BATCH = 200
LONGEST_BACKOFF = 2.0
"""Seconds between two attempts to reach the database."""


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancels the tasks until they are done, five times at most; what they raise is of no interest any more.

    Once is not always enough: on Python 3.11 `asyncio.wait_for`, which psycopg waits with, swallows a cancellation
    that comes at the moment its own wait is over (python/cpython#81839).
    """
    pending = set(tasks)
    for _ in range(5):
        if not pending:
            break
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)
    if pending:
        log.error("task.ignores_cancellation", count=len(pending))
    await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)


@dataclass(frozen=True, slots=True)
class JobInputs:
    """What is taken along to the bank."""

    credentials: Mapping[str, str] = field(repr=False)
    answers: Mapping[str, str] | None = field(repr=False)
    state: bytes | None = field(repr=False)


class MemberSync:
    """Built by the worker alone."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._jobs = dependencies.jobs
        self._queue = Queue(dependencies)
        self._finisher = JobFinisher(dependencies)

    async def work(self, user_guid: str, job_guid: str) -> None:
        """One sitting, if the job is there to be claimed; else nothing.

        Raises:
            Unavailable: the database went away. The lease runs out and the sweep wakes another.
            CancelledError: the worker stops. The job was handed back.
        """
        key = JobKey(user_guid, job_guid)
        job = await self._claim(key)
        if job is None:
            return
        with structlog.contextvars.bound_contextvars(job_guid=job.guid, attempt=job.attempt):
            try:
                await self._save(job, await self._run_connector(job))
            except LeaseLost:
                log.warning("job.fenced", kind=job.kind)
            except asyncio.CancelledError:
                await self._hand_back(job)
                raise

    async def sweep(self) -> None:
        """Wakes whoever waits for a worker without a wake-up, and ends what waited too long."""
        now = self._clock.now()
        async with self._db.connection() as connection:
            late = await job_rows.unanswered(connection, now)
            waiting = [
                *await job_rows.lapsed(connection, now),
                *await job_rows.forgotten(
                    connection, now - PATIENCE_WITH_WAKE_UPS, self._settings.institution_concurrency
                ),
            ]
            for job in waiting:
                await self._jobs.wake(connection, TaskKind.MEMBER_JOB, job.key, once=True)
        for job in late:
            await self._end(job, MemberEvent.NOT_ANSWERED, job_rows.waits_too_long(now))

    async def refresh(self) -> int:
        """Starts the daily aggregation of members that are due, 200 at most; how many were found due."""
        now = self._clock.now()
        async with self._db.connection() as connection:
            due = await member_rows.stale_members(
                connection,
                statuses=[status.value for status in BACKGROUND],
                before=now - self._settings.background_interval,
                retry_before=now - RETRY_DEGRADED,
                limit=REFRESH_BATCH,
            )
        for key in due:
            async with self._db.transaction() as connection:
                await self._start_daily(connection, key)
        return len(due)

    async def _start_daily(self, connection: Connection, key: MemberKey) -> None:
        """Starts it, unless the member is gone, or in other hands, since it was found due.

        Not by way of `Linker.start`: what that refuses (a bank that is gone, say) a sitting settles for good.
        """
        with contextlib.suppress(NotFound):
            locked = await member_rows.lock_member(connection, key.user_guid, key.guid)
            status = status_after_start(locked.status)
            if locked.status not in BACKGROUND or status is None or locked.user_is_disabled:
                return
            if await job_rows.live_job(connection, locked.user_guid, locked.guid) is None:
                request = JobRequest(kinds=(JobKind.AGGREGATION,), requested_by=OURSELVES, is_background=True)
                await self._queue.put(connection, locked, request, status)

    # --- claiming, and what may come of it ---------------------------------------------------------------

    async def _claim(self, key: JobKey) -> MemberJob | None:
        """The job, ours for a lease; None where it is another's, its institution is full, or it is given up."""
        async with self._db.transaction() as connection:
            job = await job_rows.claim(
                connection,
                key,
                now=self._clock.now(),
                lease=self._settings.job_lease,
                max_claims=self._settings.job_attempts,
                max_at_institution=self._settings.institution_concurrency,
            )
        if job is None:
            exhausted = job_rows.free_but_exhausted(self._clock.now(), self._settings.job_attempts)
            await self._end(key, MemberEvent.EXHAUSTED, exhausted)
        return job

    async def _end(self, key: JobKey, member_event: MemberEvent, job_lease: JobLease) -> None:
        """Ends a job without a sitting, if it is as the fence says."""
        with contextlib.suppress(LeaseLost):
            async with self._db.transaction() as connection:
                if job := await job_rows.find(connection, key, job_lease):
                    await self._finisher.close(connection, job, member_event, job_lease)

    async def _hand_back(self, job: MemberJob) -> None:
        async with self._db.transaction() as connection:
            if await job_rows.release(connection, job):
                await self._jobs.wake(connection, TaskKind.MEMBER_JOB, job.key, priority=1)
        log.info("job.handed_back", kind=job.kind)

    # --- at the bank -------------------------------------------------------------------------------------

    async def _run_connector(self, job: MemberJob) -> Result:
        """What the bank said; or why it was not asked.

        Raises:
            Lost: the job went to another meanwhile.
        """
        renewal = asyncio.create_task(self._renew(job))
        sitting = asyncio.create_task(self._ask_bank(job))
        try:
            await asyncio.wait(
                {renewal, sitting},
                timeout=self._settings.job_timeout.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if sitting.done():
                return sitting.result()
            if renewal.done():
                raise LeaseLost
            return BankTimedOut()
        finally:
            await end_tasks(renewal, sitting)

    async def _renew(self, job: MemberJob) -> None:
        """Keeps the lease while we sit; returns when the job is no longer ours."""
        lease = self._settings.job_lease
        while True:
            await asyncio.sleep(lease.total_seconds() / 3)
            # A database that is away for a moment takes nothing from us: the fence decides in the end.
            with contextlib.suppress(Unavailable):
                async with self._db.connection() as connection:
                    if not await job_rows.renew(connection, job, self._clock.now() + lease):
                        return

    async def _ask_bank(self, job: MemberJob) -> Result:
        try:
            connector = self._registry.connector_for(job.institution_code)
            async for attempt in self._patiently():
                with attempt:
                    inputs = await self._pack(job)
            task = Task(
                kind=JobKind(job.kind),
                institution_code=job.institution_code,
                member_guid=job.member_guid,
                now=self._clock.now(),
                include_transactions=job.include_transactions,
                attempt=job.attempt,
            )
            return await connector.run(task, inputs.credentials, inputs.answers, inputs.state)
        except BankError as error:
            return error
        except TimeoutError:
            return BankTimedOut()
        except NotFound:
            return ConnectionDiscontinued()
        except UserDisabled:
            return MemberEvent.USER_DISABLED
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 (a connector's own mistake must end its job, not the worker)
            # Its name alone: what it says may hold what the bank said.
            log.error("connector.failed", error=type(error).__name__)  # noqa: TRY400 (nor its traceback)
            return BankFailed()

    async def _pack(self, job: MemberJob) -> JobInputs:
        """Opens what the bank wants to see.

        Raises:
            UserDisabled: the user's data is not to be touched.
            CredentialsMissing: there are none.
        """
        async with self._db.connection() as connection:
            if await member_rows.is_disabled(connection, job.user_guid):
                raise UserDisabled
            credentials = await self._open(connection, job, job.member_guid, SecretKind.CREDENTIALS)
            answers = await self._open(connection, job, job.guid, SecretKind.ANSWERS)
            state = await self._open(connection, job, job.guid, SecretKind.STATE)
            if state is None:
                state = await self._open(connection, job, job.member_guid, SecretKind.STATE)
        if credentials is None:
            raise CredentialsMissing
        return JobInputs(json.loads(credentials), json.loads(answers) if answers else None, state)

    async def _open(
        self, connection: Connection, job: MemberJob, record_guid: str, kind: SecretKind
    ) -> bytes | None:
        return await self._vault.disclose_secret(
            connection,
            owner_guid=job.user_guid,
            record_guid=record_guid,
            kind=kind,
            reader=WorkerReader(job.guid, job.client_guid),
        )

    async def _save(self, job: MemberJob, result: Result) -> None:
        """Keeps the result; or, where it cannot be kept, that the bank failed.

        Raises:
            Lost: the fence was down.
            Unavailable: the database stayed away for longer than the lease.
        """
        try:
            await self._close(job, result)
        except (LeaseLost, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 (whatever a bank gave, its job ends, and is not begun again)
            # Its name alone: what it says may hold what the bank said.
            log.error("result.unusable", kind=job.kind, error=type(error).__name__)  # noqa: TRY400 (nor its traceback)
            await self._close(job, BankFailed("What the institution gave cannot be kept."))

    async def _close(self, job: MemberJob, result: Result) -> None:
        """Closes the sitting, in one transaction behind the fence.

        A database that goes away in the middle is tried again: if the first try did commit, the fence stops
        the second.

        Raises:
            Lost: the fence was down.
            Unavailable: the database stayed away for longer than the lease.
        """
        async for attempt in self._patiently():
            with attempt:
                async with self._db.transaction() as connection:
                    await self._finisher.close(connection, job, result, job_rows.ours(job))

    def _patiently(self) -> AsyncIterator[stamina.Attempt]:
        """Attempts, for as long as a lease lasts, while the database is away."""
        return stamina.retry_context(
            on=Unavailable, attempts=None, timeout=self._settings.job_lease, wait_max=LONGEST_BACKOFF
        )
