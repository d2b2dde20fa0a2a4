"""Issuing codes: a client requests a code for one account and gives it to a processor.

issue                a code for a new grant, in one statement with the requests that arrive at the same time
issue_authenticated  the same for a client that is authenticated already
issue_renewal        a code for a grant that supersedes another: the old one ends when the code is exchanged
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.coalescing import Coalescer, Rows
from coatcheck.db.database import Connection, Database, Parameters, columns, fetch_one
from coatcheck.errors import (
    GrantEnded,
    InvalidClient,
    InvalidScope,
    NotFound,
    NotSelected,
    NotVerified,
    TooManyRequests,
    Unprocessable,
    UserDisabled,
)
from coatcheck.grants.authorization_disclosures import USED_INTERVAL
from coatcheck.grants.issue_statements import issue_authenticated, issue_with_key
from coatcheck.grants.scope import Scope, parse_scope, scope_of
from coatcheck.grants.secrets import GeneratedSecret, Kind, day_of, generate, parse_secret
from coatcheck.grants.token_indexes import is_grant, is_of
from coatcheck.request_context import current_request


@dataclass(frozen=True, slots=True)
class _Requested:
    """What the scope names. Every field is None if an object does not exist."""

    is_disabled: bool | None
    is_verified: bool | None
    is_selected: bool | None
    is_redeemable: bool | None
    is_within_limit: bool | None
    first_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Renewed:
    """The token that the new one will supersede."""

    expires_week: int
    token_hash: bytes = field(repr=False)
    processor_guid: str
    scope: str
    revoked_at: datetime | None
    simplefin_access_guid: str | None


@dataclass(frozen=True, slots=True)
class _Request:
    """What a client requests."""

    client_guid: str
    scope: Scope
    processor_guid: str | None = None
    code_challenge: str | None = None
    key_hash: bytes | None = field(default=None, repr=False)
    """None: the client is authenticated already."""
    renewed: _Renewed | None = None


class CodeIssuer:
    """Issues authorization codes."""

    def __init__(
        self, settings: Settings, clock: Clock, db: Database, hash_key: bytes, journal: Journal
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal
        self._coalescer = Coalescer(db, issue_with_key(_Requested))
        self._authenticated = issue_authenticated(_Requested)

    async def issue(
        self,
        *,
        client_guid: str,
        api_key: str,
        scope: Scope,
        processor_guid: str | None = None,
        code_challenge: str | None = None,
    ) -> str:
        """A code that is valid for `code_ttl` and can be exchanged once.

        Args:
            client_guid: the client that requests the code. Every object in the scope must belong to it.
            api_key: of the client. The statement that issues the code checks it.
            scope: what the token will read.
            processor_guid: the only processor that may redeem the code. None: the one in the scope, or else every one
                enabled for the client.
            code_challenge: SHA-256 of a verifier, in base64url: only who sends the verifier can redeem the code
                (RFC 7636, method `S256`). None: no verifier may be sent.

        Raises:
            InvalidClient: the client does not exist or is disabled, or the key is not its key or comes from a network
                that is not allowed.
            NotFound: an object in the scope does not exist, belongs to another client, or does not belong to the
                object before it.
            InvalidScope: the scope names another processor than `processor_guid`.
            Unprocessable: the processor does not exist, is disabled, or is not enabled for the client.
            NotVerified: the vault has no numbers of the account.
            NotSelected: the user selected other accounts of the member in the widget.
            UserDisabled: the client disabled the user.
            TooManyRequests: the account has `max_codes_per_account` codes that can be redeemed.
        """
        key = parse_secret(Kind.CLIENT_KEY, api_key, self._hash_key)
        if key is None:
            raise InvalidClient
        request = _Request(client_guid, scope, processor_guid, code_challenge, key.hash)
        now, code = self._generate(Kind.CODE)
        self._raise_if_refused(await self._coalescer(self._asked(request, code, now)), now)
        return code.text

    async def issue_authenticated(
        self,
        connection: Connection,
        *,
        client_guid: str,
        scope: Scope,
        processor_guid: str | None = None,
        code_challenge: str | None = None,
    ) -> str:
        """As `issue`, for a client that is authenticated. The connection may be in autocommit mode."""
        return await self._issue_alone(
            connection, _Request(client_guid, scope, processor_guid, code_challenge), Kind.CODE
        )

    async def issue_renewal(
        self, connection: Connection, *, client_guid: str, token_guid: str, scope: Scope | None = None
    ) -> str:
        """A code whose token supersedes a token of the client: the old one is revoked when the new one is issued.

        Args:
            connection: may be in autocommit mode.
            client_guid: whose token it is. It is authenticated.
            token_guid: the token to supersede. It may have expired.
            scope: what the new token will read, of the same account. None: the scope of the old one.

        Raises:
            NotFound: the client has no such token, or its account was deleted.
            GrantEnded: the token was revoked or superseded.
            Unprocessable: it is that of an app, which cannot redeem codes.
            InvalidScope: the scope names another account or processor.
        And as `issue`.
        """
        old = await fetch_one(
            connection,
            _Renewed,
            f"""SELECT {columns(_Renewed)}
                FROM (SELECT *, {scope_of("t")} AS scope FROM access_token t
                      WHERE {is_of("client_guid")} AND {is_grant()}) AS renewed""",
            {"client_guid": client_guid, "guid": token_guid},
        )
        if old is None:
            raise NotFound
        if old.simplefin_access_guid is not None:
            raise Unprocessable("An app cannot redeem codes. Create a new setup token instead.")
        # Checked again by the statement that redeems the code: the grant can end in between.
        if old.revoked_at is not None:
            raise GrantEnded("The grant was revoked. Request a new authorization code instead.")
        granted = parse_scope(old.scope)
        scope = scope or granted
        # Otherwise a renewal would give the processor another account under the authorization of this one.
        if scope.guids != granted.guids:
            raise InvalidScope("A renewal is for the same user, member and account as the grant.")
        # For the processor of the grant alone: another one would end a grant that it does not hold.
        request = _Request(client_guid, scope, old.processor_guid, renewed=old)
        return await self._issue_alone(connection, request, Kind.RENEWAL_CODE)

    async def _issue_alone(self, connection: Connection, request: _Request, kind: Kind) -> str:
        now, code = self._generate(kind)
        # On the caller's connection, which may be in a transaction: a coalesced statement takes one of its own.
        rows = await self._authenticated.alone(connection, self._asked(request, code, now))
        self._raise_if_refused(rows, now)
        return code.text

    def _generate(self, kind: Kind) -> tuple[datetime, GeneratedSecret]:
        """The instant of the issue, and the code."""
        now = self._clock.instant()
        return now, generate(kind, self._hash_key, period=day_of(now + self._settings.code_ttl))

    def _asked(self, request: _Request, code: GeneratedSecret, now: datetime) -> Parameters:
        stored, renewed = request.scope.stored(), request.renewed
        return {
            "key_hash": request.key_hash,
            "client_guid": request.client_guid,
            "user_guid": request.scope.user_guid,
            "member_guid": request.scope.member_guid,
            "account_guid": request.scope.account_guid,
            "atoms": request.scope.atoms,
            "today": day_of(now),
            "expires_day": code.period,
            "code_hash": code.hash,
            "now": now,
            "expires_at": now + self._settings.code_ttl,
            "max_codes": self._settings.max_codes_per_account,
            "used_before": now - USED_INTERVAL,
            "address": current_request.get().address,
            **stored,
            "processor_guid": _only_processor(request.processor_guid, stored["processor_guid"]),
            "renews_week": renewed and renewed.expires_week,
            "renews_hash": renewed and renewed.token_hash,
            "code_challenge": request.code_challenge,
            **self._journal.draft(actor=request.client_guid, action="code.issued", at=now),
        }

    def _raise_if_refused(self, rows: Rows, now: datetime) -> None:
        if not rows:
            raise InvalidClient
        requested = _Requested(*rows[0])
        # First: of an object of another client, nothing else may be said.
        if requested.is_disabled is None:
            raise NotFound(
                "An object in the scope does not exist or does not belong to the object before it."
            )
        if requested.is_disabled:
            raise UserDisabled
        if not requested.is_verified:
            raise NotVerified
        if not requested.is_selected:
            raise NotSelected
        if not requested.is_redeemable:
            raise Unprocessable("The processor does not exist or is not enabled for this client.")
        if not requested.is_within_limit:
            first = requested.first_expires_at or now
            raise TooManyRequests(
                # With Retry-After: 0 a client would repeat at once.
                max(first - now, timedelta(seconds=1)),
                f"The account has {self._settings.max_codes_per_account} codes that were not redeemed."
                " Use one of them, or wait until one expires.",
            )


def _only_processor(requested: str | None, in_scope: object) -> object:
    """The processor that may redeem the code.

    Raises:
        InvalidScope: the scope names another one than the request.
    """
    if requested is not None and in_scope is not None and requested != in_scope:
        raise InvalidScope("The scope names another processor than the request.")
    return requested or in_scope
