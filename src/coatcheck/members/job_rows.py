"""SQL statements on the table `member_job`. Those for claims and leases are in `job_leases`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from coatcheck.connectors.contract import JobKind
from coatcheck.db.coalescing import Asked, CoalescedStatement
from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.db.lockstep import ask
from coatcheck.jobs.notifications import CHANNEL
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members.member_rows import broken_since, change_each
from coatcheck.members.records import (
    Challenge,
    ChallengeOption,
    JobKey,
    JobRequest,
    LockedMember,
    MemberJob,
)
from coatcheck.model.jobs import JobState
from coatcheck.model.members import Member, source_of
from coatcheck.model.moving_users import is_settled
from coatcheck.model.statuses import ConnectionStatus

CHANGED_TYPES = {
    "connection_status": "text",
    "credential_failures": "integer",
    "updated_at": "timestamptz",
    "aggregated_at": "timestamptz",
    "successfully_aggregated_at": "timestamptz",
    "is_oauth": "boolean",
}
"""The columns of a member that the end of a job changes."""
NEXT_UNANSWERED = "SELECT min(waits_until) FROM member_job WHERE state = 'waiting'"
"""When the time for answers ends of the job that has waited for the longest."""
DROPPED = 1_000
"""Jobs that one statement deletes: after an outage of the workers there can be very many."""


@dataclass(frozen=True, slots=True)
class LiveJob(JobKey):
    kind: str
    state: str

    @property
    def is_runnable(self) -> bool:
        """Whether a worker runs it or will run it. A job that waits for an answer is not runnable."""
        return self.state != JobState.WAITING


@dataclass(frozen=True, slots=True)
class _Waiting:
    guid: str
    questions: list[dict[str, Any]]
    waits_until: datetime


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime | None


@dataclass(frozen=True, slots=True)
class InstitutionCalls:
    """How often an institution was read in a period."""

    institution_code: str
    processor_guid: str | None
    """Who had it read. None: the client, the user or the daily aggregation."""
    jobs: int
    calls: int
    """The attempts of the jobs. A job that failed for a moment, or waited for answers, has several."""


@dataclass(frozen=True, slots=True)
class _Kind:
    kind: str


# --- enqueuing --------------------------------------------------------------------------------------------


async def live_job(connection: Connection, user_guid: str, member_guid: str) -> LiveJob | None:
    """The member's job that is queued, running or waiting; there is at most one."""
    return await fetch_one(
        connection,
        LiveJob,
        """SELECT user_guid, guid, kind, state FROM member_job
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND state <> 'ended'""",
        {"user_guid": user_guid, "member_guid": member_guid},
    )


# DO NOTHING: a member may have got a job between the snapshot in which it was chosen for its daily aggregation and the
# lock of its row.
_PUT_JOBS = f"""
WITH given AS (
    SELECT * FROM unnest(%(guids)s::text[], %(user_guids)s::text[], %(member_guids)s::text[], %(client_guids)s::text[],
                         %(institution_codes)s::text[], %(statuses)s::text[])
        AS given (guid, user_guid, member_guid, client_guid, institution_code, status)
), put AS (
    INSERT INTO member_job (user_guid, guid, client_guid, member_guid, institution_code, kind, state, is_background,
                            include_transactions, follow_ups, callback_payload, requested_by, created_at, queued_at)
    SELECT user_guid, guid, client_guid, member_guid, institution_code, %(kind)s, 'queued', %(is_background)s,
           %(include_transactions)s, %(follow_ups)s, %(callback_payload)s, %(requested_by)s, %(now)s, %(now)s
    FROM given
    ON CONFLICT (user_guid, member_guid) WHERE state <> 'ended' DO NOTHING
    RETURNING guid
)
UPDATE member m
SET most_recent_job_guid = given.guid, connection_status = given.status, updated_at = %(now)s,
    {broken_since("given.status", "%(now)s")}
FROM given JOIN put USING (guid)
WHERE m.user_guid = given.user_guid AND m.guid = given.member_guid
RETURNING given.guid"""


async def put_jobs(
    connection: Connection,
    members: Mapping[str, tuple[LockedMember, ConnectionStatus]],
    request: JobRequest,
    now: datetime,
) -> frozenset[str]:
    """Queues a job of each member, and sets their new statuses.

    Args:
        connection: the transaction that has locked the members.
        members: each with its new status, by the guid of its job.
        request: what the jobs are.
        now: the current time.

    Returns:
        The guids of the jobs. A member that has a live job gets none.
    """
    kind, *follow_ups = request.kinds
    locked = [member for member, _ in members.values()]
    cursor = await connection.execute(
        _PUT_JOBS,
        {
            "guids": list(members),
            "user_guids": [each.user_guid for each in locked],
            "member_guids": [each.guid for each in locked],
            "client_guids": [each.client_guid for each in locked],
            "institution_codes": [each.institution_code for each in locked],
            "statuses": [status.value for _, status in members.values()],
            "kind": kind.value,
            "is_background": request.is_background,
            "include_transactions": request.include_transactions,
            "follow_ups": [each.value for each in follow_ups],
            "callback_payload": request.callback_payload,
            "requested_by": request.requested_by,
            "now": now,
        },
    )
    return frozenset(guid for (guid,) in await cursor.fetchall())


# --- questions and answers --------------------------------------------------------------------------------


def encode_challenges(challenges: Sequence[Challenge]) -> str:
    return json.dumps([asdict(challenge) for challenge in challenges])


async def challenges_of(connection: Connection, user_guid: str, member_guid: str) -> Sequence[Challenge]:
    """The questions that the member's job waits for; empty if it does not wait."""
    waiting = await _waiting(connection, user_guid, member_guid)
    return _decode(waiting) if waiting else ()


async def waiting_job(
    connection: Connection, member: LockedMember, now: datetime
) -> tuple[JobKey, Sequence[Challenge]] | None:
    """The waiting job of a locked member, with its questions. None if there is none or its time for answers is over."""
    waiting = await _waiting(connection, member.user_guid, member.guid)
    if waiting is None or waiting.waits_until < now:
        return None
    return JobKey(member.user_guid, waiting.guid), _decode(waiting)


async def resume(connection: Connection, job: JobKey, now: datetime) -> None:
    """Queues a waiting job of a locked member again.

    `claims` starts at 0 again; `attempt` does not, because an attempt number must never be used twice.
    """
    await run(
        connection,
        """UPDATE member_job
           SET state = 'queued', claims = 0, questions = NULL, waits_until = NULL, queued_at = %(now)s
           WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND state = 'waiting'""",
        {"user_guid": job.user_guid, "guid": job.guid, "now": now},
    )


async def _waiting(connection: Connection, user_guid: str, member_guid: str) -> _Waiting | None:
    return await fetch_one(
        connection,
        _Waiting,
        """SELECT guid, questions, waits_until FROM member_job
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND state = 'waiting'""",
        {"user_guid": user_guid, "member_guid": member_guid},
    )


def _decode(waiting: _Waiting) -> Sequence[Challenge]:
    challenges = (Challenge(**each) for each in waiting.questions)
    return tuple(
        replace(each, options=_options(each.options), image_options=_options(each.image_options))
        for each in challenges
    )


def _options(options: Sequence[Any]) -> list[ChallengeOption]:
    return [ChallengeOption(**each) for each in options]


# --- rate limits ------------------------------------------------------------------------------------------


async def was_aggregated_since(
    connection: Connection, member: LockedMember, since: datetime, *, with_transactions: bool
) -> bool:
    """Whether an aggregation that read at least the same data has succeeded since then."""
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


async def last_read(
    connection: Connection,
    user_guid: str,
    account_guid: str,
    kinds: Sequence[JobKind],
    *,
    of_transactions: bool,
) -> datetime | None:
    """When the newest successful job of one of these kinds began to read an account; None if there is none.

    What is stored of an open account can be older than the job, which could read other accounts of the member alone.

    Args:
        connection: a connection.
        user_guid: whose account it is.
        account_guid: the account.
        kinds: the kinds of the jobs.
        of_transactions: the account's transactions are meant. A job of another kind that reads the account leaves them
            as they were.
    """
    # Each is NULL for an account that no run has read since its migration; `transactions_read_at` also if no run could
    # read them.
    at = (
        "WHEN a.transactions_read_at IS NOT NULL THEN least(job.at, a.transactions_read_at)"
        if of_transactions
        else "ELSE least(job.at, a.read_at)"
    )
    found = await fetch_one(
        connection,
        _Moment,
        f"""SELECT CASE WHEN a.is_closed OR job.at IS NULL THEN job.at {at} END AS at
           FROM account a, LATERAL (
                SELECT max(started_at) AS at FROM member_job
                WHERE user_guid = a.user_guid AND member_guid = a.member_guid AND kind = ANY (%(kinds)s)
                  AND outcome = 'CONNECTED' AND (include_transactions OR kind <> 'AGGREGATION')) AS job
           WHERE a.user_guid = %(user_guid)s AND a.guid = %(account_guid)s""",
        {"user_guid": user_guid, "account_guid": account_guid, "kinds": [each.value for each in kinds]},
    )
    return found.at if found else None


async def nth_newest_job(
    connection: Connection, member: LockedMember, kind: JobKind, number: int
) -> datetime | None:
    """When the member's `number`-th newest job of the kind was requested; None if it has fewer."""
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


async def nth_newest_rejection(connection: Connection, member: LockedMember, number: int) -> datetime | None:
    """When the member's `number`-th newest job ended with a wrong answer; None if it has fewer."""
    found = await fetch_one(
        connection,
        _Moment,
        """SELECT ended_at AS at FROM member_job
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND outcome = %(outcome)s
           ORDER BY ended_at DESC OFFSET %(skipped)s LIMIT 1""",
        {
            "user_guid": member.user_guid,
            "member_guid": member.guid,
            "outcome": ConnectionStatus.REJECTED,
            "skipped": number - 1,
        },
    )
    return found.at if found else None


# --- maintenance and monitoring ---------------------------------------------------------------------------


async def change_member_of_job(
    connection: Connection, job: MemberJob, values: Mapping[str, object]
) -> Member:
    """Writes these columns of the member of a job that has ended, and returns the member as it is now.

    At the commit every worker wakes if the institution has queued jobs: the job freed a slot, which idle workers do not
    notice otherwise.
    """
    (row,) = await ask(
        connection,
        _change_members(frozenset(values)).answers,
        {
            **values,
            "user_guid": job.user_guid,
            "guid": job.member_guid,
            "institution_code": job.institution_code,
        },
    )
    return Member(*row)


@cache
def _change_members(names: frozenset[str]) -> CoalescedStatement:
    """The statement of `change_member_of_job`, with these columns."""
    asked = Asked(
        {
            "user_guid": "text",
            "guid": "text",
            "institution_code": "text",
            **{name: CHANGED_TYPES[name] for name in sorted(names)},
        }
    )
    # The join with `notified` is what executes it.
    return CoalescedStatement(
        asked,
        f"""WITH {asked.cte}, changed AS ({change_each(sorted(names), asked)}), notified AS (
                SELECT pg_notify('{CHANNEL}', '{TaskKind.MEMBER_JOB}')
                WHERE EXISTS (SELECT FROM asked CROSS JOIN LATERAL (
                                  SELECT FROM member_job
                                  WHERE state = 'queued' AND institution_code = asked.institution_code
                                  ORDER BY institution_code LIMIT 1) AS queued))
            SELECT member.caller, {columns(Member, "member.")}
            FROM {source_of("changed")} LEFT JOIN notified ON true""",
        (Member,),
    )


async def oldest_due(connection: Connection, now: datetime) -> datetime | None:
    """Since when the oldest job waits for a worker: it was queued, or its lease ended. None if no job waits."""
    found = await fetch_one(
        connection,
        _Moment,
        """SELECT min(due) AS at FROM (
               SELECT queued_at FROM member_job WHERE state = 'queued'
               UNION ALL
               SELECT lease_until FROM member_job WHERE state = 'running' AND lease_until < %(now)s
           ) AS late (due)""",
        {"now": now},
    )
    return found.at if found else None


async def drop_ended(connection: Connection, before: datetime) -> None:
    """Deletes jobs that ended before then, except each member's most recent job.

    Args:
        connection: in autocommit mode: each batch is a transaction of its own.
        before: the time.
    """
    deleted = DROPPED
    while deleted == DROPPED:
        deleted = await run(
            connection,
            # SKIP LOCKED: a job that is locked goes with its member, which is being deleted.
            f"""DELETE FROM member_job j USING (
                    SELECT j.user_guid, j.guid FROM member_job j
                    WHERE j.state = 'ended' AND j.ended_at < %(before)s AND {is_settled("j.user_guid")}
                      AND NOT EXISTS (SELECT FROM member m WHERE m.user_guid = j.user_guid
                                      AND m.most_recent_job_guid = j.guid)
                    LIMIT {DROPPED} FOR UPDATE SKIP LOCKED) AS old
                WHERE j.user_guid = old.user_guid AND j.guid = old.guid""",
            {"before": before},
        )


async def calls_of_institutions(connection: Connection, since: datetime) -> Sequence[InstitutionCalls]:
    """How often each institution was read by jobs that have ended since then, most calls first."""
    return await fetch_all(
        connection,
        InstitutionCalls,
        """SELECT institution_code, processor_guid, count(*) AS jobs, sum(attempt)::bigint AS calls
           FROM (SELECT institution_code, attempt,
                        CASE WHEN starts_with(requested_by, 'PPR-') THEN requested_by END AS processor_guid
                 FROM member_job WHERE state = 'ended' AND ended_at >= %(since)s) AS job
           GROUP BY institution_code, processor_guid
           ORDER BY calls DESC, institution_code, processor_guid NULLS FIRST""",
        {"since": since},
    )


async def requested_kinds(connection: Connection, user_guid: str, member_guid: str) -> frozenset[str]:
    """The kinds of the member's jobs that are kept, and of those that were to follow them."""
    rows = await fetch_all(
        connection,
        _Kind,
        """SELECT unnest(kind || follow_ups) AS kind FROM member_job
           WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s""",
        {"user_guid": user_guid, "member_guid": member_guid},
    )
    return frozenset(each.kind for each in rows)
