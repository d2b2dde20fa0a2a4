"""SimpleFIN setup tokens: the codes of apps, which have no API key.

    issue     one secret, and under it a code for each account, for one app
    claim     the app exchanges the secret, once, for an access URL: one token for each account
    later     every other claim is refused, and the tokens stay

A second claim does not revoke the tokens, as a second exchange of a code does (RFC 6749 4.1.2): who claims is not
authenticated, so that whoever sees a used setup token could end the access.

The hash of each code and of each token follows from that of the secret and from the account. No such secret exists, so
that nobody can present one code or one token alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NoReturn

from coatcheck import metrics
from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_all, fetch_one
from coatcheck.errors import InvalidGrant, NotSelected, TooManyRequests, Unprocessable, UserDisabled
from coatcheck.events.publisher import announce_redeemed
from coatcheck.grants.announcements import AnnouncedGrant
from coatcheck.grants.authorization_disclosures import AUTHORIZATION_OF_MEMBER, IS_SELECTED
from coatcheck.grants.exchange import LISTED_CHARACTERS
from coatcheck.grants.exchange_statements import EXPIRES_AT
from coatcheck.grants.refusals import REASON, RefusalReason, Refusals
from coatcheck.grants.restrictions import CODE_COLUMNS, COLUMNS
from coatcheck.grants.scope import Scope
from coatcheck.grants.secrets import GeneratedSecret, Kind, day_of, generate, parse_secret, week_of
from coatcheck.ids import new

SETUP_TOKEN_TTL = timedelta(hours=24)
"""How long a setup token can be claimed: a person copies it from one program into another."""
MAX_ACCOUNTS = 100
"""Of one setup token."""
REFUSED = "The setup token is unknown, expired or already claimed. Create a new one."

# Requests at the same time do not see one another's codes, so together they can exceed `max_codes`.
STATE = f"""
SELECT u.is_disabled,
       EXISTS (SELECT FROM client_processor cp
               JOIN processor p ON p.guid = cp.processor_guid AND p.app_of = cp.client_guid AND NOT p.is_disabled
               WHERE cp.client_guid = u.client_guid AND cp.processor_guid = %(processor_guid)s) AS is_redeemable,
       NOT EXISTS (SELECT FROM account a {AUTHORIZATION_OF_MEMBER}
                   WHERE a.user_guid = u.guid AND a.guid = ANY (%(account_guids)s)
                     AND NOT {IS_SELECTED}) AS is_selected,
       codes.number < %(max_codes)s AS is_within_limit, codes.first_expires_at
FROM end_user u CROSS JOIN (
    SELECT coalesce(max(number), 0) AS number, min(first_expires_at) AS first_expires_at FROM (
        SELECT count(*) AS number, min(expires_at) AS first_expires_at FROM authorization_code
        WHERE account_guid = ANY (%(account_guids)s) AND expires_at > %(now)s
          AND expires_day >= %(today)s
        GROUP BY account_guid) AS of_account
) AS codes
WHERE u.guid = %(user_guid)s AND u.client_guid = %(client_guid)s
"""

STORED = (
    "expires_day",
    "code_hash",
    "setup_token_guid",
    "setup_token_hash",
    "client_guid",
    "user_guid",
    "member_guid",
    "account_guid",
    "atoms",
    "created_at",
    "expires_at",
    *CODE_COLUMNS,
)
STORE = f"""INSERT INTO authorization_code ({", ".join(STORED)})
            VALUES ({", ".join(f"%({name})s" for name in STORED)})"""

# The rows are locked in one order before any is changed. Of claims at the same time, the first to lock the first row
# changes all of them; when it has committed, the others find every row redeemed.
# It gets as many guids as a secret can have codes: only it finds out how many there are, and PostgreSQL cannot make one
# that names the cell.
CLAIM = f"""
WITH presented AS (
    SELECT expires_day, code_hash FROM authorization_code
    WHERE expires_day = %(code_day)s AND setup_token_hash = %(setup_token_hash)s
      AND expires_at > %(now)s
    ORDER BY code_hash FOR UPDATE
), redeemed AS (
    DELETE FROM authorization_code code
    USING presented, processor p, client c, end_user u
    WHERE code.expires_day = presented.expires_day AND code.code_hash = presented.code_hash
      AND code.expires_at > %(now)s
      AND p.guid = code.processor_guid AND NOT p.is_disabled
      AND c.guid = code.client_guid AND NOT c.is_disabled
      AND u.guid = code.user_guid AND NOT u.is_disabled
      AND EXISTS (SELECT FROM client_processor cp
                  WHERE cp.client_guid = code.client_guid AND cp.processor_guid = code.processor_guid)
    RETURNING code.client_guid, code.user_guid, code.member_guid, code.account_guid, code.processor_guid, code.atoms,
              sha256(%(app_key_hash)s || convert_to(code.account_guid, 'UTF8')) AS token_hash,
              least({EXPIRES_AT}) AS expires_at, {", ".join(f"code.{name}" for name in COLUMNS)}
), numbered AS (
    SELECT *, row_number() OVER (ORDER BY account_guid) AS number FROM redeemed
), issued AS (
    INSERT INTO access_token (expires_week, token_hash, guid, client_guid, processor_guid, user_guid, member_guid,
                              account_guid, atoms, first_characters, created_at, expires_at, simplefin_access_guid,
                              simplefin_access_hash, code_hash, {", ".join(COLUMNS)})
    SELECT %(token_week)s, token_hash, (%(token_guids)s::text[])[number], client_guid, processor_guid, user_guid,
           member_guid, account_guid, atoms, %(first_characters)s, %(now)s, expires_at, %(access_guid)s,
           %(app_key_hash)s, %(setup_token_hash)s, {", ".join(COLUMNS)}
    FROM numbered
    RETURNING guid, guid AS subject, client_guid, processor_guid, user_guid, member_guid, account_guid, expires_at
), granted AS (
    SELECT *, (%(event_guids)s::text[])[row_number() OVER (ORDER BY guid)] AS event_guid FROM issued
), {announce_redeemed("granted").replace("%(event_guid)s", "event_guid")}
SELECT {columns(AnnouncedGrant)} FROM issued ORDER BY guid
"""

# The app is the processor of the code, and there is no race or retry that a claim could be.
EXPLAIN = f"""
WITH code AS (
    SELECT * FROM authorization_code
    WHERE expires_day = %(code_day)s AND setup_token_hash = %(setup_token_hash)s LIMIT 1
), token AS (
    SELECT * FROM access_token WHERE code_hash = %(setup_token_hash)s LIMIT 1
)
SELECT coalesce(token.processor_guid, code.processor_guid) AS processor_guid,
       coalesce(token.client_guid, code.client_guid) AS client_guid,
       coalesce(token.account_guid, code.account_guid) AS account_guid,
       {REASON.replace("%(processor_guid)s", "coalesce(token.processor_guid, code.processor_guid)")} AS reason
FROM (SELECT) AS one_row LEFT JOIN code ON true LEFT JOIN token ON true
"""


@dataclass(frozen=True, slots=True)
class IssuedSetupToken:
    """Only the hash of the secret is stored, so it cannot be returned again."""

    guid: str
    secret: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimedAccess:
    """What an access URL contains. Only the hash of the key is stored."""

    guid: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _State:
    is_disabled: bool
    is_redeemable: bool
    is_selected: bool
    is_within_limit: bool
    first_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Refused:
    processor_guid: str | None
    client_guid: str | None
    account_guid: str | None
    reason: str


class SetupTokens:
    """Issues setup tokens and exchanges each for an access URL, once."""

    def __init__(self, settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._settings = settings
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal
        self._refusals = Refusals(clock, journal)

    async def issue(
        self,
        connection: Connection,
        *,
        client_guid: str,
        processor_guid: str,
        scopes: Sequence[Scope],
        actor: str,
    ) -> IssuedSetupToken:
        """A setup token that can be claimed once within `SETUP_TOKEN_TTL`.

        Args:
            connection: the caller's transaction.
            client_guid: whose user it is.
            processor_guid: the app.
            scopes: what each token will read: different accounts of one user of the client, which exist.
            actor: who issues it.

        Raises:
            UserDisabled: the client disabled the user.
            Unprocessable: the app is disabled.
            NotSelected: the user selected other accounts in the widget, and is not who issues the token.
            TooManyRequests: an account has `max_codes_per_account` codes that can be redeemed.
        """
        assert 0 < len(scopes) <= MAX_ACCOUNTS
        now = self._clock.instant()
        state = await self._check(connection, client_guid, processor_guid, scopes, now)
        # A user who creates one has selected its accounts now.
        if not state.is_selected and actor != scopes[0].user_guid:
            raise NotSelected
        expires_at = now + SETUP_TOKEN_TTL
        secret = generate(Kind.SETUP_TOKEN, self._hash_key, period=day_of(expires_at))
        issued = IssuedSetupToken(new("SUT"), secret.text, expires_at)
        shared = {
            **_shared(secret, issued),
            "client_guid": client_guid,
            "created_at": now,
            "processor_guid": processor_guid,
        }
        async with connection.cursor() as cursor:
            # One round trip for all accounts.
            await cursor.executemany(STORE, [{**_code(scope, secret), **shared} for scope in scopes])
        accounts = [scope.account_guid for scope in scopes]
        detail = {"accounts": " ".join(accounts), "processor": processor_guid}
        entry = Entry(
            client_guid=client_guid,
            actor=actor,
            action="setup_token.issued",
            subject=issued.guid,
            detail=detail,
        )
        await self._journal.record(connection, entry)
        return issued

    async def claim(self, connection: Connection, secret: str) -> ClaimedAccess:
        """Exchanges a setup token. The error does not say why one is refused; the log and the audit log do.

        Args:
            connection: the caller's transaction, which must be committed before the answer is given.
            secret: the last part of the claim URL.

        Raises:
            InvalidGrant: it cannot be claimed, or was claimed before.
        """
        presented = parse_secret(Kind.SETUP_TOKEN, secret, self._hash_key)
        if presented is None:
            metrics.EXCHANGES.labels(RefusalReason.MALFORMED).inc()
            raise InvalidGrant(REFUSED, detail=RefusalReason.MALFORMED)
        now = self._clock.instant()
        expires_at = now + self._settings.app_token_ttl
        # It names the partition of its tokens: that of the full lifetime, which a restriction can end earlier.
        key = generate(Kind.APP_KEY, self._hash_key, period=week_of(expires_at))
        code = {"code_day": presented.period, "setup_token_hash": presented.hash, "now": now}
        access = ClaimedAccess(new("SFA"), key.text)
        issued = await fetch_all(
            connection,
            AnnouncedGrant,
            CLAIM,
            {
                **code,
                "token_week": key.period,
                "app_key_hash": key.hash,
                "access_guid": access.guid,
                "token_guids": [new("TKN") for _ in range(MAX_ACCOUNTS)],
                "event_guids": [new("EVT") for _ in range(MAX_ACCOUNTS)],
                "first_characters": key.text[:LISTED_CHARACTERS],
                "expires_at": expires_at,
            },
        )
        if not issued:
            await self._raise_refused(connection, code, now)
        entries = [
            Entry(
                client_guid=grant.client_guid,
                actor=grant.processor_guid,
                action="token.issued",
                subject=grant.guid,
            )
            for grant in issued
        ]
        await self._journal.record_each(connection, entries)
        metrics.EXCHANGES.labels("issued").inc(len(issued))
        return access

    async def _check(
        self,
        connection: Connection,
        client_guid: str,
        processor_guid: str,
        scopes: Sequence[Scope],
        now: datetime,
    ) -> _State:
        state = await fetch_one(
            connection,
            _State,
            STATE,
            {
                "client_guid": client_guid,
                "user_guid": scopes[0].user_guid,
                "processor_guid": processor_guid,
                "account_guids": [scope.account_guid for scope in scopes],
                "max_codes": self._settings.max_codes_per_account,
                "now": now,
                "today": day_of(now),
            },
        )
        assert state is not None, "the caller has found the user"
        if state.is_disabled:
            raise UserDisabled
        if not state.is_redeemable:
            raise Unprocessable("The app is disabled. Use another name, or ask the operator to enable it.")
        if not state.is_within_limit:
            first = state.first_expires_at or now
            raise TooManyRequests(
                max(first - now, timedelta(seconds=1)),
                f"An account has {self._settings.max_codes_per_account} codes that were not redeemed."
                " Use one of them, or wait until one expires.",
            )
        return state

    async def _raise_refused(
        self, connection: Connection, code: Mapping[str, object], now: datetime
    ) -> NoReturn:
        """Records why the setup token cannot be claimed."""
        found = await fetch_one(
            connection,
            _Refused,
            EXPLAIN,
            # A claim is never a retry, an app has no profile, and its codes have no challenge.
            {**code, "race_since": now + SETUP_TOKEN_TTL, "fapi2_since": now, "code_challenge": None},
        )
        assert found is not None, "the statement always returns a row"
        if found.processor_guid is not None:
            await self._refusals.record(
                connection,
                processor_guid=found.processor_guid,
                reason=RefusalReason(found.reason),
                client_guid=found.client_guid,
                account_guid=found.account_guid,
            )
        metrics.EXCHANGES.labels(found.reason).inc()
        raise InvalidGrant(REFUSED, detail=found.reason)


def _shared(secret: GeneratedSecret, issued: IssuedSetupToken) -> Mapping[str, object]:
    """What every code of a setup token has of it."""
    return {
        "expires_day": secret.period,
        "setup_token_guid": issued.guid,
        "setup_token_hash": secret.hash,
        "expires_at": issued.expires_at,
    }


def _code(scope: Scope, secret: GeneratedSecret) -> Mapping[str, object]:
    """What the code of one account has of its own."""
    return {
        **scope.stored(),
        # The hash has 32 bytes, so no other pair of secret and account gives the same bytes.
        "code_hash": sha256(secret.hash + scope.account_guid.encode()).digest(),
        "user_guid": scope.user_guid,
        "member_guid": scope.member_guid,
        "account_guid": scope.account_guid,
        "atoms": scope.atoms,
    }
