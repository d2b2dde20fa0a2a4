"""The end of a job: its result is saved in one transaction, if the worker still holds the lease."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import TypeAlias

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.connectors.collected import CollectedData
from coatcheck.connectors.contract import ChallengeType, Finished, JobKind, NeedsAnswers, Option, Question
from coatcheck.db.database import Connection
from coatcheck.errors import BankError, CredentialsDenied, CredentialsMissing, NotFound
from coatcheck.events import mx_events
from coatcheck.members import job_leases, job_rows, member_rows
from coatcheck.members.announcements import about_result
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.ingest import Ingester, IngestResult
from coatcheck.members.job_leases import JobCondition
from coatcheck.members.job_queue import JobQueue
from coatcheck.members.records import (
    Challenge,
    ChallengeOption,
    JobRequest,
    JobResult,
    LockedMember,
    MemberJob,
)
from coatcheck.members.status import MemberEvent, status_after_failure, transition
from coatcheck.model.jobs import JobState
from coatcheck.model.members import Member
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.vault.vault import SecretKind


@dataclass(frozen=True, slots=True)
class JobInputs:
    """What a run needs: secrets from the vault, and what earlier runs have read."""

    credentials: Mapping[str, str] = field(repr=False)
    answers: Mapping[str, str] | None = field(repr=False)
    resume: bytes | None = field(repr=False)
    state: bytes | None = field(repr=False)
    known_since: Mapping[str, date] = field(default_factory=dict)
    """As `Task.known_since`."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A run that finished, with the data that it read."""

    finished: Finished
    data: CollectedData
    inputs: JobInputs


Result: TypeAlias = Completed | NeedsAnswers | BankError | MemberEvent
"""The result of a run, or the event that replaced the run."""

REASONS: Mapping[MemberEvent, str] = MappingProxyType(
    {
        MemberEvent.EXHAUSTED: "The job was started too often without a result.",
        MemberEvent.NOT_ANSWERED: "The questions were not answered in time.",
        MemberEvent.USER_DISABLED: "The user is disabled.",
    }
)


class LeaseLost(Exception):
    """The job is no longer this worker's: nothing was saved."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The new state of a job and of its member."""

    job_result: JobResult
    status: ConnectionStatus | None
    credential_failures: int


class JobFinisher:
    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._journal = dependencies.journal
        self._registry = dependencies.registry
        self._queue = JobQueue(dependencies)
        self._ingester = Ingester(dependencies)

    async def finish_job(
        self, connection: Connection, job: MemberJob, result: Result, condition: JobCondition
    ) -> None:
        """Saves the result, updates the member, and publishes the events.

        Args:
            connection: a transaction without locks, because the member must be locked before the job.
            job: the job, as it was claimed.
            result: how the run ended.
            condition: what must be true of the job for its result to be saved.

        Raises:
            LeaseLost: the condition does not hold; nothing was written.
        """
        now = self._clock.now()
        try:
            member = await member_rows.lock_member_of_job(connection, job)
        except NotFound:
            raise LeaseLost from None
        outcome = determine_outcome(job, member, result, waits_until=now + self._settings.mfa_ttl, now=now)
        # Before anything else is written: a worker that lost its lease must not write over what its successor saved.
        if not await job_leases.finish(connection, job, outcome.job_result, condition):
            raise LeaseLost
        # Before `_save`, which may store a new `resume` under the same guid.
        if may_have_secrets(result):
            await self._vault.delete(connection, owner_guid=job.user_guid, record_guid=job.guid)
        ingested = await self._save(connection, job, result, now)
        changes = {**_changes(job, outcome, now), **self._sign_in(member, result)}
        changed = await job_rows.change_member_of_job(connection, job, changes)
        await self._publish(connection, job, (member, changed), outcome, ingested)
        if isinstance(result, Completed) and job.follow_ups:
            guid = await self._queue.enqueue(
                connection, member, _follow_up_request(job), ConnectionStatus.CONNECTED
            )
            if result.finished.keeps_sign_in:
                await self._keep_sign_in(connection, job.user_guid, guid, result.inputs)

    async def _save(
        self, connection: Connection, job: MemberJob, result: Result, now: datetime
    ) -> IngestResult | None:
        """Saves the data and the state of the run. Returns None unless the run finished."""
        match result:
            case Completed(finished, data, _):
                if finished.state is not None:
                    await self._store_state(connection, job, job.member_guid, finished.state)
                return await self._ingester.save(connection, job, finished, data, now)
            case NeedsAnswers():
                await self._store_state(connection, job, job.guid, result.resume)
        return None

    async def _keep_sign_in(
        self, connection: Connection, user_guid: str, job_guid: str, inputs: JobInputs
    ) -> None:
        """Gives the next job the answers of the user, so that nobody is asked the same again."""
        kept = {SecretKind.STATE: inputs.resume}
        if inputs.answers is not None:
            kept[SecretKind.ANSWERS] = json.dumps(dict(inputs.answers)).encode()
        for kind, value in kept.items():
            if value is not None:
                await self._vault.store_secret(
                    connection, owner_guid=user_guid, record_guid=job_guid, kind=kind, value=value
                )

    async def _store_state(
        self, connection: Connection, job: MemberJob, record_guid: str, state: bytes
    ) -> None:
        await self._vault.store_secret(
            connection, owner_guid=job.user_guid, record_guid=record_guid, kind=SecretKind.STATE, value=state
        )

    def _sign_in(self, member: LockedMember, result: Result) -> Mapping[str, object]:
        """Lets the user sign in as the institution asks now: another connector may have taken it over."""
        if isinstance(result, CredentialsMissing):
            with suppress(NotFound):
                return {"is_oauth": self._registry.find(member.institution_code).supports_oauth}
        return {}

    async def _publish(
        self,
        connection: Connection,
        job: MemberJob,
        members: tuple[LockedMember, Member],
        outcome: Outcome,
        ingested: IngestResult | None,
    ) -> None:
        """`members` is the member before the result, and after it."""
        before, member = members
        changed = finished = ready = None
        if outcome.status is not None and outcome.status is not before.status:
            changed = mx_events.connection_status(
                member, outcome.status, callback_payload=job.callback_payload
            )
        if ingested is not None:
            finished = _finished_event(job, member, ingested, self._clock.now())
            # A balance check is no aggregation, and may be repeated before the first one.
            if before.awaits_initial_data and job.kind != JobKind.BALANCE:
                ready = mx_events.initial_data_ready(member, callback_payload=job.callback_payload)
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
            ready,
            finished,
            *await about_result(connection, before, member, ingested, self._clock.instant()),
        )


def _changes(job: MemberJob, outcome: Outcome, now: datetime) -> Mapping[str, object]:
    """The new values of the member's row."""
    changes: dict[str, object] = {
        "connection_status": outcome.status,
        "credential_failures": outcome.credential_failures,
        "updated_at": now,
    }
    # A balance check does not postpone the daily aggregation.
    if outcome.job_result.state is JobState.ENDED and job.kind != JobKind.BALANCE:
        changes["aggregated_at"] = now
        if outcome.status is ConnectionStatus.CONNECTED:
            changes["successfully_aggregated_at"] = now
    return changes


def may_have_secrets(result: Result) -> bool:
    """Whether the job may have answers or the connector's `resume`, which are valid for one run only. Pure."""
    match result:
        case Completed(_, _, inputs):
            return inputs.answers is not None or inputs.resume is not None
    return True


def determine_outcome(
    job: MemberJob, member: LockedMember, result: Result, *, waits_until: datetime, now: datetime
) -> Outcome:
    """The new state of the job and of its member. Pure.

    Args:
        job: the job that ended or waits.
        member: the member before the result.
        result: how the run ended.
        waits_until: until when answers are accepted.
        now: when the run ended.
    """
    match result:
        case Completed(_, data, _):
            status = transition(MemberEvent.SUCCEEDED, member.status)
            job_result = JobResult(
                state=JobState.ENDED,
                outcome=status,
                ended_at=now,
                is_authenticated=True,
                has_processed_accounts=True,
                has_processed_account_numbers=bool(data.numbers),
                has_processed_transactions=job.wants_transactions,
            )
            return Outcome(job_result, status, 0)
        case NeedsAnswers():
            questions = job_rows.encode_challenges([_challenge(each) for each in result.questions])
            job_result = JobResult(state=JobState.WAITING, waits_until=waits_until, questions=questions)
            return Outcome(
                job_result, transition(MemberEvent.ASKED, member.status), member.credential_failures
            )
        case BankError():
            failures = member.credential_failures + isinstance(result, CredentialsDenied)
            status = status_after_failure(
                result, credential_failures=failures, is_background=job.is_background
            )
            job_result = JobResult(state=JobState.ENDED, outcome=status, reason=result.problem, ended_at=now)
            return Outcome(job_result, status, failures)
        case MemberEvent():
            # An event that the table does not allow in this status ends the job and leaves the status unchanged.
            status = transition(result, member.status) or member.status
            job_result = JobResult(state=JobState.ENDED, outcome=status, reason=REASONS[result], ended_at=now)
            return Outcome(job_result, status, member.credential_failures)


def _follow_up_request(job: MemberJob) -> JobRequest:
    return JobRequest(
        kinds=tuple(JobKind(kind) for kind in job.follow_ups),
        requested_by=job.requested_by,
        callback_payload=job.callback_payload,
        include_transactions=job.include_transactions,
        is_background=job.is_background,
    )


def _challenge(question: Question) -> Challenge:
    options = [_option(option) for option in question.options]
    has_images = question.type is ChallengeType.IMAGE_OPTIONS
    return Challenge(
        guid=ids.new("CRD"),
        key=question.key,
        type=question.type.value,
        label=question.label,
        options=() if has_images else options,
        image_options=options if has_images else (),
        image_data=question.image_data,
    )


def _option(option: Option) -> ChallengeOption:
    return ChallengeOption(ids.new("CRD"), option.label, option.value, option.data_uri)


def _finished_event(
    job: MemberJob, member: Member, ingested: IngestResult, now: datetime
) -> mx_events.Event | None:
    """The event that MX sends for a job of this kind. MX sends none for an identification."""
    counts = ingested.transaction_counts
    payload = job.callback_payload
    match JobKind(job.kind):
        case JobKind.AGGREGATION:
            return mx_events.aggregation(
                member,
                job.guid,
                now,
                is_background=job.is_background,
                transactions=counts,
                callback_payload=payload,
            )
        case JobKind.BALANCE:
            return mx_events.balance(member, now, callback_payload=payload)
        case JobKind.HISTORY:
            return mx_events.history(member, now, transactions=counts, callback_payload=payload)
        case JobKind.STATEMENT:
            return mx_events.statement(
                member,
                now,
                statements_created_count=ingested.statements_created_count,
                callback_payload=payload,
            )
        case JobKind.VERIFICATION:
            return mx_events.verification(
                member,
                job.guid,
                now,
                account_guids=ingested.numbered_account_guids,
                callback_payload=payload,
            )
        case JobKind.IDENTIFICATION:
            return None
