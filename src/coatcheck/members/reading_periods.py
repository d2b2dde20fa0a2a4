"""From which day on a daily aggregation reads the transactions of each account.

    an account that was never read, or that another connector read --> all 90 days
    any other                                                      --> since its last run and `OVERLAP` before it, or
                                                                       `MARGIN` before the oldest pending transaction

What an institution changes later than that is read by the next aggregation that the user or the client asks for, which
reads all 90 days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from coatcheck.connectors.contract import JobKind
from coatcheck.connectors.session import LOOKBACK
from coatcheck.db.database import Connection, fetch_all
from coatcheck.members.records import MemberJob

OVERLAP = timedelta(days=14)
"""How many days before the last run are read again: a transaction can be booked with the date of an earlier day."""

MARGIN = timedelta(days=2)
"""How many days before the oldest pending transaction. The institution filters by its own days, and can know the
transaction under an earlier date than the one that it shows. One that it does not list is deleted."""


@dataclass(frozen=True, slots=True)
class _Known:
    id: str
    since: date


async def known_since(connection: Connection, job: MemberJob) -> Mapping[str, date]:
    """By the institution's ids of the accounts: the first day that the job needs to read. The others need all days."""
    if not (job.is_background and job.kind == JobKind.AGGREGATION and job.wants_transactions):
        return {}
    rows = await fetch_all(
        connection,
        _Known,
        # A pending transaction that the run does not list is deleted, so the run lists the oldest one. Rows of another
        # connector are replaced by those of a run that reads all days (`foreign_transactions`). It sets
        # `foreign_before` to its first day: earlier rows are of no daily run.
        """SELECT a.id, least((a.transactions_read_at AT TIME ZONE 'UTC')::date - %(overlap)s::integer,
                              (SELECT min(t.date) - %(margin)s::integer FROM transaction t
                               WHERE t.user_guid = a.user_guid AND t.account_guid = a.guid AND t.status = 'PENDING')
                             ) AS since
           FROM account a
           WHERE a.user_guid = %(user_guid)s AND a.member_guid = %(member_guid)s AND a.id IS NOT NULL
             AND a.transactions_read_at IS NOT NULL
             AND NOT EXISTS (SELECT FROM account f WHERE f.user_guid = a.user_guid AND f.member_guid = a.member_guid
                             AND f.foreign_before
                                 > (a.transactions_read_at AT TIME ZONE 'UTC')::date - %(lookback)s::integer)""",
        {
            "user_guid": job.user_guid,
            "member_guid": job.member_guid,
            "lookback": LOOKBACK[JobKind.AGGREGATION].days,
            "overlap": OVERLAP.days,
            "margin": MARGIN.days,
        },
    )
    return {each.id: each.since for each in rows}
