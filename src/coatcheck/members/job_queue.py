"""Where a member's jobs are put, and cleared away, whoever asks for it."""

from coatcheck.audit.entries import Entry
from coatcheck.db.database import Connection
from coatcheck.jobs.queue import TaskKind
from coatcheck.members import job_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.records import JobRequest, JobResult, LockedMember
from coatcheck.model.statuses import ConnectionStatus

BACKGROUND_PRIORITY = -10
"""Of wake-ups nobody waits for."""


class Queue:
    def __init__(self, dependencies: Dependencies) -> None:
        self._clock = dependencies.clock
        self._vault = dependencies.vault
        self._journal = dependencies.journal
        self._jobs = dependencies.jobs

    async def put(
        self, connection: Connection, member: LockedMember, request: JobRequest, status: ConnectionStatus
    ) -> None:
        """The job, the status that goes with it, its wake-up and its trace, all in the caller's transaction.

        The member is locked and no job of it is on its way.
        """
        job = await job_rows.put_job(connection, member, request, status=status, now=self._clock.now())
        await self._jobs.wake(
            connection,
            TaskKind.MEMBER_JOB,
            job.key,
            priority=BACKGROUND_PRIORITY if request.is_background else 0,
        )
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

    async def clear(self, connection: Connection, member: LockedMember, reason: str) -> None:
        """Ends the job that is on its way, if there is one. Whoever sits at the bank for it will save nothing."""
        live = await job_rows.live_job(connection, member.user_guid, member.guid)
        if live is None:
            return
        job_result = JobResult(state="ended", reason=reason, ended_at=self._clock.now())
        await job_rows.settle(connection, live, job_result, job_rows.LIVE)
        await self._vault.delete(connection, owner_guid=member.user_guid, record_guid=live.guid)
