"""Which jobs of a member may start: what the institution offers and the operator permits, and how often."""

from collections.abc import Sequence
from datetime import timedelta

from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.db.database import Connection
from coatcheck.errors import ConstraintNotMet, NotFound, TooManyRequests
from coatcheck.members import job_rows
from coatcheck.members.dependencies import Dependencies
from coatcheck.members.records import JobRequest, LockedMember
from coatcheck.members.validation import check_availability, check_jobs, refusal_reason
from coatcheck.model.institution_statuses import availability
from coatcheck.model.statuses import ConnectionStatus

BALANCE_CHECKS, BALANCE_PERIOD = 5, timedelta(hours=2)
"""Balance jobs of one member in a period (MX's limit, from third-party reports)."""

WRONG_ANSWERS, ANSWER_PERIOD = 10, timedelta(hours=1)
"""Wrong answers of one member in a period, so that whoever has the link of a user cannot try all answers."""


class JobAdmission:
    """The caller has locked the member."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._clock = dependencies.clock
        self._registry = dependencies.registry

    async def check_jobs(
        self, connection: Connection, locked_member: LockedMember, kinds: Sequence[JobKind] = ()
    ) -> Institution:
        """The institution of the member, if these jobs may start there.

        Raises:
            ConstraintNotMet: no connector offers the institution any more.
            InstitutionRefused: the operator does not permit them.
            JobNotSupported: the institution does not offer one of them.
        """
        institution = self.institution(locked_member)
        check_jobs(institution, kinds)
        check_availability(await availability(connection, locked_member.client_guid, institution.code), kinds)
        return institution

    def institution(self, locked_member: LockedMember) -> Institution:
        try:
            return self._registry.find(locked_member.institution_code)
        except NotFound:
            raise ConstraintNotMet(refusal_reason(ConnectionStatus.DISCONTINUED)) from None

    async def is_throttled(
        self, connection: Connection, locked_member: LockedMember, request: JobRequest
    ) -> bool:
        """Whether a job is skipped because the same job succeeded recently.

        A member that is not CONNECTED is never throttled.

        Raises:
            TooManyRequests: the balance was checked too often.
        """
        now, kind = self._clock.now(), request.kinds[0]
        if kind is JobKind.BALANCE:
            oldest = await job_rows.nth_newest_job(connection, locked_member, kind, BALANCE_CHECKS)
            if oldest and oldest > now - BALANCE_PERIOD:
                raise TooManyRequests(oldest + BALANCE_PERIOD - now)
        return (
            kind is JobKind.AGGREGATION
            and locked_member.status is ConnectionStatus.CONNECTED
            and await job_rows.was_aggregated_since(
                connection,
                locked_member,
                now - self._settings.aggregation_interval,
                with_transactions=request.include_transactions,
            )
        )

    async def check_wrong_answers(self, connection: Connection, locked_member: LockedMember) -> None:
        """Raises TooManyRequests if the member had as many wrong answers as it may have."""
        now = self._clock.now()
        oldest = await job_rows.nth_newest_rejection(connection, locked_member, WRONG_ANSWERS)
        if oldest and oldest > now - ANSWER_PERIOD:
            raise TooManyRequests(oldest + ANSWER_PERIOD - now)
