"""Codes and tokens: a client asks for a code, a processor swaps it, once, for a token.

    client --issue_code--> code --exchange, once--> token --authenticate--> what it may read
                             `---- presented again ---> refused, and the token it bought is revoked

Redeeming is ONE conditional statement. Read-then-mark minted two tokens for 300 of 300 raced codes; this, none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coatcheck.audit.entries import INSERT, Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import InvalidClient, InvalidGrant, InvalidToken, NotFound, NotVerified, UserDisabled
from coatcheck.grants.idempotency import fingerprint, open_reply, seal_reply
from coatcheck.grants.scope import Scope
from coatcheck.grants.secrets import Kind, PresentedSecret, day_of, generate, parse_secret, week_of
from coatcheck.ids import new
from coatcheck.model.tokens import LiveToken, TokenRow, list_tokens

RETRY_WINDOW = timedelta(seconds=60)
"""How long a retry with the same Idempotency-Key gets the same token again."""
SHOWN_CHARACTERS = 12
"""Of a token in its client's list: the prefix, the week and 5 of its 43 random characters."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """What an exchange gives the processor. The only time the token is seen."""

    access_token: str = field(repr=False)
    scope: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Named:
    is_disabled: bool
    is_verified: bool


@dataclass(frozen=True, slots=True)
class _Redeemed:
    processor_guid: str
    scope: str | None


@dataclass(frozen=True, slots=True)
class _Replayed:
    sealed_reply: bytes | None
    scope: str
    expires_at: datetime


ISSUE = f"""
WITH named AS (
    SELECT u.is_disabled, EXISTS (SELECT FROM account_number n
                                  WHERE n.user_guid = a.user_guid AND n.account_guid = a.guid) AS is_verified
    FROM end_user u
    JOIN account a ON a.user_guid = u.guid AND a.guid = %(account_guid)s AND a.member_guid = %(member_guid)s
    WHERE u.guid = %(user_guid)s AND u.client_guid = %(client_guid)s
), issued AS (
    INSERT INTO authorization_code (expires_day, code_hash, client_guid, user_guid, member_guid, account_guid,
                                    scope, reads_protected, processor_guid, created_at, expires_at)
    SELECT %(expires_day)s, %(code_hash)s, %(client_guid)s, %(user_guid)s, %(member_guid)s, %(account_guid)s,
           %(scope)s, %(reads_protected)s, %(processor_guid)s, %(now)s, %(expires_at)s
    FROM named WHERE is_verified AND NOT is_disabled
    RETURNING client_guid
), audited AS (
    {INSERT} FROM issued
)
SELECT is_disabled, is_verified FROM named
"""

# The conditions stand inside the UPDATE, so that of many at once exactly one finds the code unredeemed
# (RFC 6749 4.1.2, ASVS 10.4.2 and 15.4.2). The processor's key is checked in the same breath: a wrong key, a
# processor that the client did not enable, or one the code was not meant for spends nothing.
REDEEM = f"""
WITH processor_here AS (
    SELECT p.guid
    FROM api_key k JOIN processor p ON p.guid = k.owner_guid AND NOT p.is_disabled
    WHERE k.key_hash = %(key_hash)s AND k.owner_guid = %(processor_guid)s
      AND (k.expires_at IS NULL OR k.expires_at > %(now)s)
), redeemed AS (
    UPDATE authorization_code code
    SET redeemed_at = %(now)s, redeemed_by = p.guid, token_week = %(token_week)s, token_hash = %(token_hash)s,
        idempotency_hash = %(idempotency_hash)s, sealed_reply = %(sealed_reply)s
    FROM processor_here p, client c, end_user u
    WHERE code.expires_day = %(code_day)s AND code.code_hash = %(code_hash)s
      AND code.redeemed_at IS NULL AND code.expires_at > %(now)s
      AND (code.processor_guid IS NULL OR code.processor_guid = p.guid)
      AND c.guid = code.client_guid AND NOT c.is_disabled
      AND u.guid = code.user_guid AND NOT u.is_disabled
      AND EXISTS (SELECT FROM client_processor cp
                  WHERE cp.client_guid = code.client_guid AND cp.processor_guid = p.guid)
    RETURNING code.client_guid, code.user_guid, code.member_guid, code.account_guid, code.scope,
              code.reads_protected
), bought AS (
    INSERT INTO access_token (expires_week, token_hash, guid, client_guid, processor_guid, user_guid,
                              member_guid, account_guid, scope, reads_protected, first_characters,
                              created_at, expires_at)
    SELECT %(token_week)s, %(token_hash)s, %(token_guid)s, client_guid, %(processor_guid)s, user_guid,
           member_guid, account_guid, scope, reads_protected, %(first_characters)s, %(now)s, %(expires_at)s
    FROM redeemed
), audited AS (
    {INSERT} FROM redeemed
)
SELECT p.guid AS processor_guid, r.scope FROM processor_here p LEFT JOIN redeemed r ON true
"""

# Only the processor that redeemed a code can spoil what it bought, by presenting it again; anybody else learns
# nothing and changes nothing. A retry that carries the first call's Idempotency-Key is not a replay.
REPLAY = f"""
WITH code AS (
    SELECT * FROM authorization_code
    WHERE expires_day = %(code_day)s AND code_hash = %(code_hash)s AND redeemed_by = %(processor_guid)s
), retried AS (
    SELECT c.sealed_reply, t.scope, t.expires_at
    FROM code c JOIN live_token t ON t.expires_week = c.token_week AND t.token_hash = c.token_hash
    WHERE c.idempotency_hash = %(idempotency_hash)s AND c.redeemed_at > %(retry_since)s
), revoked AS (
    UPDATE access_token t SET revoked_at = %(now)s, revoked_because = 'its code was presented again'
    FROM code c
    WHERE %(revokes)s AND NOT EXISTS (SELECT FROM retried) AND t.revoked_at IS NULL
      AND t.expires_week = c.token_week AND t.token_hash = c.token_hash
    RETURNING t.client_guid
), audited AS (
    {INSERT} FROM revoked
)
SELECT sealed_reply, scope, expires_at FROM retried
"""


class Issuer:
    """Issues codes, exchanges them, and knows the tokens."""

    def __init__(self, settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._settings = settings
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal

    async def issue_code(
        self, connection: Connection, *, client_guid: str, scope: Scope, processor_guid: str | None = None
    ) -> str:
        """A code, to be handed to a processor, that lives for `code_ttl` and is good for one exchange.

        Args:
            connection: one statement runs on it.
            client_guid: who asks; everything in the scope must be this client's.
            scope: what the token will reach.
            processor_guid: where given, only this processor may redeem it.

        Raises:
            NotFound: the scope names something that is not there, not this client's, or does not fit together.
            NotVerified: no account numbers are kept of the account.
            UserDisabled: the client disabled the user.
        """
        now = self._clock.now()
        expires_at = now + self._settings.code_ttl
        code = generate(Kind.CODE, self._hash_key, period=day_of(expires_at))
        entry = self._journal.seal(
            Entry(
                actor=client_guid, action="code.issued", subject=scope.account_guid, client_guid=client_guid
            )
        )
        named = await fetch_one(
            connection,
            _Named,
            ISSUE,
            {
                "client_guid": client_guid,
                "user_guid": scope.user_guid,
                "member_guid": scope.member_guid,
                "account_guid": scope.account_guid,
                "scope": str(scope),
                "reads_protected": scope.reads_protected,
                "processor_guid": processor_guid,
                "expires_day": code.period,
                "code_hash": code.hash,
                "now": now,
                "expires_at": expires_at,
                **entry.parameters(),
            },
        )
        if named is None:
            raise NotFound("The scope names something that is not here, or that does not belong together.")
        if named.is_disabled:
            raise UserDisabled
        if not named.is_verified:
            raise NotVerified
        return code.text

    async def exchange(
        self,
        connection: Connection,
        *,
        processor_guid: str,
        api_key: str,
        code: str,
        idempotency_key: str | None = None,
    ) -> IssuedToken:
        """Swaps a code for a token that lives for `token_ttl`, in one statement (RFC 6749 4.1.3).

        Unknown, expired, spent and foreign codes are told apart for nobody.

        Raises:
            InvalidClient: no such processor, or not its key; nothing was spent.
            InvalidGrant: the code buys nothing. If this processor had redeemed it before, what it bought is
                revoked (RFC 6749 4.1.2), unless this is a retry under the same `idempotency_key`.
        """
        key = parse_secret(Kind.PROCESSOR_KEY, api_key, self._hash_key)
        if key is None:
            raise InvalidClient
        presented = parse_secret(Kind.CODE, code, self._hash_key)
        now = self._clock.now()
        expires_at = now + self._settings.token_ttl
        token = generate(Kind.TOKEN, self._hash_key, period=week_of(expires_at))
        token_guid = new("TKN")
        entry = self._journal.seal(Entry(actor=processor_guid, action="token.issued", subject=token_guid))
        redeemed = await fetch_one(
            connection,
            _Redeemed,
            REDEEM,
            {
                "key_hash": key.hash,
                "processor_guid": processor_guid,
                "code_day": presented.period if presented else 0,
                "code_hash": presented.hash if presented else b"",
                "now": now,
                "token_week": token.period,
                "token_hash": token.hash,
                "token_guid": token_guid,
                "first_characters": token.text[:SHOWN_CHARACTERS],
                "expires_at": expires_at,
                "idempotency_hash": fingerprint(idempotency_key, self._hash_key),
                "sealed_reply": seal_reply(code, token.text) if idempotency_key else None,
                **entry.parameters(),
            },
        )
        if redeemed is None:
            raise InvalidClient
        if redeemed.scope is not None:
            return IssuedToken(token.text, redeemed.scope, expires_at)
        if presented is None:
            raise InvalidGrant
        return await self._replay(connection, processor_guid, code, presented, idempotency_key)

    async def _replay(
        self,
        connection: Connection,
        processor_guid: str,
        code: str,
        presented: PresentedSecret,
        idempotency_key: str | None,
    ) -> IssuedToken:
        now = self._clock.now()
        entry = self._journal.seal(
            Entry(actor=processor_guid, action="token.revoked", subject="its code was replayed")
        )
        retried = await fetch_one(
            connection,
            _Replayed,
            REPLAY,
            {
                "code_day": presented.period,
                "code_hash": presented.hash,
                "processor_guid": processor_guid,
                "idempotency_hash": fingerprint(idempotency_key, self._hash_key),
                "retry_since": now - RETRY_WINDOW,
                "revokes": self._settings.on_code_reuse == "revoke",
                "now": now,
                **entry.parameters(),
            },
        )
        if retried is None or retried.sealed_reply is None:
            raise InvalidGrant
        return IssuedToken(open_reply(code, retried.sealed_reply), retried.scope, retried.expires_at)

    def present(self, secret: str) -> PresentedSecret:
        """The hash of a presented access token; asks no database.

        Raises:
            InvalidToken: it cannot be one.
        """
        presented = parse_secret(Kind.TOKEN, secret, self._hash_key)
        if presented is None:
            raise InvalidToken
        return presented

    async def authenticate(self, connection: Connection, presented: PresentedSecret) -> LiveToken:
        """What the token opens, in one statement.

        Raises:
            InvalidToken: it is unknown, expired, revoked, or something that it names is gone or disabled.
        """
        token = await fetch_one(
            connection,
            LiveToken,
            f"""SELECT {columns(LiveToken)} FROM live_token
                WHERE expires_week = %(week)s AND token_hash = %(hash)s AND expires_at > %(now)s""",
            {"week": presented.period, "hash": presented.hash, "now": self._clock.now()},
        )
        if token is None:
            raise InvalidToken
        return token

    async def tokens_of(
        self,
        connection: Connection,
        client_guid: str,
        *,
        user_guid: str | None = None,
        member_guid: str | None = None,
        account_guid: str | None = None,
    ) -> Sequence[TokenRow]:
        """The client's tokens, dead ones included; every guid given narrows the list."""
        return await list_tokens(
            connection,
            client_guid,
            self._clock.now(),
            user_guid=user_guid,
            member_guid=member_guid,
            account_guid=account_guid,
        )

    async def revoke(self, connection: Connection, *, client_guid: str, token_guid: str) -> None:
        """Ends one of the client's tokens at once and for ever; ending it twice is no error.

        Raises:
            NotFound: the client has no such token.
        """
        now = self._clock.now()
        found = await run(
            connection,
            """UPDATE access_token SET revoked_at = coalesce(revoked_at, %(now)s),
                                       revoked_because = coalesce(revoked_because, 'its client revoked it')
               WHERE client_guid = %(client_guid)s AND guid = %(guid)s""",
            {"client_guid": client_guid, "guid": token_guid, "now": now},
        )
        if not found:
            raise NotFound
        await self._journal.record(
            connection,
            Entry(client_guid=client_guid, actor=client_guid, action="token.revoked", subject=token_guid),
        )
