"""A client's view of the tokens on its users' accounts: MX's list."""

from collections.abc import Sequence
from datetime import datetime

from coatcheck.clock import Clock
from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.model.tokens import TokenRow

# Whether a token is valid is defined by the view `live_token` alone, for this list as for every read.
LIST = f"""
SELECT {columns(TokenRow)} FROM (
    SELECT t.*, t.expires_at > %(now)s AND EXISTS (
               SELECT FROM live_token l
               WHERE l.expires_week = t.expires_week AND l.token_hash = t.token_hash) AS active
    FROM access_token t
    WHERE t.client_guid = %(client_guid)s
      AND (%(user_guid)s::text IS NULL OR t.user_guid = %(user_guid)s)
      AND (%(member_guid)s::text IS NULL OR t.member_guid = %(member_guid)s)
      AND (%(account_guid)s::text IS NULL OR t.account_guid = %(account_guid)s)
) AS issued
ORDER BY created_at DESC, guid DESC
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
    ) -> Sequence[TokenRow]:
        """The client's tokens, newest first, including expired and revoked ones. Each given guid is a filter."""
        return await fetch_all(
            connection,
            TokenRow,
            LIST,
            {
                "client_guid": client_guid,
                "now": self._clock.instant(),
                "user_guid": user_guid,
                "member_guid": member_guid,
                "account_guid": account_guid,
            },
        )

    async def count_live(self, connection: Connection, client_guid: str, user_guid: str) -> int:
        """How many tokens can read the user's data now."""
        cursor = await connection.execute(
            """SELECT count(*) FROM access_token t JOIN live_token l USING (expires_week, token_hash)
               WHERE t.client_guid = %(client_guid)s AND t.user_guid = %(user_guid)s AND t.expires_at > %(now)s""",
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
