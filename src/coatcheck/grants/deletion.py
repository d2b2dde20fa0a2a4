"""The end of the tokens of accounts that are about to be deleted.

A trigger ends those of every deleted account too, at the time of PostgreSQL. Here they end at the time of the clock.
"""

from datetime import datetime

from coatcheck.db.database import Connection, run


async def end_tokens_of_user(connection: Connection, user_guid: str, now: datetime) -> None:
    await _end(connection, "user_guid = %(guid)s", user_guid, now)


async def end_tokens_of_member(connection: Connection, member_guid: str, now: datetime) -> None:
    await _end(connection, "member_guid = %(guid)s", member_guid, now)


async def end_tokens_of_account(connection: Connection, account_guid: str, now: datetime) -> None:
    await _end(connection, "account_guid = %(guid)s", account_guid, now)


async def _end(connection: Connection, condition: str, guid: str, now: datetime) -> None:
    await run(
        connection,
        # A clock that was set back must not end a token before it was issued.
        f"""UPDATE access_token
            SET revoked_at = greatest(%(now)s, created_at), revoked_because = 'its account was deleted'
            WHERE {condition} AND revoked_at IS NULL""",
        {"guid": guid, "now": now},
    )
