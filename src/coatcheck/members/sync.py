"""Runs claimed jobs of members at their institutions and saves the results.

    run the connector, outside any transaction, renewing the lease --> save, if the lease is still held

A worker that lost the lease meanwhile (it ended, the credentials changed, the member was deleted) saves nothing.
Several jobs are read and saved by the statements of one (`db.lockstep`).
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TypeAlias, TypeVar

import stamina
import structlog

from coatcheck import metrics
from coatcheck.connectors.contract import Finished, JobKind, Session, SessionEnded, Task
from coatcheck.db.database import Connection
from coatcheck.db.lockstep import Piece, run_in_lockstep
from coatcheck.errors import (
    BankDataUnusable,
    BankError,
    BankFailed,
    BankTimedOut,
    CoatcheckError,
    ConnectionDiscontinued,
    CredentialsMissing,
    NotFound,
    Unavailable,
    UserDisabled,
)
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind, cancel_tasks, uninterrupted
from coatcheck.members import job_leases, member_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.outcome import Completed, JobFinisher, JobInputs, LeaseLost, Result
from coatcheck.members.records import MemberJob
from coatcheck.members.run_conditions import check_run
from coatcheck.members.status import MemberEvent
from coatcheck.vault.vault import SecretKind, WorkerReader

log = structlog.get_logger(__name__)

T = TypeVar("T")

_Inputs: TypeAlias = JobInputs | Exception | None
"""What a run needs, or why it cannot run; None if the run has to read it."""
LONGEST_BACKOFF = 2.0
"""The longest wait between two attempts to reach the database, in seconds."""


@dataclass(frozen=True, slots=True)
class _Run:
    job: MemberJob
    context: Context = field(repr=False)


class MemberSync:
    """Runs connectors. Only workers create one."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._vault = dependencies.vault
        self._registry = dependencies.registry
        self._seeding = dependencies.seeding
        self._finisher = JobFinisher(dependencies)

    async def run(self, job: MemberJob) -> None:
        """Runs a claimed job once.

        A worker that loses the lease, or cannot reach the database until the lease ends, saves nothing. Another
        worker claims the job.

        Raises:
            CancelledError: the worker stops. The job was released.
        """
        await self.run_all([job])

    async def run_all(self, jobs: Sequence[MemberJob]) -> None:
        """Runs claimed jobs at the same time, and saves their results in one transaction, in the order of the jobs.

        If the results cannot be saved together, each is saved alone. Otherwise as `run`.
        """
        runs = [_Run(job, self._context_of(job)) for job in jobs]
        renewals = [asyncio.create_task(self._renew_all(jobs))] if len(jobs) > 1 else []
        try:
            inputs = await self._inputs_together(runs) if len(runs) > 1 else [None]
            tasks = [
                asyncio.create_task(self._result_of(run.job, given), context=run.context)
                for run, given in zip(runs, inputs, strict=True)
            ]
            # With the exceptions: only so does a cancellation wait until the last connector has cleaned up.
            results = await asyncio.gather(*tasks, return_exceptions=True)
            finished = list[tuple[_Run, Result]]()
            for run, result in zip(runs, results, strict=True):
                if isinstance(result, BaseException) and not isinstance(result, BankError):
                    raise result
                if result is not None:
                    finished.append((run, result))
            await self._save_all(finished)
        except asyncio.CancelledError:
            released = [asyncio.create_task(self._release(run.job), context=run.context) for run in runs]
            await uninterrupted(asyncio.gather(*released, return_exceptions=True))
            raise
        finally:
            await cancel_tasks(*renewals)

    async def _renew_all(self, jobs: Sequence[MemberJob]) -> None:
        """Renews the leases of jobs until all of them are saved: those that have run wait for the others."""
        lease = self._settings.job_lease
        while True:
            await asyncio.sleep(lease.total_seconds() / 3)
            with contextlib.suppress(Unavailable):
                async with self._db.connection() as connection:
                    for job in jobs:
                        await job_leases.renew(connection, job, self._clock.now() + lease)

    def _context_of(self, job: MemberJob) -> Context:
        """The context of everything that an attempt at a job does."""
        with (
            structlog.contextvars.bound_contextvars(job_guid=job.guid, attempt=job.attempt),
            self._seeding.once(job.guid, f"attempt {job.attempt}"),
        ):
            return copy_context()

    async def _result_of(self, job: MemberJob, inputs: "_Inputs") -> Result | None:
        """The result of the run; None if the lease was lost."""
        try:
            started = perf_counter()
            result = await self._run_connector(job, inputs)
        except (LeaseLost, Unavailable):
            _log_lost_lease(job)
            return None
        metrics.JOB_SECONDS.labels(job.kind).observe(perf_counter() - started)
        metrics.JOBS.labels(job.kind, _name_of(result)).inc()
        return result

    async def _release(self, job: MemberJob) -> None:
        async with self._db.transaction() as connection:
            if await job_leases.release(connection, job):
                await notify_workers(connection, TaskKind.MEMBER_JOB)
                log.info("job.released", kind=job.kind)

    # --- running the connector ---------------------------------------------------------------------------

    async def _run_connector(self, job: MemberJob, inputs: "_Inputs") -> Result:
        """Runs the connector for `job_timeout` at most, and renews the lease meanwhile.

        Raises:
            LeaseLost: another worker has the job now, or it was ended.
        """
        renewal = asyncio.create_task(self._renew(job))
        run = asyncio.create_task(self._run(job, inputs))
        try:
            await asyncio.wait(
                {renewal, run},
                timeout=self._settings.job_timeout.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if run.cancelled():
                # Nobody has cancelled it yet: the connector lets a cancellation of its own escape.
                log.error("connector.failed", error="CancelledError")
                return BankFailed()
            # Also if the lease was lost at the same moment: saving the result checks it again.
            if run.done():
                return run.result()
            if renewal.done():
                raise LeaseLost
            return BankTimedOut()
        finally:
            # The connector may be saving a secret that the institution has replaced (`Session.rotate`).
            await uninterrupted(cancel_tasks(renewal, run))

    async def _renew(self, job: MemberJob) -> None:
        """Renews the lease until the job is no longer this worker's."""
        lease = self._settings.job_lease
        while True:
            # A third: one renewal may fail, and the next one still comes before the lease ends.
            await asyncio.sleep(lease.total_seconds() / 3)
            # A short outage of the database does not end the run: the lease is checked again when it is saved.
            with contextlib.suppress(Unavailable):
                async with self._db.connection() as connection:
                    if not await job_leases.renew(connection, job, self._clock.now() + lease):
                        return

    async def _run(self, job: MemberJob, inputs: "_Inputs") -> Result:
        """The result of the connector, or why it could not run.

        Raises:
            LeaseLost: the connector tried to save a state of a job that is no longer this worker's.
            Unavailable: the database was unavailable for longer than the lease.
        """
        try:
            return await self._call_connector(job, inputs)
        except BankError as error:
            return error
        except TimeoutError:
            return BankTimedOut()
        except UserDisabled:
            return MemberEvent.USER_DISABLED
        except SessionEnded:
            raise LeaseLost from None
        except Unavailable:
            # Our database, not the institution.
            raise
        except Exception as error:  # noqa: BLE001 (a connector's bug must end its job, not the worker)
            # Only the type: the message and the traceback may hold what the institution sent.
            log.error("connector.failed", error=type(error).__name__)  # noqa: TRY400
            return BankFailed()

    async def _call_connector(self, job: MemberJob, given: "_Inputs") -> Result:
        try:
            connector = self._registry.connector_for(job.institution_code)
        except NotFound:
            return ConnectionDiscontinued()
        if isinstance(given, Exception):
            raise given
        inputs = given if given is not None else await self._retried(partial(self._inputs_alone, job))
        session = Session(
            self._task(job, inputs),
            inputs.credentials,
            answers=inputs.answers,
            resume=inputs.resume,
            state=inputs.state,
            store_state=partial(self._store_state, job),
            check_lease=partial(self._check_lease, job),
        )
        result = await connector.run(session)
        for (record, field_name), count in session.data.skipped.items():
            log.warning("rows.skipped", record=record, field=field_name, count=count)
        return Completed(result, session.data, inputs) if isinstance(result, Finished) else result

    def _task(self, job: MemberJob, inputs: JobInputs) -> Task:
        return Task(
            kind=JobKind(job.kind),
            institution_code=job.institution_code,
            member_guid=job.member_guid,
            now=self._clock.now(),
            include_transactions=job.include_transactions,
            attempt=job.attempt,
            is_background=job.is_background,
            user_guid=job.user_guid,
            known_since=inputs.known_since,
        )

    async def _store_state(self, job: MemberJob, state: bytes) -> None:
        """Saves a connector's state in a transaction of its own, which renews the lease.

        Raises:
            SessionEnded: the job is no longer this worker's; nothing was saved.
            Unavailable: the database was unavailable for longer than the lease.
        """

        async def store() -> None:
            async with self._db.transaction() as connection:
                await self._lock_and_renew(connection, job)
                await self._vault.store_secret(
                    connection,
                    owner_guid=job.user_guid,
                    record_guid=job.member_guid,
                    kind=SecretKind.STATE,
                    value=state,
                )

        await self._retried(store)

    async def _check_lease(self, job: MemberJob) -> None:
        """Renews the lease.

        Raises:
            SessionEnded: the job is no longer this worker's.
            Unavailable: the database stayed away for longer than the lease.
        """

        async def check() -> None:
            async with self._db.connection() as connection:
                until = self._clock.now() + self._settings.job_lease
                if not await job_leases.renew(connection, job, until):
                    raise SessionEnded

        await self._retried(check)

    async def _lock_and_renew(self, connection: Connection, job: MemberJob) -> None:
        """Locks the member and the job of this worker until the transaction ends, and renews the lease."""
        try:
            await member_rows.lock_member(connection, job.user_guid, job.member_guid)
        except NotFound:
            raise SessionEnded from None
        if not await job_leases.renew(connection, job, self._clock.now() + self._settings.job_lease):
            raise SessionEnded

    async def _inputs_together(self, runs: Sequence["_Run"]) -> Sequence["_Inputs"]:
        """What each run needs, or why it cannot run. None if they cannot be read together."""
        try:
            async with self._db.connection() as connection:
                inputs = await run_in_lockstep(
                    connection,
                    [Piece(partial(self._job_inputs, connection, run.job), run.context) for run in runs],
                    # Nothing is rolled back: each statement is a transaction of its own.
                    harmless=CoatcheckError,
                )
            return [None if isinstance(each, Unavailable) else each for each in inputs]
        except Exception as error:  # noqa: BLE001 (each run tries again, and reports its own error)
            log.warning("inputs.not_read_together", error=type(error).__name__)
            return [None] * len(runs)

    async def _inputs_alone(self, job: MemberJob) -> JobInputs:
        async with self._db.connection() as connection:
            return await self._job_inputs(connection, job)

    async def _job_inputs(self, connection: Connection, job: MemberJob) -> JobInputs:
        """Decrypts the secrets that the run needs. Writes a disclosure for each.

        Raises:
            UserDisabled: the user's data must not be read.
            BankUnavailable: since the job was requested, the operator has forbidden it at the institution.
            CredentialsMissing: the member has no credentials.
            NotFound: no connector reads the institution any more.
        """
        connector = self._registry.connector_for(job.institution_code)
        # Checked before any secret is decrypted.
        known = await check_run(connection, job, connector)
        secrets = await self._vault.disclose_secrets(
            connection,
            owner_guid=job.user_guid,
            secrets=[
                credentials := (job.member_guid, SecretKind.CREDENTIALS),
                answers := (job.guid, SecretKind.ANSWERS),
                resume := (job.guid, SecretKind.STATE),
                state := (job.member_guid, SecretKind.STATE),
            ],
            reader=WorkerReader(job.guid, job.client_guid),
        )
        if credentials not in secrets:
            raise CredentialsMissing
        return JobInputs(
            json.loads(secrets[credentials]),
            json.loads(secrets[answers]) if answers in secrets else None,
            secrets.get(resume),
            secrets.get(state),
            known,
        )

    async def _save_all(self, results: Sequence[tuple["_Run", Result]]) -> None:
        """Saves the results in one transaction, or each alone if one of them cannot be saved."""
        if len(results) > 1:
            try:
                saved = await self._save_together(results)
            except Exception as error:  # noqa: BLE001 (each is saved again, and reports its own error)
                # Its type alone, as below. What was committed although it failed is found when the lease is checked.
                log.warning("results.not_saved_together", error=type(error).__name__)
            else:
                for (run, _), lost in zip(results, saved, strict=True):
                    if lost is not None:
                        run.context.run(_log_lost_lease, run.job)
                return
        errors = list[Exception]()
        for run, result in results:
            try:
                await asyncio.create_task(self._save(run.job, result), context=run.context)
            except Exception as error:  # noqa: BLE001 (the others are saved first)
                errors.append(error)
        if errors:
            raise errors[0]

    async def _save_together(self, results: Sequence[tuple["_Run", Result]]) -> Sequence[Exception | None]:
        async with self._db.transaction() as connection:
            finish = partial(self._finisher.finish_job, connection)
            return await run_in_lockstep(
                connection,
                [
                    Piece(partial(finish, run.job, result, job_leases.held_by(run.job)), run.context)
                    for run, result in results
                ],
                harmless=LeaseLost,
            )

    async def _save(self, job: MemberJob, result: Result) -> None:
        """Saves the result, if the lease is still held; if it cannot be saved, ends the job as failed."""
        try:
            await self._save_or_fail(job, result)
        except (LeaseLost, Unavailable):
            # The lease has also ended if the database was unavailable for as long as it lasts.
            _log_lost_lease(job)

    async def _save_or_fail(self, job: MemberJob, result: Result) -> None:
        """Saves the result; if it cannot be saved, ends the job as failed.

        Raises:
            LeaseLost: the job is no longer this worker's.
            Unavailable: the database was unavailable for longer than the lease.
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

        The transaction is repeated while the database is unavailable. If an attempt was committed although the
        connection broke, the next attempt finds the job ended and raises LeaseLost.

        Raises:
            LeaseLost: the job is no longer this worker's.
            Unavailable: the database was unavailable for longer than the lease.
        """

        async def finish() -> None:
            async with self._db.transaction() as connection:
                await self._finisher.finish_job(connection, job, result, job_leases.held_by(job))

        await self._retried(finish)

    async def _retried(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, repeated while the database is unavailable, for as long as a lease lasts."""
        # The retries alone take 0.2 ms of CPU time, also if the first attempt succeeds.
        with contextlib.suppress(Unavailable):
            return await work()
        attempts = stamina.AsyncRetryingCaller(
            attempts=None, timeout=self._settings.job_lease, wait_max=LONGEST_BACKOFF
        )
        return await attempts(Unavailable, work)


def _log_lost_lease(job: MemberJob) -> None:
    log.warning("job.lease_lost", kind=job.kind)


def _name_of(result: Result) -> str:
    """The result as a label: `finished`, `waits`, the name of an error, or an event."""
    match result:
        case Completed():
            return "finished"
        case BankError():
            return type(result).__name__
        case MemberEvent():
            return result.value
    return "waits"
