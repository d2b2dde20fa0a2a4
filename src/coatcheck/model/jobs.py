"""Members' jobs, for clients and end users. `members` writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one
from coatcheck.errors import NotFound


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
