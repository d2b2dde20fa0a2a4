"""SimpleFIN access URLs: which grants one opens. What each grant reads, `access` reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coatcheck.clock import Clock
from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.errors import InvalidToken
from coatcheck.grants.api_keys import is_allowed
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.grants.secrets import Kind, parse_secret
from coatcheck.request_context import current_request

# The guid and the key must belong together. LEFT JOIN: a grant outlives its member, and the app must be told why it
# ended.
FIND = """
SELECT {columns} FROM (
    SELECT t.guid, t.expires_week, t.token_hash, t.account_guid, t.member_guid, t.expires_at, t.revoked_at,
           t.revoked_because, m.institution_code, m.name AS member_name, m.connection_status
    FROM access_token t
    JOIN processor p ON p.guid = t.processor_guid AND {is_allowed}
    LEFT JOIN member m ON m.user_guid = t.user_guid AND m.guid = t.member_guid
    WHERE t.expires_week = %(week)s AND t.simplefin_access_hash = %(hash)s AND t.simplefin_access_guid = %(guid)s
) AS opened ORDER BY guid
"""


@dataclass(frozen=True, slots=True)
class AppGrant:
    """A grant that an access URL opens. It may have ended."""

    guid: str
    expires_week: int
    token_hash: bytes = field(repr=False)
    account_guid: str
    member_guid: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None
    institution_code: str | None
    """None, as the two others: the member was deleted."""
    member_name: str | None
    connection_status: str | None

    @property
    def presented(self) -> PresentedToken:
        return PresentedToken(self.token_hash, self.expires_week)


class AccessUrls:
    def __init__(self, clock: Clock, hash_key: bytes) -> None:
        self._clock = clock
        self._hash_key = hash_key

    async def open(self, connection: Connection, guid: str, key: str) -> Sequence[AppGrant]:
        """The grants of an access URL, oldest first, also those that were revoked or have expired.

        Args:
            connection: may be in autocommit mode.
            guid: the user name in the URL.
            key: the password in the URL.

        Raises:
            InvalidToken: there is no such access URL, or the app is not accepted from this network.
        """
        presented = parse_secret(Kind.APP_KEY, key, self._hash_key)
        if presented is None:
            raise InvalidToken
        grants = await fetch_all(
            connection,
            AppGrant,
            FIND.format(columns=columns(AppGrant), is_allowed=is_allowed("p")),
            {
                "week": presented.period,
                "hash": presented.hash,
                "guid": guid,
                "address": current_request.get().address,
            },
        )
        # Also for a network that is not allowed: whoever has a stolen URL must not learn that it exists.
        if not grants:
            raise InvalidToken
        return grants
