"""Enqueues and cancels the jobs of members, in the caller's transaction."""

from collections.abc import Mapping, Sequence

from coatcheck import ids
from coatcheck.audit.entries import Entry
from coatcheck.db.database import Connection
from coatcheck.jobs.notifications import notify_workers
from coatcheck.jobs.tasks import TaskKind
from coatcheck.members import job_leases, job_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.records import JobRequest, JobResult, LockedMember
from coatcheck.members.status import status_after_start
from coatcheck.model.jobs import JobState
from coatcheck.model.statuses import ConnectionStatus


class JobQueue:
    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._journal = dependencies.journal
        self._seeding = dependencies.seeding

    async def enqueue(
        self, connection: Connection, member: LockedMember, request: JobRequest, status: ConnectionStatus
    ) -> str:
        """Writes the job, the member's new status and an audit entry, and notifies the workers.

        The caller has locked the member and checked that it has no live job. Returns the guid of the job.
        """
        guid = ids.new("JOB")
        await self._put(connection, {guid: (member, status)}, request)
        await notify_workers(connection, TaskKind.MEMBER_JOB)
        return guid

    async def enqueue_each(
        self, connection: Connection, members: Sequence[LockedMember], request: JobRequest
    ) -> None:
        """As `enqueue` for each of the members that can have a new job, in as many statements as for one."""
        jobs = {}
        for member in members:
            status = status_after_start(member.status)
            if status is not None:
                with self._seeding.about(member.guid):
                    jobs[ids.new("JOB")] = member, status
        if jobs:
            # No request or run is the scope of the guids of the audit entries.
            with self._seeding.once(next(iter(jobs)), "queued"):
                await self._put(connection, jobs, request)
            await notify_workers(connection, TaskKind.MEMBER_JOB)

    async def _put(
        self,
        connection: Connection,
        jobs: Mapping[str, tuple[LockedMember, ConnectionStatus]],
        request: JobRequest,
    ) -> None:
        put = await job_rows.put_jobs(connection, jobs, request, self._clock.now())
        entries = [
            Entry(
                client_guid=member.client_guid,
                actor=request.requested_by,
                action="job.requested",
                subject=guid,
                detail={"kind": request.kinds[0].value, "member_guid": member.guid},
            )
            for guid, (member, _) in jobs.items()
            if guid in put
        ]
        await self._journal.record_each(connection, entries)

    async def cancel(self, connection: Connection, member: LockedMember, reason: str) -> None:
        """Ends the member's live job, if it has one. A worker that runs the job cannot save its result."""
        live = await job_rows.live_job(connection, member.user_guid, member.guid)
        if live is None:
            return
        job_result = JobResult(state=JobState.ENDED, reason=reason, ended_at=self._clock.now())
        # Not the condition of a worker: the job ends even if a worker holds its lease.
        await job_leases.finish(connection, live, job_result, job_leases.LIVE)
        # The answers of the user and the connector's `resume` are valid for this job only.
        await self._vault.delete(connection, owner_guid=member.user_guid, record_guid=live.guid)
