"""Access tokens as they may be seen: never the secret, only what it opens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_all


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A row of the view `live_token`: a token, and everything it names, that is alive."""

    guid: str
    client_guid: str
    processor_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    scope: str
    reads_protected: bool
    expires_at: datetime
    owners_at_transactions: bool
    numbers_as_strings: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token in its client's list, dead ones included."""

    guid: str
    processor_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    scope: str
    first_characters: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None
    active: bool


async def list_tokens(
    connection: Connection,
    client_guid: str,
    now: datetime,
    *,
    user_guid: str | None = None,
    member_guid: str | None = None,
    account_guid: str | None = None,
) -> Sequence[TokenRow]:
    """The client's tokens, newest first; every guid given narrows the list."""
    return await fetch_all(
        connection,
        TokenRow,
        f"""SELECT {columns(TokenRow)} FROM (
                SELECT t.*, t.expires_at > %(now)s AND EXISTS (
                           SELECT FROM live_token l
                           WHERE l.expires_week = t.expires_week AND l.token_hash = t.token_hash) AS active
                FROM access_token t
                WHERE t.client_guid = %(client_guid)s
                  AND (%(user_guid)s::text IS NULL OR t.user_guid = %(user_guid)s)
                  AND (%(member_guid)s::text IS NULL OR t.member_guid = %(member_guid)s)
                  AND (%(account_guid)s::text IS NULL OR t.account_guid = %(account_guid)s)
            ) AS issued ORDER BY created_at DESC, guid DESC""",
        {
            "client_guid": client_guid,
            "now": now,
            "user_guid": user_guid,
            "member_guid": member_guid,
            "account_guid": account_guid,
        },
    )
