"""A client's view of the tokens on its users' accounts: MX's list."""

from collections.abc import Sequence
from datetime import datetime

from coatcheck.clock import Clock
from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.grants.scope import scope_of
from coatcheck.grants.token_indexes import PLACE, is_of, is_older
from coatcheck.model.tokens import TokenRow

BATCH = 50
"""How many tokens one statement reads: about a millisecond of the database, and a fifth of one in which the process
answers nobody else."""

# Whether a token is valid is defined by the view `live_token` alone, for this list as for every read. The inner query
# selects by one index, so each statement has only the conditions whose values are given: plans are generic. For EXISTS,
# PostgreSQL may read all live tokens into a hash table; for a scalar query it looks each one up.
LIST = f"""
SELECT {columns(TokenRow)} FROM (
    SELECT t.*, {scope_of("t")} AS scope, coalesce((
               SELECT t.expires_at > %(now)s FROM live_token l
               WHERE l.expires_week = t.expires_week AND l.token_hash = t.token_hash), false) AS active
    FROM (SELECT * FROM access_token t WHERE {{conditions}} ORDER BY {PLACE} DESC LIMIT {BATCH}) AS t
) AS issued
ORDER BY guid DESC
"""


class Tokens:
    """Lists a client's tokens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def list(
        self,
        connection: Connection,
        client_guid: str,
        *,
        user_guid: str | None = None,
        member_guid: str | None = None,
        account_guid: str | None = None,
        before: str | None = None,
    ) -> Sequence[TokenRow]:
        """At most `BATCH` tokens of the client, newest first, including expired and revoked ones.

        Args:
            connection: may be in autocommit mode.
            client_guid: whose tokens.
            user_guid: only tokens for this user.
            member_guid: only tokens for this member.
            account_guid: only tokens for this account.
            before: the guid of the last token of the batch before.
        """
        guids = {
            "client_guid": client_guid,
            "user_guid": user_guid,
            "member_guid": member_guid,
            "account_guid": account_guid,
        }
        given = {name: guid for name, guid in guids.items() if guid is not None}
        conditions = [is_of(name) for name in given]
        if before is not None:
            # Guids have the order of their creation, so the next batch needs no OFFSET, which would read all rows
            # before it.
            conditions.append(is_older("before"))
        return await fetch_all(
            connection,
            TokenRow,
            LIST.format(conditions=" AND ".join(conditions)),
            {**given, "before": before, "now": self._clock.instant()},
        )

    async def count_live(self, connection: Connection, client_guid: str, user_guid: str) -> int:
        """How many tokens can read the user's data now."""
        cursor = await connection.execute(
            f"""SELECT count(*) FROM access_token t JOIN live_token l USING (expires_week, token_hash)
                WHERE {is_of("user_guid")} AND t.client_guid = %(client_guid)s AND t.expires_at > %(now)s""",
            {"client_guid": client_guid, "user_guid": user_guid, "now": self._clock.instant()},
        )
        row = await cursor.fetchone()
        return int(row[0]) if row else 0


async def count_expired(connection: Connection, after: datetime, until: datetime) -> int:
    """How many tokens of all clients expired in this time and were not revoked."""
    cursor = await connection.execute(
        """SELECT count(*) FROM access_token
           WHERE expires_at > %(after)s AND expires_at <= %(until)s AND revoked_at IS NULL""",
        {"after": after, "until": until},
    )
    row = await cursor.fetchone()
    return row[0] if row else 0
