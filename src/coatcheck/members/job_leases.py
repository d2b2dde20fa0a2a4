"""Which worker a member's job belongs to, and until when.

    queued --claim--> running --finish--> ended
       ^                |  `----finish--> waiting (for answers)
       |<---release-----'                    |
       `<-----------------resume-------------'

A claim gives the job a new attempt number and a lease that its worker renews. When the lease has ended, another
worker claims the job under the next attempt number. Whoever finishes a job must still hold the newest attempt. Locks
are taken in one order everywhere: user, member, job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from coatcheck.db.database import Connection, columns, fetch_all, run
from coatcheck.members.records import JobKey, JobResult, MemberJob

CLAIMING = 4_102
"""Advisory lock: one claim at a time makes the counts of running jobs exact."""

CLAIM = f"""
WITH RECURSIVE line AS (
    -- Each pair of institution and client that has queued jobs, found by one index look-up for each.
    (SELECT institution_code, client_guid FROM member_job WHERE state = 'queued'
     ORDER BY institution_code, client_guid LIMIT 1)
    UNION ALL
    SELECT next_line.institution_code, next_line.client_guid
    FROM line CROSS JOIN LATERAL (
        SELECT institution_code, client_guid FROM member_job
        WHERE state = 'queued' AND (institution_code, client_guid) > (line.institution_code, line.client_guid)
        ORDER BY institution_code, client_guid LIMIT 1) AS next_line
),
occupied AS (
    SELECT institution_code, count(*) AS jobs FROM member_job
    WHERE state = 'running' AND lease_until >= %(now)s GROUP BY institution_code
),
open_line AS (
    SELECT institution_code, client_guid, coalesce(turn.number, 0) AS turn,
           max(coalesce(turn.number, 0)) OVER (PARTITION BY client_guid) AS client_turn,
           %(max_at_institution)s::bigint - coalesce(occupied.jobs, 0) AS free
    FROM line
    LEFT JOIN occupied USING (institution_code)
    LEFT JOIN job_turn AS turn USING (institution_code, client_guid)
),
next_job AS (
    -- The first jobs of each line; the round counts them.
    SELECT j.user_guid, j.guid, j.is_background, j.round, open_line.*
    FROM open_line CROSS JOIN LATERAL (
        SELECT user_guid, guid, is_background,
               row_number() OVER (PARTITION BY is_background ORDER BY created_at, guid) AS round
        FROM member_job
        WHERE state = 'queued' AND institution_code = open_line.institution_code
          AND client_guid = open_line.client_guid
        ORDER BY is_background, created_at, guid LIMIT least(open_line.free, %(limit)s::bigint)) AS j
    WHERE open_line.free > 0
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
turned AS (
    INSERT INTO job_turn (institution_code, client_guid, number)
    SELECT institution_code, client_guid, nextval('job_turn_number')
    FROM (SELECT DISTINCT institution_code, client_guid FROM claimed) AS line
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

    Jobs that a person waits for come before background ones. Within each, clients take turns at an institution,
    and institutions' free slots go to the clients in turn. The cost grows with the number of pairs of institution
    and client that have queued jobs, and not with the number of jobs.

    Args:
        connection: a transaction that holds nothing else; claims run one at a time, so that no institution gets
            more jobs than it may.
        now: the current time.
        lease: how long the jobs are ours unless renewed.
        limit: how many jobs are claimed at most.
        max_claims: a job that was claimed as often as this is not claimed again (see `exhausted`).
        max_at_institution: how many jobs of an institution run at once, over all workers.
    """
    # A worker that is frozen inside this transaction must not keep the others from claiming. A plan that was made
    # while the table was small must not scan it when it has grown.
    await run(
        connection,
        """SELECT set_config('idle_in_transaction_session_timeout', '5s', true),
                  set_config('enable_seqscan', 'off', true), pg_advisory_xact_lock(%(claiming)s)""",
        {"claiming": CLAIMING},
    )
    await run(
        connection,
        """WITH lapsed AS (
               SELECT user_guid, guid FROM member_job
               WHERE state = 'running' AND lease_until < %(now)s AND claims < %(max_claims)s
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
    """Extends the lease; False when the worker no longer holds it."""
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
    """Queues the job again, without counting the claim; False when the worker no longer holds it."""
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
class JobLease:
    """What must be true of a job (`j` in the SQL) for its result to be saved."""

    condition: str
    values: Mapping[str, object]


def held_by(job: MemberJob) -> JobLease:
    """The worker that claimed the job still holds it."""
    return JobLease("j.attempt = %(attempt)s AND j.state = 'running'", {"attempt": job.attempt})


def exhausted(now: datetime, max_claims: int) -> JobLease:
    """The job was claimed as often as it may be, and its last lease has ended."""
    return JobLease(
        "j.state = 'running' AND j.lease_until < %(now)s AND j.claims >= %(max_claims)s",
        {"now": now, "max_claims": max_claims},
    )


def unanswered(now: datetime) -> JobLease:
    """The job's questions were not answered in time."""
    return JobLease("j.state = 'waiting' AND j.waits_until < %(now)s", {"now": now})


LIVE = JobLease("j.state <> 'ended'", {})


async def find_all(connection: Connection, job_lease: JobLease) -> Sequence[MemberJob]:
    """Jobs that meet the condition, 500 at most."""
    return await fetch_all(
        connection,
        MemberJob,
        f"SELECT {columns(MemberJob)} FROM member_job j WHERE {job_lease.condition} LIMIT 500",
        job_lease.values,
    )


async def finish(
    connection: Connection, job: JobKey | MemberJob, job_result: JobResult, job_lease: JobLease
) -> bool:
    """Ends the job, or lets it wait for answers, if the condition holds. False: it does not; save nothing.

    Args:
        connection: the transaction that saves everything else; it has locked the member.
        job: the job.
        job_result: the new values of its row.
        job_lease: what must be true of it.
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
