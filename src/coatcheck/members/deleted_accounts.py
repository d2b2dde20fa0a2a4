"""The transactions of deleted accounts.

An account is deleted with up to 10,000 of its transactions, by a trigger. If it has more, the trigger writes a row of
`deleted_account`, and the others are deleted here, piece by piece. Meanwhile nothing reads them, because every read
starts from their account.
"""

from dataclasses import dataclass

from coatcheck.db.database import Connection, fetch_one, run
from coatcheck.model.moving_users import is_settled

PIECE = 5000
"""Transactions that one transaction of the database deletes."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What was deleted of one account."""

    user_guid: str
    is_last_of_user: bool
    """No deleted account of the user has a transaction any more."""


@dataclass(frozen=True, slots=True)
class _Deleted:
    user_guid: str
    guid: str


async def delete_piece(connection: Connection) -> Piece | None:
    """Deletes some of what remains of a deleted account, in the caller's transaction. None: nothing remains.

    Concurrent calls delete different accounts.
    """
    account = await fetch_one(
        connection,
        _Deleted,
        f"""SELECT user_guid, guid FROM deleted_account WHERE {is_settled("deleted_account.user_guid")}
            ORDER BY user_guid, guid LIMIT 1 FOR UPDATE SKIP LOCKED""",
    )
    if account is None:
        return None
    key = {"user_guid": account.user_guid, "guid": account.guid}
    deleted = await run(
        connection,
        # In the order of the index `transaction_by_date`, so that a piece reads no more than it deletes.
        """DELETE FROM transaction t
           USING (SELECT guid FROM transaction WHERE user_guid = %(user_guid)s AND account_guid = %(guid)s
                  ORDER BY date DESC, guid DESC LIMIT %(piece)s) AS first
           WHERE t.user_guid = %(user_guid)s AND t.guid = first.guid""",
        {**key, "piece": PIECE},
    )
    if deleted == PIECE:
        return Piece(account.user_guid, is_last_of_user=False)
    await run(
        connection, "DELETE FROM deleted_account WHERE user_guid = %(user_guid)s AND guid = %(guid)s", key
    )
    return Piece(
        account.user_guid, is_last_of_user=not await has_deleted_accounts(connection, account.user_guid)
    )


async def has_deleted_accounts(connection: Connection, user_guid: str) -> bool:
    """Whether transactions remain of accounts of the user that were deleted."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM deleted_account WHERE user_guid = %(user_guid)s)",
        {"user_guid": user_guid},
    )
    return await cursor.fetchone() == (True,)
