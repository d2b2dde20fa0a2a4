"""The rows of members' jobs: the truth about each, and the fence. Decisions are made elsewhere.

    queued --claim--> running --settle--> ended
       ^                |  `----settle--> waiting (for an answer)
       |<---release-----'                    |
       `<-----------------resume-------------'

A claim gives the job a new attempt number and a lease; who stops renewing can be claimed from. Whoever settles must
still hold the newest attempt. Locks are taken in one order everywhere: user, member, job.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from coatcheck import ids
from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.members.member_rows import change_member
from coatcheck.members.records import (
    Challenge,
    ChallengeOption,
    JobRequest,
    JobResult,
    LockedMember,
    MemberJob,
)
from coatcheck.model.statuses import ConnectionStatus

CLAIMING = 4_102
"""Advisory lock class: one claim at a time per institution makes its count of running jobs exact."""

FREE = "(j.state = 'queued' OR (j.state = 'running' AND j.lease_until < %(now)s))"
"""Nobody works on the job: it never was claimed, or who claimed it stopped renewing."""


@dataclass(frozen=True, slots=True)
class JobKey:
    user_guid: str
    guid: str

    @property
    def key(self) -> str:
        return f"{self.user_guid}/{self.guid}"


@dataclass(frozen=True, slots=True)
class LiveJob(JobKey):
    kind: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    guid: str
    questions: list[dict[str, Any]]
    waits_until: datetime


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime | None


# --- jobs: put, claimed, renewed, settled ----------------------------------------------------------------


async def live_job(connection: Connection, user_guid: str, member_guid: str) -> LiveJob | None:
    """The member's job that is queued, running or waiting; there is at most one."""
    return await fetch_one(
        connection,
        LiveJob,
        """SELECT user_guid, guid, kind FROM member_job
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND state <> 'ended'""",
        {"user_guid": user_guid, "member_guid": member_guid},
    )


async def put_job(
    connection: Connection,
    member: LockedMember,
    request: JobRequest,
    *,
    status: ConnectionStatus,
    now: datetime,
) -> JobKey:
    """Queues the member's next job, whose flags start afresh, and gives the member the status that goes with it.

    The member is locked and has no live job.
    """
    job = JobKey(member.user_guid, ids.new("JOB"))
    kind, *follow_ups = request.kinds
    await run(
        connection,
        """INSERT INTO member_job (user_guid, guid, client_guid, member_guid, institution_code, kind, state,
                                   is_background, include_transactions, follow_ups, callback_payload,
                                   requested_by, created_at)
           VALUES (%(user_guid)s, %(guid)s, %(client_guid)s, %(member_guid)s, %(institution_code)s, %(kind)s,
                   'queued', %(is_background)s, %(include_transactions)s, %(follow_ups)s,
                   %(callback_payload)s, %(requested_by)s, %(now)s)""",
        {
            "user_guid": job.user_guid,
            "guid": job.guid,
            "client_guid": member.client_guid,
            "member_guid": member.guid,
            "institution_code": member.institution_code,
            "kind": kind.value,
            "is_background": request.is_background,
            "include_transactions": request.include_transactions,
            "follow_ups": [each.value for each in follow_ups],
            "callback_payload": request.callback_payload,
            "requested_by": request.requested_by,
            "now": now,
        },
    )
    await change_member(
        connection,
        member.user_guid,
        member.guid,
        {"most_recent_job_guid": job.guid, "connection_status": status, "updated_at": now},
    )
    return job


async def claim(
    connection: Connection,
    job: JobKey,
    *,
    now: datetime,
    lease: timedelta,
    max_claims: int,
    max_at_institution: int,
) -> MemberJob | None:
    """Takes the job, if it is free, not taken too often, and its institution has room; else None.

    Needs a transaction, for the lock.
    """
    if not await run(
        connection,
        """SELECT pg_advisory_xact_lock(%(claiming)s, hashtext(institution_code)) FROM member_job
           WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND state IN ('queued', 'running')""",
        {"claiming": CLAIMING, "user_guid": job.user_guid, "guid": job.guid},
    ):
        return None
    return await fetch_one(
        connection,
        MemberJob,
        f"""UPDATE member_job j
            SET state = 'running', attempt = attempt + 1, pickups = pickups + 1, lease_until = %(until)s,
                started_at = coalesce(started_at, %(now)s)
            WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND {FREE} AND pickups < %(most_pickups)s
              AND (SELECT count(*) FROM member_job other
                   WHERE other.institution_code = j.institution_code AND other.state = 'running'
                     AND other.lease_until >= %(now)s) < %(most_at_institution)s
            RETURNING {columns(MemberJob)}""",
        {
            "user_guid": job.user_guid,
            "guid": job.guid,
            "now": now,
            "until": now + lease,
            "most_pickups": max_claims,
            "most_at_institution": max_at_institution,
        },
    )


async def renew(connection: Connection, job: MemberJob, until: datetime) -> bool:
    """Keeps the job for longer; False when it is no longer ours."""
    return bool(
        await run(
            connection,
            """UPDATE member_job SET lease_until = %(until)s
               WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND attempt = %(attempt)s
                 AND state = 'running'""",
            {"user_guid": job.user_guid, "guid": job.guid, "attempt": job.attempt, "until": until},
        )
    )


async def release(connection: Connection, job: MemberJob) -> bool:
    """Hands the job back unfinished, for another worker to claim at once; it was not the job's fault."""
    return bool(
        await run(
            connection,
            """UPDATE member_job SET state = 'queued', lease_until = NULL, pickups = pickups - 1
               WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND attempt = %(attempt)s
                 AND state = 'running'""",
            {"user_guid": job.user_guid, "guid": job.guid, "attempt": job.attempt},
        )
    )


@dataclass(frozen=True, slots=True)
class JobLease:
    """What a job must still be for something to be saved."""

    condition: str
    values: Mapping[str, object]


def ours(job: MemberJob) -> JobLease:
    return JobLease("j.attempt = %(attempt)s AND j.state = 'running'", {"attempt": job.attempt})


def free_but_exhausted(now: datetime, max_claims: int) -> JobLease:
    return JobLease(f"{FREE} AND j.pickups >= %(most_pickups)s", {"now": now, "most_pickups": max_claims})


def waits_too_long(now: datetime) -> JobLease:
    return JobLease("j.state = 'waiting' AND j.waits_until < %(now)s", {"now": now})


LIVE = JobLease("j.state <> 'ended'", {})


async def find(connection: Connection, job: JobKey, job_lease: JobLease) -> MemberJob | None:
    """The job, if it is as the fence says."""
    return await fetch_one(
        connection,
        MemberJob,
        f"""SELECT {columns(MemberJob)} FROM member_job j
            WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND {job_lease.condition}""",
        {"user_guid": job.user_guid, "guid": job.guid, **job_lease.values},
    )


async def settle(
    connection: Connection, job: JobKey | MemberJob, job_result: JobResult, job_lease: JobLease
) -> bool:
    """Ends the sitting if the job is still as the fence says. False: it is not, and nothing may be saved.

    Args:
        connection: the transaction that will save everything else; it has locked the member.
        job: which.
        job_result: what the row will say.
        job_lease: what it must still be.
    """
    return bool(
        await run(
            connection,
            f"""UPDATE member_job j
                SET state = %(state)s, outcome = %(outcome)s, reason = %(reason)s, ended_at = %(ended_at)s,
                    waits_until = %(waits_until)s, questions = %(questions)s, lease_until = NULL,
                    is_authenticated = %(is_authenticated)s,
                    has_processed_accounts = %(has_processed_accounts)s,
                    has_processed_account_numbers = %(has_processed_account_numbers)s,
                    has_processed_transactions = %(has_processed_transactions)s
                WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND {job_lease.condition}""",
            {"user_guid": job.user_guid, "guid": job.guid, **asdict(job_result), **job_lease.values},
        )
    )


async def next_of_institution(connection: Connection, institution_code: str) -> JobKey | None:
    """Who has waited longest for room at the institution; users go before the daily aggregation."""
    return await fetch_one(
        connection,
        JobKey,
        """SELECT user_guid, guid FROM member_job
           WHERE institution_code = %(institution_code)s AND state = 'queued'
           ORDER BY is_background, created_at LIMIT 1""",
        {"institution_code": institution_code},
    )


# --- questions and answers -------------------------------------------------------------------------------


def written_challenges(challenges: Sequence[Challenge]) -> str:
    return json.dumps([asdict(challenge) for challenge in challenges])


async def challenges_of(connection: Connection, user_guid: str, member_guid: str) -> Sequence[Challenge]:
    """What the member's job waits to be told; nothing where it does not wait."""
    waiting = await _waiting(connection, user_guid, member_guid)
    return _read(waiting) if waiting else ()


async def lock_challenges(
    connection: Connection, member: LockedMember, now: datetime
) -> tuple[JobKey, Sequence[Challenge]] | None:
    """The waiting job of a locked member and its questions; None where none waits, or it has waited too long."""
    waiting = await _waiting(connection, member.user_guid, member.guid)
    if waiting is None or waiting.waits_until < now:
        return None
    return JobKey(member.user_guid, waiting.guid), _read(waiting)


async def resume(connection: Connection, job: JobKey) -> None:
    """Queues a waiting job of a locked member for a new sitting. Its attempts go on counting: they are the fence."""
    await run(
        connection,
        """UPDATE member_job SET state = 'queued', pickups = 0, questions = NULL, waits_until = NULL
           WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND state = 'waiting'""",
        {"user_guid": job.user_guid, "guid": job.guid},
    )


async def _waiting(connection: Connection, user_guid: str, member_guid: str) -> _Waiting | None:
    return await fetch_one(
        connection,
        _Waiting,
        """SELECT guid, questions, waits_until FROM member_job
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND state = 'waiting'""",
        {"user_guid": user_guid, "member_guid": member_guid},
    )


def _read(waiting: _Waiting) -> Sequence[Challenge]:
    read = (Challenge(**each) for each in waiting.questions)
    return tuple(
        replace(each, options=_options(each.options), image_options=_options(each.image_options))
        for each in read
    )


def _options(written: Sequence[Any]) -> list[ChallengeOption]:
    return [ChallengeOption(**each) for each in written]


# --- what limits a new job -------------------------------------------------------------------------------


async def was_aggregated_since(
    connection: Connection, member: LockedMember, since: datetime, *, with_transactions: bool
) -> bool:
    """Whether an aggregation succeeded since, which gave what this one would."""
    cursor = await connection.execute(
        """SELECT EXISTS (
               SELECT FROM member_job
               WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND kind = 'AGGREGATION'
                 AND outcome = 'CONNECTED' AND ended_at > %(since)s
                 AND (include_transactions OR NOT %(with_transactions)s))""",
        {
            "user_guid": member.user_guid,
            "member_guid": member.guid,
            "since": since,
            "with_transactions": with_transactions,
        },
    )
    return await cursor.fetchone() == (True,)


async def nth_newest_job(
    connection: Connection, member: LockedMember, kind: JobKind, number: int
) -> datetime | None:
    """When the member's newest job but `number - 1` of the kind was asked for; None where there are fewer."""
    found = await fetch_one(
        connection,
        _Moment,
        """SELECT created_at AS at FROM member_job
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND kind = %(kind)s
           ORDER BY created_at DESC OFFSET %(skipped)s LIMIT 1""",
        {
            "user_guid": member.user_guid,
            "member_guid": member.guid,
            "kind": kind.value,
            "skipped": number - 1,
        },
    )
    return found.at if found else None


# --- what the sweep looks for ----------------------------------------------------------------------------


async def lapsed(connection: Connection, now: datetime) -> Sequence[JobKey]:
    """Jobs whose worker stopped renewing."""
    return await fetch_all(
        connection,
        JobKey,
        "SELECT user_guid, guid FROM member_job WHERE state = 'running' AND lease_until < %(now)s LIMIT 500",
        {"now": now},
    )


async def unanswered(connection: Connection, now: datetime) -> Sequence[JobKey]:
    """Jobs whose questions nobody answered in time."""
    return await fetch_all(
        connection,
        JobKey,
        "SELECT user_guid, guid FROM member_job WHERE state = 'waiting' AND waits_until < %(now)s LIMIT 500",
        {"now": now},
    )


async def forgotten(connection: Connection, before: datetime, per_institution: int) -> Sequence[JobKey]:
    """The oldest queued jobs of each institution that were asked for before then: was their wake-up lost?"""
    return await fetch_all(
        connection,
        JobKey,
        """SELECT user_guid, guid FROM (
               SELECT user_guid, guid,
                      row_number() OVER (PARTITION BY institution_code ORDER BY is_background, created_at) AS place
               FROM member_job WHERE state = 'queued' AND created_at < %(before)s
           ) AS queued WHERE place <= %(per_institution)s""",
        {"before": before, "per_institution": per_institution},
    )


async def drop_ended(connection: Connection, before: datetime) -> None:
    """Removes jobs that ended before then, but for each member's most recent."""
    await run(
        connection,
        """DELETE FROM member_job j WHERE j.state = 'ended' AND j.ended_at < %(before)s
           AND NOT EXISTS (SELECT FROM member m WHERE m.user_guid = j.user_guid
                           AND m.most_recent_job_guid = j.guid)""",
        {"before": before},
    )
