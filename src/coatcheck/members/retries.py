"""Starting again what a job of a member did not finish."""

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.members.members import Members
from coatcheck.members.records import JobRequest
from coatcheck.model.jobs import Job
from coatcheck.model.members import find_member


async def retry_job(
    members: Members, journal: Journal, connection: Connection, job: Job, *, actor: str
) -> str:
    """Starts a job of the same kinds on the member, and returns its guid.

    Raises:
        NotFound: the member was deleted meanwhile.
        Refusal: the member allows no such job now, as `Members.start` says.
    """
    member = await find_member(connection, job.user_guid, job.member_guid)
    wanted = JobRequest(kinds=[JobKind(kind) for kind in (job.kind, *job.follow_ups)], requested_by=actor)
    started = await members.start(connection, member, wanted)
    entry = Entry(
        client_guid=member.client_guid,
        actor=actor,
        action="job.retried",
        subject=job.guid,
        detail={"kind": job.kind, "member_guid": member.guid},
    )
    await journal.record(connection, entry)
    return started.most_recent_job_guid or job.guid
