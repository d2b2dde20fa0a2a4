"""Closing a sitting: everything that follows from what the bank said, in one transaction behind the fence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias

from coatcheck import ids
from coatcheck.connectors.contract import Asking, ChallengeType, Finished, JobKind, Option, Question
from coatcheck.db.database import Connection
from coatcheck.errors import BankError, CredentialsDenied, NotFound
from coatcheck.events import catalogue
from coatcheck.jobs.queue import Duty
from coatcheck.members import job_rows, member_rows
from coatcheck.members.dependencies import Parts
from coatcheck.members.ingest import Harvest, Harvester
from coatcheck.members.job_queue import Queue
from coatcheck.members.job_rows import Fence
from coatcheck.members.records import (
    Challenge,
    ChallengeOption,
    Ending,
    HeldMember,
    JobRequest,
    MemberJob,
)
from coatcheck.members.status import Step, after, after_failure
from coatcheck.model.members import Member, find_member
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.vault.vault import SecretKind

Result: TypeAlias = Finished | Asking | BankError | Step
"""What the bank said, or what happened instead."""

REASONS: Mapping[Step, str] = MappingProxyType(
    {
        Step.EXHAUSTED: "Given up: it was begun too often without coming to an end.",
        Step.NOT_ANSWERED: "Nobody answered in time.",
        Step.USER_DISABLED: "The user is disabled.",
    }
)


class Lost(Exception):
    """The job is no longer ours: nothing was saved."""


@dataclass(frozen=True, slots=True)
class Verdict:
    ending: Ending
    status: ConnectionStatus | None
    credential_failures: int


class Closer:
    def __init__(self, parts: Parts) -> None:
        self._settings = parts.settings
        self._clock = parts.clock
        self._vault = parts.vault
        self._announcer = parts.announcer
        self._audit = parts.audit
        self._jobs = parts.jobs
        self._queue = Queue(parts)
        self._harvester = Harvester(parts.vault, parts.registry)

    async def close(self, connection: Connection, job: MemberJob, result: Result, fence: Fence) -> None:
        """Saves the result and all that follows from it.

        Args:
            connection: a transaction that holds nothing else.
            job: as it was claimed or found.
            result: what the bank said.
            fence: what the job must still be.

        Raises:
            Lost: it is not; nothing was written.
        """
        now = self._clock.now()
        try:
            held = await member_rows.hold_member(connection, job.user_guid, job.member_guid)
        except NotFound:
            raise Lost from None
        verdict = judge(job, held, result, waits_until=now + self._settings.mfa_ttl, now=now)
        if not await job_rows.settle(connection, job, verdict.ending, fence):
            raise Lost
        # The answers have been used, and what the connector kept with them.
        await self._vault.forget(connection, owner_guid=job.user_guid, record_guid=job.guid)
        harvest = None
        match result:
            case Finished():
                harvest = await self._harvester.save(connection, job, result, now)
                if result.state is not None:
                    await self._keep_state(connection, job, job.member_guid, result.state)
            case Asking():
                await self._keep_state(connection, job, job.guid, result.state)
        member = await self._change_member(connection, job, held, verdict, now)
        await self._tell(connection, job, held, verdict, member, harvest)
        if isinstance(result, Finished) and job.follow_ups:
            await self._queue.put(connection, held, _following(job), ConnectionStatus.CONNECTED)
        if next_job := await job_rows.next_of_institution(connection, job.institution_code):
            await self._jobs.wake(connection, Duty.MEMBER_JOB, next_job.key)

    async def _keep_state(
        self, connection: Connection, job: MemberJob, record_guid: str, state: bytes
    ) -> None:
        await self._vault.keep_secret(
            connection, owner_guid=job.user_guid, record_guid=record_guid, kind=SecretKind.STATE, value=state
        )

    async def _change_member(
        self, connection: Connection, job: MemberJob, held: HeldMember, verdict: Verdict, now: datetime
    ) -> Member:
        changes: dict[str, Any] = {
            "connection_status": verdict.status,
            "credential_failures": verdict.credential_failures,
            "updated_at": now,
        }
        # A look at the balance alone does not put the daily aggregation off.
        if verdict.ending.state == "ended" and job.kind != JobKind.BALANCE:
            changes["aggregated_at"] = now
            if verdict.status is ConnectionStatus.CONNECTED:
                changes["successfully_aggregated_at"] = now
        await member_rows.change_member(connection, held.user_guid, held.guid, changes)
        return await find_member(connection, held.user_guid, held.guid)

    async def _tell(
        self,
        connection: Connection,
        job: MemberJob,
        held: HeldMember,
        verdict: Verdict,
        member: Member,
        harvest: Harvest | None,
    ) -> None:
        await self._audit.record(
            connection,
            client_guid=job.client_guid,
            actor=job.guid,
            action=f"job.{verdict.ending.state}",
            subject=job.member_guid,
            detail={"kind": job.kind, "outcome": verdict.ending.outcome or ""},
        )
        if verdict.status is not None and verdict.status is not held.status:
            changed = catalogue.connection_status(member, verdict.status, callback_payload=job.callback_payload)
            await self._announcer.announce(connection, client_guid=job.client_guid, event=changed)
        if harvest is not None:
            read = _event(job, member, harvest, self._clock.now())
            await self._announcer.announce(connection, client_guid=job.client_guid, event=read)


def judge(
    job: MemberJob, held: HeldMember, result: Result, *, waits_until: datetime, now: datetime
) -> Verdict:
    """What a result means for the job and its member. Pure.

    Args:
        job: whose result it is.
        held: the member.
        result: what the bank said.
        waits_until: how long a question would wait.
        now: when the sitting ends.
    """
    match result:
        case Finished():
            status = after(Step.SUCCEEDED, held.status)
            ending = Ending(
                state="ended",
                outcome=status,
                ended_at=now,
                is_authenticated=True,
                has_processed_accounts=True,
                has_processed_account_numbers=bool(result.numbers),
                has_processed_transactions=job.wants_transactions,
            )
            return Verdict(ending, status, 0)
        case Asking():
            questions = job_rows.written_challenges([_challenge(each) for each in result.questions])
            ending = Ending(state="waiting", waits_until=waits_until, questions=questions)
            return Verdict(ending, after(Step.ASKED, held.status), held.credential_failures)
        case BankError():
            failures = held.credential_failures + isinstance(result, CredentialsDenied)
            status = after_failure(result, credential_failures=failures, is_background=job.is_background)
            ending = Ending(state="ended", outcome=status, reason=result.problem, ended_at=now)
            return Verdict(ending, status, failures)
        case Step():
            status = after(result, held.status) or held.status
            ending = Ending(state="ended", outcome=status, reason=REASONS[result], ended_at=now)
            return Verdict(ending, status, held.credential_failures)


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


def _event(job: MemberJob, member: Member, harvest: Harvest, now: datetime) -> catalogue.Event | None:
    """What MX tells of a job of this kind; of an identification it tells nothing."""
    counts = {
        "transactions_created_count": harvest.transactions_created_count,
        "transactions_updated_count": harvest.transactions_updated_count,
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
                statements_created_count=harvest.statements_created_count,
                callback_payload=echo,
            )
        case JobKind.VERIFICATION:
            return catalogue.verification(
                member,
                job.guid,
                now,
                account_guids=harvest.numbered_account_guids,
                callback_payload=echo,
            )
        case JobKind.IDENTIFICATION:
            return None
