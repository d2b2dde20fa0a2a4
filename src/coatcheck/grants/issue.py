"""Issuing codes: a client requests a code for one account and gives it to a processor.

issue          a code for a new grant
issue_renewal  a code for a grant that supersedes another: the old one ends in the statement that issues the new one
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coatcheck.audit.entries import insert_from
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.errors import (
    GrantEnded,
    InvalidScope,
    NotFound,
    NotVerified,
    TooManyRequests,
    Unprocessable,
    UserDisabled,
)
from coatcheck.grants.authorization_disclosures import DISCLOSURE_OF_MEMBER, USED, USED_INTERVAL
from coatcheck.grants.recent_codes import RecentCodes
from coatcheck.grants.restrictions import CODE_COLUMNS
from coatcheck.grants.scope import Scope, parse_scope
from coatcheck.grants.secrets import Kind, day_of, generate
from coatcheck.vault.vault import has_numbers

STORED = [*CODE_COLUMNS, "renews_week", "renews_hash", "code_challenge"]

# It counts up to the limit only. Concurrent requests do not see one another's codes, so they can exceed it.
COUNTED = """
    SELECT count(*) AS number, min(expires_at) AS first_expires_at
    FROM (SELECT expires_at FROM authorization_code
          WHERE account_guid = %(account_guid)s AND expires_at > %(now)s AND redeemed_at IS NULL
            AND expires_day >= %(today)s AND expires_day <= %(expires_day)s
          LIMIT %(max_codes)s) AS codes"""
NOT_COUNTED = "SELECT 0 AS number, NULL::timestamptz AS first_expires_at"


def _issue(live: str) -> str:
    return f"""
WITH live AS ({live}), requested AS (
    SELECT u.is_disabled, {has_numbers("a")} AS is_verified,
           %(processor_guid)s::text IS NULL OR EXISTS (
               SELECT FROM client_processor cp JOIN processor p ON p.guid = cp.processor_guid AND NOT p.is_disabled
               WHERE cp.client_guid = u.client_guid AND cp.processor_guid = %(processor_guid)s) AS is_redeemable,
           live.number < %(max_codes)s AS is_within_limit, live.first_expires_at
    FROM end_user u
    JOIN account a ON a.user_guid = u.guid AND a.guid = %(account_guid)s AND a.member_guid = %(member_guid)s
    CROSS JOIN live
    WHERE u.guid = %(user_guid)s AND u.client_guid = %(client_guid)s
), issued AS (
    INSERT INTO authorization_code (expires_day, code_hash, client_guid, user_guid, member_guid, account_guid,
                                    scope, created_at, expires_at, disclosure_guid, {", ".join(STORED)})
    SELECT %(expires_day)s, %(code_hash)s, %(client_guid)s, %(user_guid)s, %(member_guid)s, %(account_guid)s,
           %(scope)s, %(now)s, %(expires_at)s, {DISCLOSURE_OF_MEMBER}, {", ".join(f"%({name})s" for name in STORED)}
    FROM requested WHERE is_verified AND NOT is_disabled AND is_redeemable AND is_within_limit
    RETURNING client_guid, account_guid AS subject, disclosure_guid
), used AS (
    {USED}
), audited AS (
    {insert_from("issued")}
)
SELECT is_disabled, is_verified, is_redeemable, is_within_limit, first_expires_at FROM requested
"""


ISSUE, ISSUE_COUNTED = _issue(NOT_COUNTED), _issue(COUNTED)


@dataclass(frozen=True, slots=True)
class _Requested:
    is_disabled: bool
    is_verified: bool
    is_redeemable: bool
    is_within_limit: bool
    first_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Renewed:
    """The token that the new one will supersede."""

    expires_week: int
    token_hash: bytes = field(repr=False)
    processor_guid: str
    scope: str
    revoked_at: datetime | None


class CodeIssuer:
    """Issues authorization codes."""

    def __init__(self, settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._settings = settings
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal
        self._recent_codes = RecentCodes(limit=settings.max_codes_per_account, window=settings.code_ttl)

    async def issue(
        self,
        connection: Connection,
        *,
        client_guid: str,
        scope: Scope,
        processor_guid: str | None = None,
        code_challenge: str | None = None,
    ) -> str:
        """A code that is valid for `code_ttl` and can be exchanged once. One statement issues it.

        Args:
            connection: may be in autocommit mode.
            client_guid: the client that requests the code. Every object in the scope must belong to it.
            scope: what the token will read.
            processor_guid: the only processor that may redeem the code. None: the one in the scope, or else every one
                enabled for the client.
            code_challenge: SHA-256 of a verifier, in base64url: only who sends the verifier can redeem the code
                (RFC 7636, method `S256`). None: no verifier may be sent.

        Raises:
            NotFound: an object in the scope does not exist, belongs to another client, or does not belong to the
                object before it.
            InvalidScope: the scope names another processor than `processor_guid`.
            Unprocessable: the processor does not exist, is disabled, or is not enabled for the client.
            NotVerified: the vault has no numbers of the account.
            UserDisabled: the client disabled the user.
            TooManyRequests: the account has `max_codes_per_account` codes that can be redeemed.
        """
        return await self._issue(
            connection, client_guid, scope, processor_guid, code_challenge=code_challenge
        )

    async def issue_renewal(
        self, connection: Connection, *, client_guid: str, token_guid: str, scope: Scope | None = None
    ) -> str:
        """A code whose token supersedes a token of the client: the old one is revoked when the new one is issued.

        Args:
            connection: may be in autocommit mode.
            client_guid: whose token it is.
            token_guid: the token to supersede. It may have expired.
            scope: what the new token will read, of the same account. None: the scope of the old one.

        Raises:
            NotFound: the client has no such token, or its account was deleted.
            GrantEnded: the token was revoked or superseded.
            InvalidScope: the scope names another account or processor.
        And as `issue`.
        """
        old = await fetch_one(
            connection,
            _Renewed,
            f"""SELECT {columns(_Renewed)} FROM access_token
                WHERE client_guid = %(client_guid)s AND guid = %(guid)s""",
            {"client_guid": client_guid, "guid": token_guid},
        )
        if old is None:
            raise NotFound
        if old.revoked_at is not None:
            raise GrantEnded("The grant was revoked. Request a new authorization code instead.")
        granted = parse_scope(old.scope)
        scope = scope or granted
        if scope.guids != granted.guids:
            raise InvalidScope("A renewal is for the same user, member and account as the grant.")
        return await self._issue(connection, client_guid, scope, old.processor_guid, renewed=old)

    async def _issue(
        self,
        connection: Connection,
        client_guid: str,
        scope: Scope,
        processor_guid: str | None,
        *,
        renewed: _Renewed | None = None,
        code_challenge: str | None = None,
    ) -> str:
        now = self._clock.instant()
        expires_at = now + self._settings.code_ttl
        kind = Kind.RENEWAL_CODE if renewed else Kind.CODE
        code = generate(kind, self._hash_key, period=day_of(expires_at))
        stored = scope.stored()
        requested = await fetch_one(
            connection,
            _Requested,
            ISSUE_COUNTED if self._recent_codes.may_exceed(scope.account_guid, now) else ISSUE,
            {
                "client_guid": client_guid,
                "user_guid": scope.user_guid,
                "member_guid": scope.member_guid,
                "account_guid": scope.account_guid,
                "scope": str(scope),
                "expires_day": code.period,
                "code_hash": code.hash,
                "now": now,
                "today": day_of(now),
                "expires_at": expires_at,
                "max_codes": self._settings.max_codes_per_account,
                "used_before": now - USED_INTERVAL,
                **stored,
                "processor_guid": _only_processor(processor_guid, stored["processor_guid"]),
                "renews_week": renewed and renewed.expires_week,
                "renews_hash": renewed and renewed.token_hash,
                "code_challenge": code_challenge,
                **self._journal.draft(actor=client_guid, action="code.issued"),
            },
        )
        self._raise_if_refused(requested, now)
        return code.text

    def _raise_if_refused(self, requested: _Requested | None, now: datetime) -> None:
        if requested is None:
            raise NotFound(
                "An object in the scope does not exist or does not belong to the object before it."
            )
        if requested.is_disabled:
            raise UserDisabled
        if not requested.is_verified:
            raise NotVerified
        if not requested.is_redeemable:
            raise Unprocessable("The processor does not exist or is not enabled for this client.")
        if not requested.is_within_limit:
            first = requested.first_expires_at or now
            raise TooManyRequests(
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
