"""From which day on a daily aggregation reads the transactions of each account.

    an account that was never read, or that another connector read --> all 90 days
    any other                                                      --> since `Connector.overlap` before its last run, or
                                                                       `Connector.overlap_of_pending` before its
                                                                       oldest pending transaction

What an institution changes later than that is read by the next aggregation that the user or the client asks for, which
reads all 90 days.
"""

from coatcheck.connectors.contract import JobKind
from coatcheck.connectors.session import LOOKBACK
from coatcheck.members.records import MemberJob

# A pending transaction that the run does not list is deleted, so the run lists the oldest one. Rows of another
# connector are replaced by those of a run that reads all days (`foreign_transactions`). It sets `foreign_before` to its
# first day: earlier rows are of no daily run.
KNOWN_SINCE = f"""
    SELECT json_object_agg(a.id, least((a.transactions_read_at AT TIME ZONE 'UTC')::date - %(overlap)s,
                                       (SELECT min(t.date) - %(overlap_of_pending)s FROM transaction t
                                        WHERE t.user_guid = a.user_guid AND t.account_guid = a.guid
                                          AND t.status = 'PENDING')))
    FROM account a
    WHERE a.user_guid = %(user_guid)s AND a.member_guid = %(member_guid)s AND a.id IS NOT NULL
      AND a.transactions_read_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM account f WHERE f.user_guid = a.user_guid AND f.member_guid = a.member_guid
                      AND f.foreign_before
                          > (a.transactions_read_at AT TIME ZONE 'UTC')::date - {LOOKBACK[JobKind.AGGREGATION].days})"""
"""A fragment: by the institution's ids of the accounts, the first day to read. NULL if there is none. The parameters
`overlap` and `overlap_of_pending` are days."""


def reads_new_days(job: MemberJob) -> bool:
    """Whether the job reads the days of `KNOWN_SINCE` alone. The others read all days."""
    return job.is_background and job.kind == JobKind.AGGREGATION and job.wants_transactions
