"""Members' jobs, for clients and end users. `members` writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one
from coatcheck.errors import NotFound
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page


class JobState(StrEnum):
    #: Waits for a worker.
    QUEUED = "queued"
    #: A worker runs it.
    RUNNING = "running"
    #: The institution asked questions that are not answered yet.
    WAITING = "waiting"
    #: Succeeded, failed or was cancelled.
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Job:
    guid: str
    user_guid: str
    member_guid: str
    kind: str
    state: str
    """A `JobState`."""
    follow_ups: list[str]
    """The kinds of the jobs that follow if it succeeds."""
    outcome: str | None
    """The connection status of the member after the job."""
    reason: str | None
    is_authenticated: bool
    has_processed_accounts: bool
    has_processed_account_numbers: bool
    has_processed_transactions: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class JobView(StrEnum):
    """What an operator lists."""

    RUNNING = "running"
    STUCK = "stuck"
    """Its lease has ended, and no worker has claimed it since."""
    QUEUED = "queued"
    WAITING = "waiting"
    FAILED = "failed"
    """It ended, and the member is not connected after it."""


def _by(order: str, *conditions: str) -> Selection:
    return Selection("member_job", (order, "guid"), conditions=conditions, moving={"now", "since"})


SELECTIONS: Mapping[JobView, Selection] = MappingProxyType(
    {
        JobView.RUNNING: _by("started_at", "state = 'running'"),
        JobView.STUCK: _by("lease_until", "state = 'running'", "lease_until < %(now)s"),
        JobView.QUEUED: _by("queued_at", "state = 'queued'"),
        JobView.WAITING: _by("waits_until", "state = 'waiting'"),
        JobView.FAILED: _by(
            "ended_at DESC", "state = 'ended'", "ended_at > %(since)s", "outcome IS DISTINCT FROM 'CONNECTED'"
        ),
    }
)
FAILED_WITHIN = timedelta(days=7)
"""Jobs that failed before are not listed."""


@dataclass(frozen=True, slots=True)
class HourOfJobs:
    """The jobs that ended in one hour."""

    hour: datetime
    succeeded: int
    failed: int


async def list_jobs(connection: Connection, view: JobView, now: datetime, page: PageRequest) -> Page[Job]:
    """A page of the jobs of all users."""
    values = {"now": now, "since": now - FAILED_WITHIN}
    return await fetch_page(connection, Job, replace(SELECTIONS[view], values=values), page)


async def hours_of_jobs(connection: Connection, since: datetime) -> Sequence[HourOfJobs]:
    """How many jobs ended in each hour since then. Hours without one are left out."""
    return await fetch_all(
        connection,
        HourOfJobs,
        """SELECT date_trunc('hour', ended_at, 'UTC') AS hour,
                  count(*) FILTER (WHERE outcome = 'CONNECTED') AS succeeded,
                  count(*) FILTER (WHERE outcome IS DISTINCT FROM 'CONNECTED') AS failed
           FROM member_job WHERE state = 'ended' AND ended_at >= %(since)s GROUP BY hour ORDER BY hour""",
        {"since": since},
    )


async def find_job(connection: Connection, user_guid: str, guid: str) -> Job:
    """The user's job with this guid.

    Raises:
        NotFound: the user has no such job.
    """
    job = await fetch_one(
        connection,
        Job,
        f"SELECT {columns(Job)} FROM member_job WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
        {"user_guid": user_guid, "guid": guid},
    )
    if job is None:
        raise NotFound
    return job


async def newest_jobs(
    connection: Connection, user_guid: str, member_guid: str, *, limit: int = 20
) -> Sequence[Job]:
    """The member's jobs, newest first."""
    return await fetch_all(
        connection,
        Job,
        f"""SELECT {columns(Job)} FROM member_job
            WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s
            ORDER BY created_at DESC, guid DESC LIMIT %(limit)s""",
        {"user_guid": user_guid, "member_guid": member_guid, "limit": limit},
    )
