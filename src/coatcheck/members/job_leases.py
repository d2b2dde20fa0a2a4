"""Which worker a member's job belongs to, and until when.

    queued --claim--> running --finish--> ended
       ^                |  `----finish--> waiting (for answers)
       |<---release-----'                    |
       `<-----------------resume-------------'

A claim gives the job a new attempt number and a lease that its worker renews. When the lease has ended, another
worker claims the job under the next attempt number. Only the worker with the newest attempt can finish the job. Locks
are taken in one order everywhere: user, member, job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache

from coatcheck.db.coalescing import Asked, CoalescedStatement
from coatcheck.db.database import Connection, columns, fetch_all, run
from coatcheck.db.lockstep import ask
from coatcheck.members.records import JobKey, JobResult, MemberJob
from coatcheck.model.moving_users import is_settled

CLAIMING = 4_102
"""The key of an advisory lock. Claims run one at a time, so that the counts of running jobs are exact."""

RESULT_COLUMNS = tuple(field.name for field in fields(JobResult))
_NO_VALUES = {"attempt": None, "now": None, "max_claims": None}
"""Those of a `JobCondition` that has none."""
_FINISHED = Asked(
    {
        "user_guid": "text",
        "guid": "text",
        "state": "text",
        "outcome": "text",
        "reason": "text",
        "ended_at": "timestamptz",
        "waits_until": "timestamptz",
        "questions": "text",
        "is_authenticated": "boolean",
        "has_processed_accounts": "boolean",
        "has_processed_account_numbers": "boolean",
        "has_processed_transactions": "boolean",
        "attempt": "integer",
        "now": "timestamptz",
        "max_claims": "integer",
    }
)

CLAIM = f"""
WITH RECURSIVE queue AS (
    -- Each pair of institution and client that has queued jobs. The recursion makes one index look-up for each pair;
    -- DISTINCT would read every queued job.
    (SELECT institution_code, client_guid FROM member_job WHERE state = 'queued'
     ORDER BY institution_code, client_guid LIMIT 1)
    UNION ALL
    SELECT next_queue.institution_code, next_queue.client_guid
    FROM queue CROSS JOIN LATERAL (
        SELECT institution_code, client_guid FROM member_job
        WHERE state = 'queued' AND (institution_code, client_guid) > (queue.institution_code, queue.client_guid)
        ORDER BY institution_code, client_guid LIMIT 1) AS next_queue
),
occupied AS (
    -- A running job whose lease has ended takes no slot, because its worker has probably died.
    SELECT institution_code, count(*) AS jobs FROM member_job
    WHERE state = 'running' AND lease_until >= %(now)s GROUP BY institution_code
),
open_queue AS (
    SELECT institution_code, client_guid, coalesce(turn.number, 0) AS turn,
           max(coalesce(turn.number, 0)) OVER (PARTITION BY client_guid) AS client_turn,
           %(max_at_institution)s::bigint - coalesce(occupied.jobs, 0) AS free
    FROM queue
    LEFT JOIN occupied USING (institution_code)
    LEFT JOIN job_turn AS turn USING (institution_code, client_guid)
),
next_job AS (
    -- The oldest jobs of each queue. `round` is the position of a job in its queue.
    SELECT j.user_guid, j.guid, j.is_background, j.round, open_queue.*
    FROM open_queue CROSS JOIN LATERAL (
        SELECT user_guid, guid, is_background,
               row_number() OVER (PARTITION BY is_background ORDER BY created_at, guid) AS round
        FROM member_job
        WHERE state = 'queued' AND institution_code = open_queue.institution_code
          AND client_guid = open_queue.client_guid AND {is_settled("member_job.user_guid")}
        ORDER BY is_background, created_at, guid LIMIT least(open_queue.free, %(limit)s::bigint)) AS j
    WHERE open_queue.free > 0
),
at_institution AS (
    SELECT *, row_number() OVER (PARTITION BY institution_code ORDER BY is_background, round, turn, guid) AS slot
    FROM next_job
),
of_client AS (
    SELECT *, row_number() OVER (PARTITION BY client_guid, is_background ORDER BY round, turn, guid) AS client_round
    FROM at_institution WHERE slot <= free
),
chosen AS (
    SELECT j.user_guid, j.guid FROM member_job j
    JOIN (SELECT user_guid, guid FROM of_client
          ORDER BY is_background, client_round, client_turn, guid LIMIT %(limit)s::bigint) AS first
      USING (user_guid, guid)
    -- Checked again, because a job can be cancelled after the snapshot was taken. A locked row delays no claim.
    WHERE j.state = 'queued'
    FOR UPDATE OF j SKIP LOCKED
),
claimed AS (
    UPDATE member_job j
    SET state = 'running', attempt = attempt + 1, claims = claims + 1, lease_until = %(until)s,
        started_at = coalesce(started_at, %(now)s)
    FROM chosen WHERE j.user_guid = chosen.user_guid AND j.guid = chosen.guid
    RETURNING {columns(MemberJob, "j.")}
),
recorded_turn AS (
    INSERT INTO job_turn (institution_code, client_guid, number)
    SELECT institution_code, client_guid, nextval('job_turn_number')
    FROM (SELECT DISTINCT institution_code, client_guid FROM claimed) AS queue
    ON CONFLICT (institution_code, client_guid) DO UPDATE SET number = excluded.number
)
SELECT {columns(MemberJob)} FROM claimed ORDER BY is_background, guid"""


async def claim(
    connection: Connection,
    *,
    now: datetime,
    lease: timedelta,
    limit: int,
    max_claims: int,
    max_at_institution: int,
) -> Sequence[MemberJob]:
    """Claims queued jobs, and running ones whose lease has ended.

    Jobs that a user waits for come before background jobs. In each of the two groups, clients take turns at an
    institution, and the free slots of all institutions go to the clients in turn. The cost grows with the number
    of pairs of institution and client that have queued jobs, and not with the number of jobs.

    Args:
        connection: a transaction without other locks. It waits for an advisory lock, because claims run one at a
            time.
        now: the current time.
        lease: how long the worker holds the jobs without a renewal.
        limit: how many jobs are claimed at most.
        max_claims: a job that was claimed as often as this is not claimed again (see `exhausted`).
        max_at_institution: how many jobs of an institution run at once, over all workers.
    """
    # The timeout releases the advisory lock if this worker freezes inside the transaction. Sequential scans are
    # disabled because prepared plans are kept: one made for a small table would scan the table after it has grown.
    await run(
        connection,
        """SELECT set_config('idle_in_transaction_session_timeout', '5s', true),
                  set_config('enable_seqscan', 'off', true), pg_advisory_xact_lock(%(claiming)s)""",
        {"claiming": CLAIMING},
    )
    await run(
        connection,
        # SKIP LOCKED: a locked row belongs to a worker that saves its result at this moment.
        f"""WITH lapsed AS (
               SELECT user_guid, guid FROM member_job
               WHERE state = 'running' AND lease_until < %(now)s AND claims < %(max_claims)s
                 AND {is_settled("member_job.user_guid")}
               FOR UPDATE SKIP LOCKED)
           UPDATE member_job j SET state = 'queued', lease_until = NULL FROM lapsed
           WHERE j.user_guid = lapsed.user_guid AND j.guid = lapsed.guid""",
        {"now": now, "max_claims": max_claims},
    )
    return await fetch_all(
        connection,
        MemberJob,
        CLAIM,
        {"now": now, "until": now + lease, "limit": limit, "max_at_institution": max_at_institution},
    )


async def renew(connection: Connection, job: MemberJob, until: datetime) -> bool:
    """Extends the lease. Returns False if the worker no longer holds it."""
    # An ended lease is renewed too: as long as no other worker has claimed the job, nothing has been lost.
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
    """Queues the job again. Returns False if the worker no longer holds the lease.

    The claim is not counted, so that restarts of workers do not use up the attempts of a job.
    """
    return bool(
        await run(
            connection,
            """UPDATE member_job SET state = 'queued', lease_until = NULL, claims = claims - 1
               WHERE user_guid = %(user_guid)s AND guid = %(guid)s AND attempt = %(attempt)s
                 AND state = 'running'""",
            {"user_guid": job.user_guid, "guid": job.guid, "attempt": job.attempt},
        )
    )


@dataclass(frozen=True, slots=True)
class JobCondition:
    """An SQL condition on a job, `j`. A result is saved only if it holds when the job is updated."""

    sql: str
    values: Mapping[str, object]


def held_by(job: MemberJob) -> JobCondition:
    """The worker that claimed the job still holds its lease."""
    return JobCondition("j.attempt = %(attempt)s AND j.state = 'running'", {"attempt": job.attempt})


def exhausted(now: datetime, max_claims: int) -> JobCondition:
    """The job was claimed as often as it may be, and its last lease has ended."""
    return JobCondition(
        "j.state = 'running' AND j.lease_until < %(now)s AND j.claims >= %(max_claims)s",
        {"now": now, "max_claims": max_claims},
    )


def unanswered(now: datetime) -> JobCondition:
    """The job's questions were not answered in time."""
    return JobCondition("j.state = 'waiting' AND j.waits_until < %(now)s", {"now": now})


IS_ANY_DUE = """EXISTS (SELECT FROM member_job WHERE state = 'queued')
              OR EXISTS (SELECT FROM member_job WHERE state = 'running' AND lease_until < %(now)s)"""
"""A condition: `claim` may find a job."""
LIVE = JobCondition("j.state <> 'ended'", {})
"""The job is queued, running or waiting."""


async def find_all(connection: Connection, condition: JobCondition) -> Sequence[MemberJob]:
    """The jobs that meet the condition, at most 500."""
    return await fetch_all(
        connection,
        MemberJob,
        f"""SELECT {columns(MemberJob)} FROM member_job j
            WHERE {condition.sql} AND {is_settled("j.user_guid")} LIMIT 500""",
        condition.values,
    )


async def finish(
    connection: Connection, job: JobKey | MemberJob, job_result: JobResult, condition: JobCondition
) -> bool:
    """Ends the job, or lets it wait for answers. Returns False if the condition does not hold: save nothing.

    Args:
        connection: the transaction that saves the result. It has locked the member.
        job: the job.
        job_result: the new values of its row.
        condition: what must be true of the job.
    """
    ended = await ask(
        connection,
        _finish_where(condition.sql).answers,
        {
            "user_guid": job.user_guid,
            "guid": job.guid,
            # `asdict` copies every value.
            **{name: getattr(job_result, name) for name in RESULT_COLUMNS},
            **_NO_VALUES,
            **condition.values,
        },
    )
    return bool(ended)


@cache
def _finish_where(condition: str) -> CoalescedStatement:
    casts = {"questions": "::jsonb"}
    changes = ", ".join(f"{name} = asked.{name}{casts.get(name, '')}" for name in RESULT_COLUMNS)
    return CoalescedStatement(
        _FINISHED,
        f"""WITH {_FINISHED.cte}, ended AS (
                UPDATE member_job j SET {changes}, lease_until = NULL FROM asked
                WHERE j.user_guid = asked.user_guid AND j.guid = asked.guid AND {_FINISHED.of("asked", condition)}
                RETURNING asked.caller
            )
            SELECT caller FROM ended""",
        (),
    )
