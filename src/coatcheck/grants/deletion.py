"""The end of the tokens of accounts that are about to be deleted.

A trigger ends those of every deleted account too, at the time of PostgreSQL. Here they end at the time of the clock.
"""

from collections.abc import Sequence
from datetime import datetime

from coatcheck.db.database import Connection, run
from coatcheck.grants.token_indexes import is_of, is_of_any


async def end_tokens_of_user(connection: Connection, user_guid: str, now: datetime) -> None:
    await _end(connection, is_of("user_guid", "%(guid)s"), user_guid, now)


async def end_tokens_of_member(connection: Connection, member_guid: str, now: datetime) -> None:
    await _end(connection, is_of("member_guid", "%(guid)s"), member_guid, now)


async def end_tokens_of_accounts(connection: Connection, account_guids: Sequence[str], now: datetime) -> None:
    """Of all accounts at once: a second call would lock tokens out of their order."""
    await _end(connection, is_of_any("account_guid", "%(guid)s"), account_guids, now)


async def _end(connection: Connection, condition: str, guid: str | Sequence[str], now: datetime) -> None:
    await run(
        connection,
        # The rows are locked in one order before any is changed: a revocation of many takes them in this order too.
        # A clock that was set back must not end a token before it was issued.
        f"""WITH ended AS (
                SELECT expires_week, token_hash FROM access_token t
                WHERE {condition} AND revoked_at IS NULL
                ORDER BY expires_week, token_hash FOR UPDATE
            )
            UPDATE access_token t
            SET revoked_at = greatest(%(now)s, t.created_at), revoked_because = 'its account was deleted'
            FROM ended e WHERE t.expires_week = e.expires_week AND t.token_hash = e.token_hash""",
        {"guid": guid if isinstance(guid, str) else list(guid), "now": now},
    )
