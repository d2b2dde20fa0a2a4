"""Enqueues and cancels the jobs of members, in the caller's transaction."""

from coatcheck.audit.entries import Entry
from coatcheck.db.database import Connection
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members import job_leases, job_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.records import JobRequest, JobResult, LockedMember
from coatcheck.model.jobs import JobState
from coatcheck.model.statuses import ConnectionStatus


class JobQueue:
    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._journal = dependencies.journal

    async def enqueue(
        self, connection: Connection, member: LockedMember, request: JobRequest, status: ConnectionStatus
    ) -> None:
        """Writes the job, the member's new status and an audit entry, and notifies the workers.

        The caller has locked the member and checked that it has no live job.
        """
        job = await job_rows.put_job(connection, member, request, status=status, now=self._clock.now())
        await notify_workers(connection, TaskKind.MEMBER_JOB)
        await self._journal.record(
            connection,
            Entry(
                client_guid=member.client_guid,
                actor=request.requested_by,
                action="job.requested",
                subject=job.guid,
                detail={"kind": request.kinds[0].value, "member_guid": member.guid},
            ),
        )

    async def cancel(self, connection: Connection, member: LockedMember, reason: str) -> None:
        """Ends the member's live job, if it has one. A worker that runs the job cannot save its result."""
        live = await job_rows.live_job(connection, member.user_guid, member.guid)
        if live is None:
            return
        job_result = JobResult(state=JobState.ENDED, reason=reason, ended_at=self._clock.now())
        # Not the condition of a worker: the job ends even if a worker holds its lease.
        await job_leases.finish(connection, live, job_result, job_leases.LIVE)
        await self._vault.delete(connection, owner_guid=member.user_guid, record_guid=live.guid)
