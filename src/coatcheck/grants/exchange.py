"""Exchanging codes: a processor redeems a code, once, for an access token.

    code --redeem, once--> token, which supersedes the old one if the code renews a grant
         `-- again by the same processor, same Idempotency-Key, within a minute --> the same token
         `-- again by the same processor, within 10 seconds --> refused, the token stays: a race or a retry
         `-- again by the same processor, later --> refused, and the token is revoked (RFC 6749 4.1.2)
         `-- by any other processor --> refused, nothing changes

One conditional statement redeems the code. Reading the code first and marking it afterwards is a race: in a test, 300
concurrent exchanges of one code got 300 tokens. With this statement exactly one exchange gets a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from coatcheck import metrics
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.crypto import base64url_sha256
from coatcheck.db.coalescing import Coalescer
from coatcheck.db.database import Connection, Database, fetch_one, is_in_transaction, run
from coatcheck.errors import InvalidClient, InvalidGrant, InvalidRequest, Unavailable
from coatcheck.events.catalogue import Announcement, EventType
from coatcheck.grants.announcements import about_grants, announced_grant
from coatcheck.grants.exchange_statements import (
    FIND_STORED,
    LOCK_RENEWED,
    REDEEM,
    REPLAY,
    redeem_together,
)
from coatcheck.grants.idempotency import hash_of, open_token, seal_token
from coatcheck.grants.receipts import GivenGrant, GrantSigner, Receipts
from coatcheck.grants.refusals import RefusalReason, Refusals
from coatcheck.grants.secrets import Kind, PresentedSecret, generate, parse_secret, week_of
from coatcheck.ids import new
from coatcheck.request_context import current_request

RETRY_WINDOW = timedelta(seconds=60)
"""How long a retry with the same Idempotency-Key gets the same token again."""
RACE_WINDOW = timedelta(seconds=10)
"""How long a second exchange by the same processor counts as a race or a retry, which does not revoke the token."""
FAPI2_CODE_TTL = timedelta(seconds=60)
"""How long after its issue a processor with the profile `fapi2` can redeem a code (FAPI 2.0 5.3.2.1)."""
MUST_BE_BOUND = (
    "The tokens of this processor are bound to a key or certificate. Exchange the code at /oauth/token."
)
# Kept, because each search by labels takes a lock.
_ISSUED = metrics.EXCHANGES.labels("issued")
LISTED_CHARACTERS = 12
"""How much of a token its client's list contains: the prefix, the week and 5 of the 43 random characters."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The answer to an exchange. Only the token's hash is stored, so the token cannot be returned again."""

    access_token: str = field(repr=False)
    grant_guid: str
    scope: str
    expires_at: datetime
    receipt: str
    """A grant receipt, as a compact JWS."""


@dataclass(frozen=True, slots=True)
class Redeemer:
    """A processor that is authenticated."""

    processor_guid: str
    confirmation: str | None
    """What its token will be bound to; None for a bearer token."""


@dataclass(frozen=True, slots=True)
class _Redeemed:
    processor_guid: str
    client_guid: str
    account_guid: str
    scope: str | None
    token_expires_at: datetime
    superseded_guid: str | None
    must_be_bound: bool
    """The processor's tokens must be bound, and this one would not be."""


@dataclass(frozen=True, slots=True)
class _Replayed:
    sealed_reply: bytes | None
    token_guid: str
    scope: str
    created_at: datetime
    expires_at: datetime
    client_guid: str | None
    account_guid: str | None
    reason: str
    revoked_guid: str | None
    """The token, if this replay revoked it."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What a processor sent."""

    processor_guid: str
    key_hash: bytes | None = field(repr=False)
    """None: the processor is authenticated already."""
    confirmation: str | None
    code: str = field(repr=False)
    kind: Kind
    presented: PresentedSecret | None
    """The code, if it is well formed."""
    idempotency_hash: bytes | None = field(repr=False)
    code_challenge: str | None
    """The challenge of the verifier that it sent (RFC 7636 4.6)."""

    def parameters(self) -> dict[str, object]:
        # A malformed code becomes a hash that matches no row. The statement still runs, because it checks the key too.
        return {
            "processor_guid": self.processor_guid,
            "code_day": self.presented.period if self.presented else 0,
            "code_hash": self.presented.hash if self.presented else b"",
            "idempotency_hash": self.idempotency_hash,
            "confirmation": self.confirmation,
            "code_challenge": self.code_challenge,
        }


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An exchange with the token that it stores."""

    exchange: _Exchange
    token: str = field(repr=False)
    token_guid: str
    now: datetime
    parameters: Mapping[str, object] = field(repr=False)
    """Of the statement that redeems."""


class CodeExchange:
    """Exchanges authorization codes for access tokens (RFC 6749 4.1.3)."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        db: Database,
        hash_key: bytes,
        journal: Journal,
        receipts: Receipts,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._db = db
        self._hash_key = hash_key
        self._journal = journal
        self._receipts = receipts
        self._refusals = Refusals(clock, journal)
        # Reserved: slow requests of clients must not keep processors from redeeming codes, which expire.
        self._coalescer = Coalescer(db, redeem_together(_Redeemed), is_reserved=True)

    async def redeem(
        self,
        *,
        processor_guid: str,
        api_key: str,
        code: str,
        idempotency_key: str | None = None,
        code_verifier: str | None = None,
    ) -> IssuedToken:
        """Exchanges a code for a bearer token that is valid for `token_ttl`, or for less if a restriction limits it.

        The error does not say why a code is refused. The log and the audit log do.

        Raises:
            InvalidClient: the processor does not exist or is disabled, the key is not its key, or it does not
                authenticate with a key. The code stays unredeemed.
            InvalidRequest: its tokens must be bound, which `redeem_authenticated` does. The code stays unredeemed.
            InvalidGrant: the code cannot be redeemed. If this processor redeemed it more than 10 seconds before, the
                token is revoked, unless this is a retry with the same `idempotency_key` or `on_code_reuse` is `reject`.
        """
        key = parse_secret(Kind.PROCESSOR_KEY, api_key, self._hash_key)
        if key is None:
            raise InvalidClient
        exchange = self._read(Redeemer(processor_guid, None), code, idempotency_key, code_verifier, key.hash)
        # A renewal locks the grant that it ends in a transaction of its own, which a shared statement has not.
        if exchange.kind is Kind.CODE:
            return await self._exchange_together(exchange)
        async with self._db.connection(is_reserved=True) as connection:
            return await self._exchange(connection, exchange)

    async def redeem_authenticated(
        self,
        connection: Connection,
        *,
        redeemer: Redeemer,
        code: str,
        idempotency_key: str | None = None,
        code_verifier: str | None = None,
    ) -> IssuedToken:
        """As `redeem`, for a processor that is authenticated. Its token is bound to the `confirmation`.

        Raises:
            InvalidClient: the processor was disabled meanwhile.
            InvalidGrant: as `redeem`.
        """
        return await self._exchange(
            connection, self._read(redeemer, code, idempotency_key, code_verifier, None)
        )

    def _read(
        self,
        redeemer: Redeemer,
        code: str,
        idempotency_key: str | None,
        code_verifier: str | None,
        key_hash: bytes | None,
    ) -> _Exchange:
        kind = Kind.RENEWAL_CODE if code.startswith(Kind.RENEWAL_CODE) else Kind.CODE
        presented = parse_secret(kind, code, self._hash_key)
        return _Exchange(
            processor_guid=redeemer.processor_guid,
            key_hash=key_hash,
            confirmation=redeemer.confirmation,
            code=code,
            kind=kind,
            presented=presented,
            idempotency_hash=hash_of(idempotency_key, self._hash_key),
            code_challenge=None if code_verifier is None else base64url_sha256(code_verifier.encode()),
        )

    async def _exchange(self, connection: Connection, exchange: _Exchange) -> IssuedToken:
        attempt = self._attempt(exchange)
        # In a transaction of the caller, its other changes are lost too: only the caller can repeat them.
        is_alone = not is_in_transaction(connection)
        try:
            signer = await self._receipts.grant_signer(connection)
            return await self._redeem_by_kind(connection, attempt, signer) or await self._retry(
                connection, exchange, signer
            )
        except psycopg.OperationalError:
            # On a connection that is still open, the server answered: the statement failed and changed nothing.
            if not (is_alone and connection.closed):
                raise
        return await self._repeat(attempt)

    async def _exchange_together(self, exchange: _Exchange) -> IssuedToken:
        """As `_exchange` of a code that renews nothing, in one statement with those that arrive at the same time."""
        attempt = self._attempt(exchange)
        # The key before the code: a code must not be redeemed for a grant whose receipt cannot be signed.
        signer = self._receipts.known_grant_signer()
        if signer is None:
            async with self._db.connection(is_reserved=True) as connection:
                signer = await self._receipts.grant_signer(connection)
        try:
            rows = await self._coalescer(attempt.parameters)
        # It may have been committed without an answer.
        except Unavailable:
            return await self._repeat(attempt)
        issued = _token_of(attempt, _Redeemed(*rows[0]) if rows else None, signer)
        if issued is not None:
            return issued
        async with self._db.connection(is_reserved=True) as connection:
            return await self._retry(connection, exchange, signer)

    async def _repeat(self, attempt: _Attempt) -> IssuedToken:
        """Exchanges again after the connection was lost: whether the token was stored is unknown.

        Redeeming again with the same token is safe: if the first attempt is committed, even later, this one finds the
        code redeemed for that token.
        """
        exchange = attempt.exchange
        async with self._db.connection(is_reserved=True) as another:
            signer = await self._receipts.grant_signer(another)
            # It redeems before it looks: the first attempt could be committed between a look and the redemption.
            return (
                await self._redeem_by_kind(another, attempt, signer)
                or await self._find_stored(another, attempt, signer)
                or await self._retry(another, exchange, signer)
            )

    async def _redeem_by_kind(
        self, connection: Connection, attempt: _Attempt, signer: GrantSigner
    ) -> IssuedToken | None:
        redeem = self._renew if attempt.exchange.kind is Kind.RENEWAL_CODE else self._redeem
        return await redeem(connection, attempt, signer)

    async def _renew(
        self, connection: Connection, attempt: _Attempt, signer: GrantSigner
    ) -> IssuedToken | None:
        """As `_redeem`; the end of the superseded token is recorded too, in one transaction with it."""
        async with connection.transaction():
            # Of two codes that renew one grant, the second waits here and then finds the grant superseded.
            await run(connection, LOCK_RENEWED, attempt.exchange.parameters())
            return await self._redeem(connection, attempt, signer)

    def _attempt(self, exchange: _Exchange) -> _Attempt:
        now = self._clock.instant()
        expires_at = now + self._settings.token_ttl
        # Before it is known whether the code can be redeemed: the statement that redeems stores the hash. The week is
        # that of the full lifetime, which the text of the token names; a restriction may end it earlier.
        token, token_guid = generate(Kind.TOKEN, self._hash_key, period=week_of(expires_at)), new("TKN")
        return _Attempt(
            exchange,
            token.text,
            token_guid,
            now,
            {
                **exchange.parameters(),
                "key_hash": exchange.key_hash,
                "fapi2_since": now - FAPI2_CODE_TTL,
                "address": current_request.get().address,
                "now": now,
                "token_week": token.period,
                "token_hash": token.hash,
                "token_guid": token_guid,
                "event_guid": new("EVT"),
                "first_characters": token.text[:LISTED_CHARACTERS],
                "expires_at": expires_at,
                # Without an Idempotency-Key no retry gets the token again, so nothing of it is stored.
                "sealed_reply": seal_token(exchange.code, token.text) if exchange.idempotency_hash else None,
                **self._journal.draft(actor=exchange.processor_guid, action="token.issued", at=now),
            },
        )

    async def _redeem(
        self, connection: Connection, attempt: _Attempt, signer: GrantSigner
    ) -> IssuedToken | None:
        """The token, or None if the code cannot be redeemed."""
        exchange = attempt.exchange
        statement = REDEEM[exchange.kind, exchange.key_hash is not None]
        redeemed = await fetch_one(connection, _Redeemed, statement, attempt.parameters)
        issued = _token_of(attempt, redeemed, signer)
        if issued is not None and redeemed is not None:
            await self._record_superseded(connection, redeemed, attempt.token_guid)
        return issued

    async def _find_stored(
        self, connection: Connection, attempt: _Attempt, signer: GrantSigner
    ) -> IssuedToken | None:
        """The token, if an earlier attempt stored it."""
        stored = await fetch_one(connection, _Redeemed, FIND_STORED, attempt.parameters)
        return _issued(attempt, stored, stored.scope, signer) if stored and stored.scope else None

    async def _record_superseded(self, connection: Connection, redeemed: _Redeemed, token_guid: str) -> None:
        if redeemed.superseded_guid is not None:
            await self._journal.record(
                connection,
                Entry(
                    client_guid=redeemed.client_guid,
                    actor=redeemed.processor_guid,
                    action="token.superseded",
                    subject=redeemed.superseded_guid,
                    detail={"superseded_by": token_guid},
                ),
                *await self._about_revoked(
                    connection, redeemed.client_guid, redeemed.superseded_guid, redeemed.client_guid
                ),
            )

    async def _about_revoked(
        self, connection: Connection, client_guid: str, token_guid: str, revoked_by: str
    ) -> list[Announcement]:
        grant = await announced_grant(connection, client_guid, token_guid)
        return about_grants(EventType.TOKEN_REVOKED, [grant], revoked_by=revoked_by)

    async def _retry(self, connection: Connection, exchange: _Exchange, signer: GrantSigner) -> IssuedToken:
        """The token of the first exchange, if this is a retry of it.

        Raises:
            InvalidGrant: it is not. If this processor redeemed the code more than 10 seconds before, `on_code_reuse`
                decides whether its token is revoked.
        """
        # The revocation and its events commit together. The refusal is recorded after it, and does not undo it.
        async with connection.transaction():
            found = await self._replay(connection, exchange)
            if found.revoked_guid is not None and found.client_guid is not None:
                await self._journal.announce(
                    connection,
                    *await self._about_revoked(
                        connection, found.client_guid, found.revoked_guid, exchange.processor_guid
                    ),
                )
        if found.sealed_reply is not None:
            return _repeated(exchange, found, signer)
        # The statement finds no row for a malformed code, as for an unknown one.
        reason = RefusalReason(found.reason) if exchange.presented else RefusalReason.MALFORMED
        await self._refusals.record(
            connection,
            processor_guid=exchange.processor_guid,
            reason=reason,
            client_guid=found.client_guid,
            account_guid=found.account_guid,
        )
        metrics.EXCHANGES.labels(reason).inc()
        # The caller does not see the detail. `http.throttling` counts those that look like guesses.
        raise InvalidGrant(detail=reason)

    async def _replay(self, connection: Connection, exchange: _Exchange) -> _Replayed:
        now = self._clock.instant()
        found = await fetch_one(
            connection,
            _Replayed,
            REPLAY,
            {
                **exchange.parameters(),
                "retry_since": now - RETRY_WINDOW,
                "race_since": now - RACE_WINDOW,
                "fapi2_since": now - FAPI2_CODE_TTL,
                "revokes": self._settings.on_code_reuse == "revoke",
                "now": now,
                **self._journal.draft(actor=exchange.processor_guid, action="token.revoked"),
            },
        )
        assert found is not None, "the statement always returns a row"
        return found


def _token_of(attempt: _Attempt, redeemed: _Redeemed | None, signer: GrantSigner) -> IssuedToken | None:
    """The token, or None if the code cannot be redeemed.

    Raises:
        InvalidClient: there is no row: the processor is not authenticated.
        InvalidRequest: the processor's tokens must be bound.
    """
    if redeemed is None:
        raise InvalidClient
    if redeemed.must_be_bound:
        raise InvalidRequest(MUST_BE_BOUND)
    if redeemed.scope is None:
        return None
    _ISSUED.inc()
    return _issued(attempt, redeemed, redeemed.scope, signer)


def _issued(attempt: _Attempt, redeemed: _Redeemed, scope: str, signer: GrantSigner) -> IssuedToken:
    given = GivenGrant(
        grant_guid=attempt.token_guid,
        client_guid=redeemed.client_guid,
        processor_guid=redeemed.processor_guid,
        account_guid=redeemed.account_guid,
        scope=scope,
        created_at=attempt.now,
        expires_at=redeemed.token_expires_at,
    )
    return _answer(attempt.token, given, signer)


def _repeated(exchange: _Exchange, found: _Replayed, signer: GrantSigner) -> IssuedToken:
    """The answer of the first exchange again."""
    assert found.sealed_reply is not None
    assert found.client_guid is not None
    assert found.account_guid is not None
    given = GivenGrant(
        grant_guid=found.token_guid,
        client_guid=found.client_guid,
        processor_guid=exchange.processor_guid,
        account_guid=found.account_guid,
        scope=found.scope,
        # Of the first exchange, so that a retry gets the same receipt.
        created_at=found.created_at,
        expires_at=found.expires_at,
    )
    return _answer(open_token(exchange.code, found.sealed_reply), given, signer)


def _answer(token: str, given: GivenGrant, signer: GrantSigner) -> IssuedToken:
    return IssuedToken(token, given.grant_guid, given.scope, given.expires_at, signer.sign(given))
