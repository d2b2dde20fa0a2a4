"""Transactions of an account that another connector read before, under other ids.

The first run of the new connector lists the same movements under its own ids. A transaction of the same day, direction
and amount keeps its guid and gets the new id; the others of the days that the run covers are deleted, because the run
lists them as the new connector sees them. Earlier days stay as they were, until a run covers them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from coatcheck.connectors.contract import BankTransaction
from coatcheck.db.database import Connection, fetch_all, run
from coatcheck.members.records import MemberJob

Key = tuple[str, date, str, Decimal]
"""Account, day, direction and amount."""


@dataclass(frozen=True, slots=True)
class _Stored:
    account_guid: str
    guid: str
    id: str
    date: date
    type: str
    amount: Decimal


async def replace_foreign(
    connection: Connection,
    job: MemberJob,
    account_guids: Collection[str],
    listed: Iterable[tuple[str, BankTransaction]],
    since: date,
) -> None:
    """Gives the stored transactions of taken-over accounts the ids of the run, and deletes those that it does not list.

    Args:
        connection: the transaction of the ingest, before it writes the transactions.
        job: whose member it is.
        account_guids: the accounts that the run has read. Of others it lists no transaction.
        listed: the guid of the account and the transaction, of every transaction of the run.
        since: the first day that the run covers.
    """
    values = {"user_guid": job.user_guid, "account_guids": list(account_guids), "since": since}
    stored = await fetch_all(
        connection,
        _Stored,
        """SELECT t.account_guid, t.guid, t.id, t.date, t.type, t.amount
           FROM transaction t JOIN account a ON a.user_guid = t.user_guid AND a.guid = t.account_guid
           WHERE a.user_guid = %(user_guid)s AND a.guid = ANY (%(account_guids)s)
             AND t.date >= %(since)s AND t.date < a.foreign_before
           ORDER BY t.date, t.guid""",
        values,
    )
    if stored:
        await _replace(connection, job, stored, listed)
    await run(
        connection,
        """UPDATE account SET foreign_before = %(since)s
           WHERE user_guid = %(user_guid)s AND guid = ANY (%(account_guids)s) AND foreign_before > %(since)s""",
        values,
    )


async def _replace(
    connection: Connection,
    job: MemberJob,
    stored: Sequence[_Stored],
    listed: Iterable[tuple[str, BankTransaction]],
) -> None:
    accounts = {each.account_guid for each in stored}
    new_ids, known = _new_ids(stored, [pair for pair in listed if pair[0] in accounts])
    deleted = [each.guid for each in stored if each.guid not in new_ids and each.guid not in known]
    await run(
        connection,
        "DELETE FROM transaction WHERE user_guid = %(user_guid)s AND guid = ANY (%(guids)s)",
        {"user_guid": job.user_guid, "guids": deleted},
    )
    await run(
        connection,
        """UPDATE transaction t SET id = renamed.id
           FROM unnest(%(guids)s::text[], %(ids)s::text[]) AS renamed (guid, id)
           WHERE t.user_guid = %(user_guid)s AND t.guid = renamed.guid""",
        {"user_guid": job.user_guid, "guids": list(new_ids), "ids": list(new_ids.values())},
    )


def _new_ids(
    stored: Sequence[_Stored], listed: Sequence[tuple[str, BankTransaction]]
) -> tuple[dict[str, str], Collection[str]]:
    """The new ids of stored transactions by their guids; and the guids of those that the run lists as they are."""
    ids = {(account_guid, each.id) for account_guid, each in listed}
    known = {each.guid for each in stored if (each.account_guid, each.id) in ids}
    used = {(each.account_guid, each.id) for each in stored if each.guid in known}
    free: defaultdict[Key, list[str]] = defaultdict(list)
    for account_guid, each in listed:
        if (account_guid, each.id) not in used:
            free[account_guid, each.date, each.type, each.amount].append(each.id)
    new_ids: dict[str, str] = {}
    for row in stored:
        candidates = free[row.account_guid, row.date, row.type, row.amount]
        if row.guid not in known and candidates:
            # Equal movements of one day cannot be told apart, so any of them may get the id.
            new_ids[row.guid] = candidates.pop(0)
    return new_ids, known
