"""What a processor does with its own access tokens: it asks whether one is valid, and ends one.

A token of another processor is answered like one that does not exist.
"""

from dataclasses import dataclass
from datetime import datetime

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.events.catalogue import EventType
from coatcheck.grants.announcements import AnnouncedGrant, about_grants
from coatcheck.grants.refusals import RecordingLimit
from coatcheck.grants.scope import scope_of
from coatcheck.grants.secrets import Kind, parse_secret

REASON = "its processor revoked it"


@dataclass(frozen=True, slots=True)
class ActiveToken:
    """A token that can read."""

    guid: str
    user_guid: str
    scope: str
    created_at: datetime
    expires_at: datetime
    confirmation: str | None


@dataclass(frozen=True, slots=True)
class _Presented(AnnouncedGrant):
    is_own: bool
    is_revoked: bool


# Whether a token is valid is defined by the view `live_token` alone, for this answer as for every read.
FIND_ACTIVE = f"""
SELECT {columns(ActiveToken)} FROM (SELECT *, {scope_of("t")} AS scope FROM access_token t) AS t
WHERE t.expires_week = %(week)s AND t.token_hash = %(hash)s AND t.processor_guid = %(processor_guid)s
  AND t.expires_at > %(now)s
  AND EXISTS (SELECT FROM live_token l WHERE l.expires_week = %(week)s AND l.token_hash = %(hash)s
              AND NOT l.is_suspended
              AND (l.max_reads IS NULL OR l.reads < l.max_reads))
"""

# `presented` finds the token of another processor too, so that the attempt is recorded.
REVOKE = f"""
WITH presented AS (
    SELECT expires_week, token_hash, guid, client_guid, processor_guid, user_guid, member_guid, account_guid,
           expires_at, processor_guid = %(processor_guid)s AS is_own
    FROM access_token WHERE expires_week = %(week)s AND token_hash = %(hash)s
), revoked AS (
    UPDATE access_token t SET revoked_at = %(now)s, revoked_by = %(processor_guid)s, revoked_because = %(reason)s
    FROM presented p
    WHERE p.is_own AND t.expires_week = %(week)s AND t.token_hash = %(hash)s AND t.revoked_at IS NULL
    RETURNING t.guid
)
SELECT {columns(AnnouncedGrant, "p.")}, p.is_own, EXISTS (SELECT FROM revoked) AS is_revoked FROM presented p
"""


class ProcessorTokens:
    """Introspects (RFC 7662) and revokes (RFC 7009) tokens for the processor that holds them."""

    def __init__(self, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal
        self._limit = RecordingLimit(clock)

    async def find_active(
        self, connection: Connection, *, processor_guid: str, token: str
    ) -> ActiveToken | None:
        """The token, if it is the processor's and can read now."""
        presented = parse_secret(Kind.TOKEN, token, self._hash_key)
        if presented is None:
            return None
        # The token of another processor is like none (RFC 7662 4): otherwise anybody could test tokens here.
        return await fetch_one(
            connection,
            ActiveToken,
            FIND_ACTIVE,
            {
                "week": presented.period,
                "hash": presented.hash,
                "processor_guid": processor_guid,
                "now": self._clock.instant(),
            },
        )

    async def revoke(self, connection: Connection, *, processor_guid: str, token: str) -> None:
        """Ends the token at once, if it is the processor's. Otherwise nothing changes, and the attempt is recorded.

        Args:
            connection: the caller's transaction.
            processor_guid: who asks; it is authenticated.
            token: an access token, or any text.
        """
        presented = parse_secret(Kind.TOKEN, token, self._hash_key)
        # RFC 7009 2.2: a token that does not exist is not an error, because the caller can do nothing about it.
        if presented is None:
            return
        found = await fetch_one(
            connection,
            _Presented,
            REVOKE,
            {
                "week": presented.period,
                "hash": presented.hash,
                "processor_guid": processor_guid,
                "now": self._clock.instant(),
                "reason": REASON,
            },
        )
        if found is None or (found.is_own and not found.is_revoked):
            return
        # The answer is the same for the token of another processor: the caller must not learn that it exists.
        action = "token.revoked" if found.is_own else "token.revocation_refused"
        detail = {} if found.is_own else self._limit.admit(processor_guid)
        if detail is not None:
            entry = Entry(
                client_guid=found.client_guid,
                actor=processor_guid,
                action=action,
                subject=found.guid,
                detail=detail,
            )
            announcements = (
                about_grants(EventType.TOKEN_REVOKED, [found], revoked_by=processor_guid)
                if found.is_own
                else []
            )
            await self._journal.record(connection, entry, *announcements)
