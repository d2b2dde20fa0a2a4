"""The worker's side of the job queue: claims jobs, ends those that nobody will finish, starts the daily aggregation."""

import contextlib
from collections.abc import Sequence
from datetime import timedelta

from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.errors import NotFound
from coatcheck.members import job_leases, job_rows, member_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.job_leases import JobLease
from coatcheck.members.job_queue import JobQueue
from coatcheck.members.member_rows import MemberKey
from coatcheck.members.outcome import JobFinisher, LeaseLost
from coatcheck.members.records import JobRequest, MemberJob
from coatcheck.members.status import BACKGROUND, MemberEvent, status_after_start

COATCHECK = "coatcheck"
"""Who requests the daily aggregation."""
RETRY_DEGRADED = timedelta(hours=1)
"""How soon a background aggregation is tried again when the institution had trouble."""
REFRESH_BATCH = 200


class JobScheduler:
    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._queue = JobQueue(dependencies)
        self._finisher = JobFinisher(dependencies)

    async def claim(self, limit: int) -> Sequence[MemberJob]:
        """Claims jobs for a lease, at most `limit` and at most as many as their institutions have free slots."""
        async with self._db.transaction() as connection:
            return await job_leases.claim(
                connection,
                now=self._clock.now(),
                lease=self._settings.job_lease,
                limit=limit,
                max_claims=self._settings.job_attempts,
                max_at_institution=self._settings.institution_concurrency,
            )

    async def sweep(self) -> None:
        """Ends jobs whose questions were not answered in time, and jobs that were claimed too often."""
        now = self._clock.now()
        await self._end_all(MemberEvent.NOT_ANSWERED, job_leases.unanswered(now))
        await self._end_all(MemberEvent.EXHAUSTED, job_leases.exhausted(now, self._settings.job_attempts))

    async def refresh(self) -> int:
        """Starts the daily aggregation of members that are due, 200 at most; returns how many were found due."""
        now = self._clock.now()
        async with self._db.connection() as connection:
            due = await member_rows.stale_members(
                connection,
                statuses=[status.value for status in BACKGROUND],
                before=now - self._settings.background_interval,
                retry_before=now - RETRY_DEGRADED,
                limit=REFRESH_BATCH,
            )
        for key in due:
            async with self._db.transaction() as connection:
                await self._start_daily(connection, key)
        return len(due)

    async def _start_daily(self, connection: Connection, key: MemberKey) -> None:
        """Starts it, unless the member was deleted, disabled or given a job since it was found due.

        `Members.start` is not used: an institution that is no longer offered must end the member's connection,
        which the job does, and not be refused.
        """
        with contextlib.suppress(NotFound):
            locked = await member_rows.lock_member(connection, key.user_guid, key.guid)
            status = status_after_start(locked.status)
            if locked.status not in BACKGROUND or status is None or locked.user_is_disabled:
                return
            if await job_rows.live_job(connection, locked.user_guid, locked.guid) is None:
                request = JobRequest(kinds=(JobKind.AGGREGATION,), requested_by=COATCHECK, is_background=True)
                await self._queue.enqueue(connection, locked, request, status)

    async def _end_all(self, member_event: MemberEvent, job_lease: JobLease) -> None:
        """Ends every job that meets the condition and still does when its member is locked."""
        async with self._db.connection() as connection:
            jobs = await job_leases.find_all(connection, job_lease)
        for job in jobs:
            with contextlib.suppress(LeaseLost):
                async with self._db.transaction() as connection:
                    await self._finisher.finish_job(connection, job, member_event, job_lease)
