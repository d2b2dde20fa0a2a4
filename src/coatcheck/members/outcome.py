"""Closing a sitting: everything that follows from what the bank said, in one transaction behind the fence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import ChallengeType, Finished, JobKind, NeedsAnswers, Option, Question
from coatcheck.db.database import Connection
from coatcheck.errors import BankError, CredentialsDenied, NotFound
from coatcheck.events import catalogue
from coatcheck.jobs.queue import TaskKind
from coatcheck.members import job_rows, member_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.ingest import Ingester, IngestResult
from coatcheck.members.job_queue import Queue
from coatcheck.members.job_rows import JobLease
from coatcheck.members.records import (
    Challenge,
    ChallengeOption,
    JobRequest,
    JobResult,
    LockedMember,
    MemberJob,
)
from coatcheck.members.status import MemberEvent, status_after_failure, transition
from coatcheck.model.members import Member, find_member
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.vault.vault import SecretKind

Result: TypeAlias = Finished | NeedsAnswers | BankError | MemberEvent
"""What the bank said, or what happened instead."""

REASONS: Mapping[MemberEvent, str] = MappingProxyType(
    {
        MemberEvent.EXHAUSTED: "Given up: it was begun too often without coming to an end.",
        MemberEvent.NOT_ANSWERED: "Nobody answered in time.",
        MemberEvent.USER_DISABLED: "The user is disabled.",
    }
)


class LeaseLost(Exception):
    """The job is no longer ours: nothing was saved."""


@dataclass(frozen=True, slots=True)
class Outcome:
    job_result: JobResult
    status: ConnectionStatus | None
    credential_failures: int


class JobFinisher:
    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._journal = dependencies.journal
        self._jobs = dependencies.jobs
        self._queue = Queue(dependencies)
        self._ingester = Ingester(dependencies.vault, dependencies.registry)

    async def close(
        self, connection: Connection, job: MemberJob, result: Result, job_lease: JobLease
    ) -> None:
        """Saves the result and all that follows from it.

        Args:
            connection: a transaction that holds nothing else.
            job: as it was claimed or found.
            result: what the bank said.
            job_lease: what the job must still be.

        Raises:
            Lost: it is not; nothing was written.
        """
        now = self._clock.now()
        try:
            locked = await member_rows.lock_member(connection, job.user_guid, job.member_guid)
        except NotFound:
            raise LeaseLost from None
        outcome = determine_outcome(job, locked, result, waits_until=now + self._settings.mfa_ttl, now=now)
        if not await job_rows.settle(connection, job, outcome.job_result, job_lease):
            raise LeaseLost
        # The answers have been used, and what the connector kept with them.
        await self._vault.delete(connection, owner_guid=job.user_guid, record_guid=job.guid)
        ingested = None
        match result:
            case Finished():
                ingested = await self._ingester.save(connection, job, result, now)
                if result.state is not None:
                    await self._keep_state(connection, job, job.member_guid, result.state)
            case NeedsAnswers():
                await self._keep_state(connection, job, job.guid, result.state)
        member = await self._change_member(connection, job, locked, outcome, now)
        await self._tell(connection, job, locked, outcome, member, ingested)
        if isinstance(result, Finished) and job.follow_ups:
            await self._queue.put(connection, locked, _following(job), ConnectionStatus.CONNECTED)
        if next_job := await job_rows.next_of_institution(connection, job.institution_code):
            await self._jobs.wake(connection, TaskKind.MEMBER_JOB, next_job.key)

    async def _keep_state(
        self, connection: Connection, job: MemberJob, record_guid: str, state: bytes
    ) -> None:
        await self._vault.store_secret(
            connection, owner_guid=job.user_guid, record_guid=record_guid, kind=SecretKind.STATE, value=state
        )

    async def _change_member(
        self, connection: Connection, job: MemberJob, locked: LockedMember, outcome: Outcome, now: datetime
    ) -> Member:
        changes: dict[str, Any] = {
            "connection_status": outcome.status,
            "credential_failures": outcome.credential_failures,
            "updated_at": now,
        }
        # A look at the balance alone does not put the daily aggregation off.
        if outcome.job_result.state == "ended" and job.kind != JobKind.BALANCE:
            changes["aggregated_at"] = now
            if outcome.status is ConnectionStatus.CONNECTED:
                changes["successfully_aggregated_at"] = now
        await member_rows.change_member(connection, locked.user_guid, locked.guid, changes)
        return await find_member(connection, locked.user_guid, locked.guid)

    async def _tell(
        self,
        connection: Connection,
        job: MemberJob,
        locked: LockedMember,
        outcome: Outcome,
        member: Member,
        ingested: IngestResult | None,
    ) -> None:
        changed = ingest_event = None
        if outcome.status is not None and outcome.status is not locked.status:
            changed = catalogue.connection_status(
                member, outcome.status, callback_payload=job.callback_payload
            )
        if ingested is not None:
            ingest_event = _event(job, member, ingested, self._clock.now())
        await self._journal.record(
            connection,
            Entry(
                client_guid=job.client_guid,
                actor=job.guid,
                action=f"job.{outcome.job_result.state}",
                subject=job.member_guid,
                detail={"kind": job.kind, "outcome": outcome.job_result.outcome or ""},
            ),
            changed,
            ingest_event,
        )


def determine_outcome(
    job: MemberJob, locked: LockedMember, result: Result, *, waits_until: datetime, now: datetime
) -> Outcome:
    """What a result means for the job and its member. Pure.

    Args:
        job: whose result it is.
        locked: the member.
        result: what the bank said.
        waits_until: how long a question would wait.
        now: when the sitting ends.
    """
    match result:
        case Finished():
            status = transition(MemberEvent.SUCCEEDED, locked.status)
            job_result = JobResult(
                state="ended",
                outcome=status,
                ended_at=now,
                is_authenticated=True,
                has_processed_accounts=True,
                has_processed_account_numbers=bool(result.numbers),
                has_processed_transactions=job.wants_transactions,
            )
            return Outcome(job_result, status, 0)
        case NeedsAnswers():
            questions = job_rows.written_challenges([_challenge(each) for each in result.questions])
            job_result = JobResult(state="waiting", waits_until=waits_until, questions=questions)
            return Outcome(
                job_result, transition(MemberEvent.ASKED, locked.status), locked.credential_failures
            )
        case BankError():
            failures = locked.credential_failures + isinstance(result, CredentialsDenied)
            status = status_after_failure(
                result, credential_failures=failures, is_background=job.is_background
            )
            job_result = JobResult(state="ended", outcome=status, reason=result.problem, ended_at=now)
            return Outcome(job_result, status, failures)
        case MemberEvent():
            status = transition(result, locked.status) or locked.status
            job_result = JobResult(state="ended", outcome=status, reason=REASONS[result], ended_at=now)
            return Outcome(job_result, status, locked.credential_failures)


def _following(job: MemberJob) -> JobRequest:
    return JobRequest(
        kinds=tuple(JobKind(kind) for kind in job.follow_ups),
        requested_by=job.requested_by,
        callback_payload=job.callback_payload,
        include_transactions=job.include_transactions,
        is_background=job.is_background,
    )


def _challenge(question: Question) -> Challenge:
    options = [_option(option) for option in question.options]
    with_pictures = question.type is ChallengeType.IMAGE_OPTIONS
    return Challenge(
        guid=ids.new("CRD"),
        key=question.key,
        type=question.type.value,
        label=question.label,
        options=() if with_pictures else options,
        image_options=options if with_pictures else (),
        image_data=question.image_data,
    )


def _option(option: Option) -> ChallengeOption:
    return ChallengeOption(ids.new("CRD"), option.label, option.value, option.data_uri)


def _event(job: MemberJob, member: Member, ingested: IngestResult, now: datetime) -> catalogue.Event | None:
    """What MX tells of a job of this kind; of an identification it tells nothing."""
    counts = {
        "transactions_created_count": ingested.transactions_created_count,
        "transactions_updated_count": ingested.transactions_updated_count,
    }
    echo = job.callback_payload
    match JobKind(job.kind):
        case JobKind.AGGREGATION:
            return catalogue.aggregation(
                member, job.guid, now, is_background=job.is_background, callback_payload=echo, **counts
            )
        case JobKind.BALANCE:
            return catalogue.balance(member, now, callback_payload=echo)
        case JobKind.HISTORY:
            return catalogue.history(member, now, callback_payload=echo, **counts)
        case JobKind.STATEMENT:
            return catalogue.statement(
                member,
                now,
                statements_created_count=ingested.statements_created_count,
                callback_payload=echo,
            )
        case JobKind.VERIFICATION:
            return catalogue.verification(
                member,
                job.guid,
                now,
                account_guids=ingested.numbered_account_guids,
                callback_payload=echo,
            )
        case JobKind.IDENTIFICATION:
            return None
