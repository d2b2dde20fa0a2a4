"""What a worker does with members' jobs.

    work:    claim --> run the connector, outside of any transaction, renewing the lease --> save, if it is still ours
    sweep:   finds jobs whose worker died, that were started too often, or whose questions were not answered
    refresh: starts the daily aggregations

A worker that lost its job (the lease ran out, the credentials changed, the member was deleted) saves nothing.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import stamina
import structlog

from coatcheck.connectors.contract import Finished, JobKind, Session, SessionEnded, Task
from coatcheck.db.database import Connection
from coatcheck.errors import (
    BankDataUnusable,
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
from coatcheck.members.outcome import Completed, JobFinisher, LeaseLost, Result
from coatcheck.members.records import JobRequest, MemberJob
from coatcheck.members.status import BACKGROUND, MemberEvent, status_after_start
from coatcheck.vault.vault import SecretKind, WorkerReader

log = structlog.get_logger(__name__)

OURSELVES = "coatcheck"
"""`requested_by` of the daily aggregation."""
PATIENCE_WITH_WAKE_UPS = timedelta(seconds=10)
"""How long a job stays queued before the sweep takes its wake-up for lost."""
RETRY_DEGRADED = timedelta(hours=1)
"""How soon a background aggregation is tried again when the institution had trouble."""
REFRESH_BATCH = 200
LONGEST_BACKOFF = 2.0
"""Seconds between two attempts to reach the database."""


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancels the tasks until they are done, five times at most, and ignores what they raise.

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
    """What a run gets from the vault."""

    credentials: Mapping[str, str] = field(repr=False)
    answers: Mapping[str, str] | None = field(repr=False)
    resume: bytes | None = field(repr=False)
    state: bytes | None = field(repr=False)


class MemberSync:
    """Runs connectors. Only workers build one."""

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
        """Runs the job if it can be claimed; otherwise does nothing.

        Raises:
            Unavailable: the database stayed away. The lease runs out, and the job is claimed again.
            CancelledError: the worker stops. The job was released.
        """
        key = JobKey(user_guid, job_guid)
        job = await self._claim(key)
        if job is None:
            return
        with structlog.contextvars.bound_contextvars(job_guid=job.guid, attempt=job.attempt):
            try:
                await self._save(job, await self._run_connector(job))
            except LeaseLost:
                log.warning("job.lease_lost", kind=job.kind)
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
                    await self._finisher.finish_job(connection, job, member_event, job_lease)

    async def _hand_back(self, job: MemberJob) -> None:
        async with self._db.transaction() as connection:
            if await job_rows.release(connection, job):
                await self._jobs.wake(connection, TaskKind.MEMBER_JOB, job.key, priority=1)
        log.info("job.handed_back", kind=job.kind)

    # --- running the connector ---------------------------------------------------------------------------

    async def _run_connector(self, job: MemberJob) -> Result:
        """Runs the connector for `job_timeout` at most, and renews the lease meanwhile.

        Raises:
            LeaseLost: another worker has the job now, or it was ended.
        """
        renewal = asyncio.create_task(self._renew(job))
        run = asyncio.create_task(self._run(job))
        try:
            await asyncio.wait(
                {renewal, run},
                timeout=self._settings.job_timeout.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if run.done():
                return run.result()
            if renewal.done():
                raise LeaseLost
            return BankTimedOut()
        finally:
            await end_tasks(renewal, run)

    async def _renew(self, job: MemberJob) -> None:
        """Renews the lease until the job is no longer this worker's."""
        lease = self._settings.job_lease
        while True:
            await asyncio.sleep(lease.total_seconds() / 3)
            # A database that is away for a moment ends nothing: whether the job is still ours is decided at the end.
            with contextlib.suppress(Unavailable):
                async with self._db.connection() as connection:
                    if not await job_rows.renew(connection, job, self._clock.now() + lease):
                        return

    async def _run(self, job: MemberJob) -> Result:
        """The result of the connector, or why it could not run.

        Raises:
            LeaseLost: the connector wanted to save a state of a job that is no longer this worker's.
            Unavailable: the database stayed away for longer than the lease.
        """
        try:
            return await self._ask_institution(job)
        except BankError as error:
            return error
        except TimeoutError:
            return BankTimedOut()
        except NotFound:
            return ConnectionDiscontinued()
        except UserDisabled:
            return MemberEvent.USER_DISABLED
        except SessionEnded:
            raise LeaseLost from None
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 (a connector's bug must end its job, not the worker)
            # Only the type: the message and the traceback may hold what the institution sent.
            log.error("connector.failed", error=type(error).__name__)  # noqa: TRY400
            return BankFailed()

    async def _ask_institution(self, job: MemberJob) -> Result:
        connector = self._registry.connector_for(job.institution_code)
        async for attempt in self._retrying():
            with attempt:
                inputs = await self._job_inputs(job)
        session = Session(
            self._task(job),
            inputs.credentials,
            answers=inputs.answers,
            resume=inputs.resume,
            state=inputs.state,
            store_state=partial(self._store_state, job),
        )
        result = await connector.run(session)
        for (record, field_name), count in session.data.skipped.items():
            log.warning("rows.skipped", record=record, field=field_name, count=count)
        return Completed(result, session.data) if isinstance(result, Finished) else result

    def _task(self, job: MemberJob) -> Task:
        return Task(
            kind=JobKind(job.kind),
            institution_code=job.institution_code,
            member_guid=job.member_guid,
            now=self._clock.now(),
            include_transactions=job.include_transactions,
            attempt=job.attempt,
            is_background=job.is_background,
        )

    async def _store_state(self, job: MemberJob, state: bytes) -> None:
        """Saves a connector's state in a transaction of its own, which renews the lease.

        Raises:
            SessionEnded: the job is no longer this worker's; nothing was saved.
            Unavailable: the database stayed away for longer than the lease.
        """
        async for attempt in self._retrying():
            with attempt:
                async with self._db.transaction() as connection:
                    await self._hold(connection, job)
                    await self._vault.store_secret(
                        connection,
                        owner_guid=job.user_guid,
                        record_guid=job.member_guid,
                        kind=SecretKind.STATE,
                        value=state,
                    )

    async def _hold(self, connection: Connection, job: MemberJob) -> None:
        """Locks the member and the job of this worker until the transaction ends."""
        try:
            await member_rows.lock_member(connection, job.user_guid, job.member_guid)
        except NotFound:
            raise SessionEnded from None
        if not await job_rows.renew(connection, job, self._clock.now() + self._settings.job_lease):
            raise SessionEnded

    async def _job_inputs(self, job: MemberJob) -> JobInputs:
        """Opens what the run needs, and records the disclosure.

        Raises:
            UserDisabled: the user's data must not be read.
            CredentialsMissing: the member has no credentials.
        """
        async with self._db.connection() as connection:
            if await member_rows.is_disabled(connection, job.user_guid):
                raise UserDisabled
            credentials = await self._open(connection, job, job.member_guid, SecretKind.CREDENTIALS)
            answers = await self._open(connection, job, job.guid, SecretKind.ANSWERS)
            resume = await self._open(connection, job, job.guid, SecretKind.STATE)
            state = await self._open(connection, job, job.member_guid, SecretKind.STATE)
        if credentials is None:
            raise CredentialsMissing
        return JobInputs(json.loads(credentials), json.loads(answers) if answers else None, resume, state)

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
        """Saves the result; if it cannot be saved, ends the job as failed.

        Raises:
            LeaseLost: the job is no longer this worker's.
            Unavailable: the database stayed away for longer than the lease.
        """
        try:
            await self._finish_job(job, result)
        except (LeaseLost, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 (a result that cannot be saved ends its job, which is not repeated)
            # Only the type: the message and the traceback may hold what the institution sent.
            log.error("result.unusable", kind=job.kind, error=type(error).__name__)  # noqa: TRY400
            await self._finish_job(job, BankDataUnusable())

    async def _finish_job(self, job: MemberJob, result: Result) -> None:
        """Ends the job in one transaction, if it is still this worker's.

        The transaction is repeated while the database is away: if the first one was committed after all, the
        second finds the job ended.

        Raises:
            LeaseLost: the job is no longer this worker's.
            Unavailable: the database stayed away for longer than the lease.
        """
        async for attempt in self._retrying():
            with attempt:
                async with self._db.transaction() as connection:
                    await self._finisher.finish_job(connection, job, result, job_rows.ours(job))

    def _retrying(self) -> AsyncIterator[stamina.Attempt]:
        """Attempts, for as long as a lease lasts, while the database is away."""
        return stamina.retry_context(
            on=Unavailable, attempts=None, timeout=self._settings.job_lease, wait_max=LONGEST_BACKOFF
        )
