"""SQL statements that write users."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from coatcheck.db.database import Connection, fetch_all, run
from coatcheck.errors import Conflict, NotFound
from coatcheck.model.users import User
from coatcheck.vault.vault import SEALED_COUNTS

# The transactions by the counts of their days: a user can have millions of them.
COUNTS = f"""
    SELECT 'members' AS kind, count(*) AS number FROM member WHERE user_guid = %(user_guid)s
    UNION ALL SELECT 'jobs', count(*) FROM member_job WHERE user_guid = %(user_guid)s
    UNION ALL SELECT 'accounts', count(*) FROM account WHERE user_guid = %(user_guid)s
    UNION ALL SELECT 'transactions', coalesce(sum(number), 0)::bigint
              FROM transaction_week CROSS JOIN unnest(numbers) AS number WHERE user_guid = %(user_guid)s
    UNION ALL SELECT 'statements', count(*) FROM statement WHERE user_guid = %(user_guid)s
    UNION ALL SELECT 'micro_deposits', count(*) FROM micro_deposit WHERE user_guid = %(user_guid)s
    UNION ALL {SEALED_COUNTS}"""


@dataclass(frozen=True, slots=True)
class _Count:
    kind: str
    number: int


async def add_user(connection: Connection, user: User) -> None:
    """Writes a new user.

    Raises:
        Conflict: another user of the client has this `id`.
    """
    try:
        await run(
            connection,
            """INSERT INTO end_user (guid, client_guid, id, email, metadata, is_disabled, created_at)
               VALUES (%(guid)s, %(client_guid)s, %(id)s, %(email)s, %(metadata)s, %(is_disabled)s,
                       %(created_at)s)""",
            {name: getattr(user, name) for name in User.__slots__},
        )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict("A user with this id already exists.") from error


async def change_user(connection: Connection, user: User) -> None:
    """Writes the fields that can change. Every read by a token checks `is_disabled`.

    Raises:
        Conflict: another user of the client has this `id`.
    """
    try:
        await run(
            connection,
            """UPDATE end_user SET id = %(id)s, email = %(email)s, metadata = %(metadata)s,
                                   is_disabled = %(is_disabled)s, revision = %(revision)s
               WHERE guid = %(guid)s""",
            {name: getattr(user, name) for name in User.__slots__},
        )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict("A user with this id already exists.") from error


async def remove_user(connection: Connection, guid: str) -> None:
    """Deletes the user and, by cascade, its members, accounts and data. Tokens on them end at once.

    Of an account with very many transactions some are deleted later (`members.deleted_accounts`).
    """
    await run(connection, "DELETE FROM end_user WHERE guid = %(guid)s", {"guid": guid})


async def count_user_data(connection: Connection, guid: str) -> Mapping[str, int]:
    """How many records the user has, by kind. It locks the user and its members, so that none is added or changes.

    Raises:
        NotFound: the user was deleted meanwhile.
    """
    # Of two deletions at once, the second waits here.
    if not await run(connection, "SELECT FROM end_user WHERE guid = %(guid)s FOR UPDATE", {"guid": guid}):
        raise NotFound
    # Before the tokens, and in the order in which others lock several: the deletion would lock them last, as it finds
    # them, while who blocks an account has locked its member and waits for a token.
    await run(
        connection, "SELECT FROM member WHERE user_guid = %(guid)s ORDER BY guid FOR UPDATE", {"guid": guid}
    )
    counts = await fetch_all(connection, _Count, COUNTS, {"user_guid": guid})
    return {each.kind: each.number for each in counts}
