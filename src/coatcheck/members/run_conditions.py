"""What a run must know before it starts, read in one statement: whether it may, and from which day on it reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from coatcheck.connectors.contract import Connector, JobKind
from coatcheck.db.coalescing import Asked, CoalescedStatement
from coatcheck.db.database import Connection
from coatcheck.db.lockstep import ask
from coatcheck.errors import BankUnavailable, InstitutionRefused, UserDisabled
from coatcheck.members.reading_periods import KNOWN_SINCE, reads_new_days
from coatcheck.members.records import MemberJob
from coatcheck.members.validation import check_availability
from coatcheck.model.institution_statuses import (
    STATUS_COLUMNS,
    Availability,
    ClientStatus,
    InstitutionStatus,
)


@dataclass(frozen=True, slots=True)
class _Conditions:
    user_is_disabled: bool
    """Also if the user was deleted."""
    status: str
    client_status: str
    known_since: dict[str, str] | None


_ASKED = Asked(
    {
        "user_guid": "text",
        "member_guid": "text",
        "client_guid": "text",
        "institution_code": "text",
        "overlap": "integer",
        "overlap_of_pending": "integer",
    }
)


def _statement(known_since: str) -> CoalescedStatement:
    columns = f"""
        coalesce((SELECT is_disabled FROM end_user WHERE guid = %(user_guid)s), true) AS user_is_disabled,
        {STATUS_COLUMNS}, {known_since} AS known_since"""
    return CoalescedStatement(
        _ASKED,
        f"WITH {_ASKED.cte} SELECT asked.caller, {_ASKED.of('asked', columns)} FROM asked",
        (_Conditions,),
    )


OF_ALL_DAYS, OF_NEW_DAYS = _statement("NULL::json"), _statement(f"({KNOWN_SINCE})")


async def check_run(connection: Connection, job: MemberJob, connector: Connector) -> Mapping[str, date]:
    """Checks that the job may run now.

    Args:
        connection: any connection.
        job: the job.
        connector: reads the job's institution.

    Returns:
        By the institution's ids of the accounts, the first day that the job needs to read. The others need all days.

    Raises:
        UserDisabled: the user's data must not be read.
        BankUnavailable: since the job was requested, the operator has forbidden it at the institution.
    """
    statement = OF_NEW_DAYS if reads_new_days(job) else OF_ALL_DAYS
    (row,) = await ask(
        connection,
        statement.answers,
        {
            "user_guid": job.user_guid,
            "member_guid": job.member_guid,
            "client_guid": job.client_guid,
            "institution_code": job.institution_code,
            "overlap": connector.overlap.days,
            "overlap_of_pending": connector.overlap_of_pending.days,
        },
    )
    found = _Conditions(*row)
    if found.user_is_disabled:
        raise UserDisabled
    available = Availability(InstitutionStatus(found.status), ClientStatus(found.client_status))
    try:
        check_availability(available, [JobKind(job.kind)])
    except InstitutionRefused as refusal:
        raise BankUnavailable(refusal.problem) from None
    return {id: date.fromisoformat(day) for id, day in (found.known_since or {}).items()}
