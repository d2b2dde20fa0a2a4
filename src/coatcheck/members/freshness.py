"""Reads of tokens that ask for data of a greatest age (`max_age`).

    the newest job that read this kind of data is young enough --> read
    otherwise: start a job, or join the one that runs --> wait for its end --> read, or NotFresh

Every read that waits for a member waits for the same job, so that one call of the institution serves them all.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.db.database import Connection
from coatcheck.deadline import remaining
from coatcheck.errors import JobRunning, NotFresh, TooManyRequests
from coatcheck.grants.access import Access
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.grants.restrictions import ReadKind
from coatcheck.members import job_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.member_rows import lock_member
from coatcheck.members.members import Members
from coatcheck.members.records import JobRequest
from coatcheck.model.members import find_member
from coatcheck.model.tokens import LiveToken

WAIT = timedelta(seconds=8)
"""How long a read waits for the institution at most. The request has a deadline of its own."""
MARGIN = 1.0
"""Seconds of the request's deadline that are left for the read itself."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 0.5
"""Seconds between two looks at the job. The pause doubles."""
JOBS: Mapping[ReadKind, tuple[JobKind, ...]] = MappingProxyType(
    {
        ReadKind.NUMBERS: (JobKind.VERIFICATION,),
        ReadKind.OWNERS: (JobKind.IDENTIFICATION,),
        ReadKind.TRANSACTIONS: (JobKind.AGGREGATION,),
        ReadKind.BALANCES: (JobKind.BALANCE, JobKind.AGGREGATION),
    }
)
"""The jobs that read each kind of data. The first that the institution offers is started."""


class Freshness:
    def __init__(self, dependencies: Dependencies, members: Members, access: Access) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._db = dependencies.db
        self._registry = dependencies.registry
        self._members = members
        self._access = access

    async def ensure(self, presented: PresentedToken, kind: ReadKind, max_age: timedelta) -> None:
        """Returns when the data of the token's account was read at most `max_age` before this call.

        It reads no data, so nothing is counted or disclosed.

        Raises:
            NotFresh: the institution failed, needs the user, or did not answer in time.
            TooManyRequests: the institution is read as often as its limits and the processor's budget allow.
            ConstraintNotMet: the member has no institution that can be asked, or its status allows no job.
            InvalidToken, InvalidDPoPProof, Forbidden: as a read with the token.
        """
        oldest = self._clock.now() - max_age
        # Not the clock of the services, which stands still or jumps in a sandbox: the caller waits in real time.
        loop = asyncio.get_running_loop()
        end = loop.time() + max(0.0, remaining(WAIT.total_seconds() + MARGIN) - MARGIN)
        started: set[str] = set()
        # Before the transaction, whose refusals would let the proof be used again.
        await self._access.mark_proof(presented)
        while True:
            async with self._db.transaction() as connection:
                token = await self._access.authorize(connection, presented, kind)
                # Without the lock first: a read of fresh data must not wait until the result of a job is saved.
                if await self._is_fresh(connection, token, kind, oldest):
                    return
                if started:
                    # Its own job ended, and the data is as old as before.
                    raise NotFresh
                # A job ends under the lock of its member: without it, one that ends now would be run again.
                await lock_member(connection, token.user_guid, token.member_guid)
                if await self._is_fresh(connection, token, kind, oldest):
                    return
                job_guid, is_ours = await self._job(connection, token, kind)
                if is_ours:
                    started.add(job_guid)
            # Outside the transaction: waiting reads must not occupy the connections of the pool.
            await self._wait(token, job_guid, end)

    async def _is_fresh(
        self, connection: Connection, token: LiveToken, kind: ReadKind, oldest: datetime
    ) -> bool:
        read_at = await job_rows.last_read(
            connection,
            token.user_guid,
            token.account_guid,
            JOBS[kind],
            of_transactions=kind is ReadKind.TRANSACTIONS,
        )
        return read_at is not None and read_at >= oldest

    async def _job(self, connection: Connection, token: LiveToken, kind: ReadKind) -> tuple[str, bool]:
        """The job to wait for, and whether it reads this kind of data."""
        member = await find_member(connection, token.user_guid, token.member_guid)
        institution = None if member.is_manual else self._registry.find(member.institution_code)
        job_kind = _job_kind(kind, institution)
        request = JobRequest(
            kinds=(job_kind,),
            requested_by=token.processor_guid,
            # Its user is not present, and jobs that a user waits for come first.
            is_background=True,
            is_budgeted=True,
        )
        is_ours = True
        try:
            await self._members.start(connection, member, request)
        except JobRunning:
            is_ours = False
        live = await job_rows.live_job(connection, token.user_guid, token.member_guid)
        if live is None:
            raise TooManyRequests(
                self._settings.aggregation_interval, "The institution was read a short time ago."
            )
        return live.guid, is_ours

    async def _wait(self, token: LiveToken, job_guid: str, end: float) -> None:
        """Waits until the job has ended.

        Raises:
            NotFresh: it has not ended in time, or waits for answers of the user.
        """
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            async with self._db.connection() as connection:
                live = await job_rows.live_job(connection, token.user_guid, token.member_guid)
                if live is None or live.guid != job_guid:
                    return
            if not live.is_runnable:
                raise NotFresh
            left = end - loop.time()
            if left <= 0:
                raise NotFresh("The institution is still being read. Try again shortly.")
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)


def _job_kind(kind: ReadKind, institution: Institution | None) -> JobKind:
    first, *others = JOBS[kind]
    if institution is None:
        return first
    return next((each for each in (first, *others) if each in institution.supports), first)
