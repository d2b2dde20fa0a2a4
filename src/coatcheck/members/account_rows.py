"""SQL statements that change, delete, block and merge single accounts. `ingest` writes what a connector reads."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coatcheck.db.database import Connection, run
from coatcheck.errors import NotFound
from coatcheck.model.accounts import STORED, Account
from coatcheck.model.transactions import Transaction, find_transaction

MERGE = (
    *(
        f"""UPDATE {table} t
            SET account_guid = %(kept)s, member_guid = %(kept_member)s, updated_at = %(now)s
            WHERE t.user_guid = %(user_guid)s AND t.account_guid = %(other)s AND NOT EXISTS (
                  SELECT FROM {table} own WHERE own.user_guid = t.user_guid
                  AND own.account_guid = %(kept)s AND own.id = t.id)"""
        for table in ("transaction", "statement")
    ),
    # The next ingest must not create the other account again while the kept one exists.
    """UPDATE merged_account SET merged_into = %(kept)s
       WHERE user_guid = %(user_guid)s AND merged_into = %(other)s""",
    """INSERT INTO merged_account (user_guid, member_guid, id, merged_into)
       SELECT user_guid, member_guid, id, %(kept)s FROM account
       WHERE user_guid = %(user_guid)s AND guid = %(other)s AND id IS NOT NULL""",
)


BLOCK = """
INSERT INTO blocked_account (user_guid, member_guid, id, blocked_at)
SELECT user_guid, member_guid, id, %(now)s FROM (
    SELECT user_guid, member_guid, id FROM account WHERE user_guid = %(user_guid)s AND guid = %(guid)s
    UNION ALL
    SELECT user_guid, member_guid, id FROM merged_account
    WHERE user_guid = %(user_guid)s AND merged_into = %(guid)s
) AS blocked
WHERE id IS NOT NULL
ON CONFLICT DO NOTHING"""
"""With the accounts that were merged into it, which the next ingest would create again."""


async def put_account(connection: Connection, account: Account) -> None:
    """Writes the account, in place of the one with the same guid."""
    values = ", ".join(f"%({name})s" for name in STORED)
    changes = ", ".join(f"{name} = excluded.{name}" for name in STORED if name not in {"user_guid", "guid"})
    await run(
        connection,
        f"""INSERT INTO account ({", ".join(STORED)}) VALUES ({values})
            ON CONFLICT (user_guid, guid) DO UPDATE SET {changes}""",
        {name: getattr(account, name) for name in STORED},
    )


async def change_account(
    connection: Connection, user_guid: str, guid: str, changes: Mapping[str, Any], now: datetime
) -> None:
    """Writes these fields only, because an ingest may write the others at the same time.

    Raises:
        NotFound: the account was deleted meanwhile.
    """
    assignments = ", ".join(f"{name} = %({name})s" for name in (*changes, "updated_at"))
    if not await run(
        connection,
        f"UPDATE account SET {assignments} WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
        {**changes, "updated_at": now, "user_guid": user_guid, "guid": guid},
    ):
        raise NotFound


async def delete_account(connection: Connection, user_guid: str, guid: str) -> None:
    """Deletes the account with its transactions, numbers and owners. Tokens on it end at once."""
    await run(
        connection,
        "DELETE FROM account WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
        {"user_guid": user_guid, "guid": guid},
    )


async def merge_accounts(
    connection: Connection, kept: Account, others: Sequence[Account], now: datetime
) -> Sequence[str]:
    """Merges the others into the kept account and deletes them. The caller has locked the members of all.

    Where two accounts have a transaction or a statement with the same `id`, that of the kept account remains.

    Returns:
        The guids of the deleted statements, whose sealed files the caller deletes.

    Raises:
        NotFound: one of the accounts was deleted or merged meanwhile.
    """
    guids = {each.guid for each in (kept, *others)}
    # A change of an account by the client does not lock its member.
    locked_count = await run(
        connection,
        """SELECT FROM account WHERE user_guid = %(user_guid)s AND guid = ANY (%(guids)s)
           ORDER BY guid FOR UPDATE""",
        {"user_guid": kept.user_guid, "guids": list(guids)},
    )
    if locked_count < len(guids):
        raise NotFound
    return [guid for other in others for guid in await _merge_account(connection, kept, other, now)]


async def _merge_account(
    connection: Connection, kept: Account, other: Account, now: datetime
) -> Sequence[str]:
    values = {
        "user_guid": kept.user_guid,
        "kept": kept.guid,
        "kept_member": kept.member_guid,
        "other": other.guid,
        "now": now,
    }
    for statement in MERGE:
        await run(connection, statement, values)
    return await _delete_with_statements(connection, kept.user_guid, other.guid)


async def block_account(connection: Connection, account: Account, now: datetime) -> Sequence[str]:
    """Deletes the account, and records its `id`, so that no ingest of its member creates it again.

    Returns:
        The guids of the deleted statements, whose sealed files the caller deletes.
    """
    values = {"user_guid": account.user_guid, "guid": account.guid, "now": now}
    await run(connection, BLOCK, values)
    return await _delete_with_statements(connection, account.user_guid, account.guid)


async def _delete_with_statements(connection: Connection, user_guid: str, guid: str) -> Sequence[str]:
    """Deletes the account. Returns the guids of its statements."""
    # Before the deletion, which removes the statements by cascade but not their files in the vault.
    cursor = await connection.execute(
        "SELECT guid FROM statement WHERE user_guid = %(user_guid)s AND account_guid = %(guid)s",
        {"user_guid": user_guid, "guid": guid},
    )
    statements = [statement for (statement,) in await cursor.fetchall()]
    await delete_account(connection, user_guid, guid)
    return statements


async def describe_transaction(
    connection: Connection, user_guid: str, guid: str, *, description: str, now: datetime
) -> Transaction:
    """Replaces the description of the transaction."""
    await run(
        connection,
        """UPDATE transaction SET description = %(description)s, updated_at = %(now)s
           WHERE user_guid = %(user_guid)s AND guid = %(guid)s""",
        {"user_guid": user_guid, "guid": guid, "description": description, "now": now},
    )
    return await find_transaction(connection, user_guid, guid)
