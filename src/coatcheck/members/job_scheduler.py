"""The worker's side of the job queue: claims jobs, ends abandoned jobs, starts the daily aggregation."""

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from coatcheck.connectors.contract import JobKind
from coatcheck.members import job_leases, member_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.job_leases import JobCondition
from coatcheck.members.job_queue import JobQueue
from coatcheck.members.outcome import JobFinisher, LeaseLost
from coatcheck.members.records import JobRequest, MemberJob
from coatcheck.members.status import BACKGROUND, MemberEvent

REQUESTED_BY = "coatcheck"
"""`requested_by` of the daily aggregation."""
RETRY_DEGRADED = timedelta(hours=1)
"""How soon a background aggregation is repeated after a temporary failure (DEGRADED)."""
REFRESH_BATCH = 200


class JobScheduler:
    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._seeding = dependencies.seeding
        self._queue = JobQueue(dependencies)
        self._finisher = JobFinisher(dependencies)

    async def claim(self, limit: int, *, max_at_institution: int | None = None) -> Sequence[MemberJob]:
        """Claims at most `limit` jobs, and at most as many as their institutions have free slots.

        `max_at_institution` stands for the setting `institution_concurrency`.
        """
        async with self._db.transaction() as connection:
            return await job_leases.claim(
                connection,
                now=self._clock.now(),
                lease=self._settings.job_lease,
                limit=limit,
                max_claims=self._settings.job_attempts,
                max_at_institution=max_at_institution or self._settings.institution_concurrency,
            )

    async def sweep(self) -> None:
        """Ends jobs whose questions were not answered in time, and jobs that were claimed too often."""
        now = self._clock.now()
        await self._end_all(MemberEvent.NOT_ANSWERED, job_leases.unanswered(now))
        await self._end_all(MemberEvent.EXHAUSTED, job_leases.exhausted(now, self._settings.job_attempts))

    async def refresh(self) -> int:
        """Starts the daily aggregation of at most 200 due members. Returns the number of members that were due.

        `Members.start` is not used, because it refuses an institution that is no longer offered. Here the job must
        run: it sets the member's status to DISCONTINUED.
        """
        now = self._clock.now()
        async with self._db.transaction() as connection:
            due = await member_rows.lock_stale_members(
                connection,
                statuses=[status.value for status in BACKGROUND],
                before=_minute_after(now - self._settings.background_interval),
                retry_before=_minute_after(now - RETRY_DEGRADED),
                limit=REFRESH_BATCH,
            )
            if due:
                request = JobRequest(
                    kinds=(JobKind.AGGREGATION,), requested_by=REQUESTED_BY, is_background=True
                )
                await self._queue.enqueue_each(connection, due, request)
        return len(due)

    async def _end_all(self, member_event: MemberEvent, condition: JobCondition) -> None:
        """Ends the jobs that meet the condition. It is checked again after the member is locked."""
        async with self._db.connection() as connection:
            jobs = await job_leases.find_all(connection, condition)
        for job in jobs:
            with contextlib.suppress(LeaseLost), self._seeding.once(job.guid, "end"):
                async with self._db.transaction() as connection:
                    await self._finisher.finish_job(connection, job, member_event, condition)


def _minute_after(at: datetime) -> datetime:
    """The begin of the next minute. Aggregations are due by the minute, so that those of one minute start together."""
    return at.replace(second=0, microsecond=0) + timedelta(minutes=1)
