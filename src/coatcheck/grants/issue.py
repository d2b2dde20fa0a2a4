"""Issuing codes: a client requests a code for one account and gives it to a processor."""

from dataclasses import dataclass

from coatcheck.audit.entries import insert_from
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, fetch_one
from coatcheck.errors import NotFound, NotVerified, UserDisabled
from coatcheck.grants.restrictions import COLUMNS
from coatcheck.grants.scope import Scope
from coatcheck.grants.secrets import Kind, day_of, generate
from coatcheck.vault.vault import has_numbers

ISSUE = f"""
WITH requested AS (
    SELECT u.is_disabled, {has_numbers("a")} AS is_verified
    FROM end_user u
    JOIN account a ON a.user_guid = u.guid AND a.guid = %(account_guid)s AND a.member_guid = %(member_guid)s
    WHERE u.guid = %(user_guid)s AND u.client_guid = %(client_guid)s
), issued AS (
    INSERT INTO authorization_code (expires_day, code_hash, client_guid, user_guid, member_guid, account_guid,
                                    scope, processor_guid, created_at, expires_at, {", ".join(COLUMNS)})
    SELECT %(expires_day)s, %(code_hash)s, %(client_guid)s, %(user_guid)s, %(member_guid)s, %(account_guid)s,
           %(scope)s, %(processor_guid)s, %(now)s, %(expires_at)s, {", ".join(f"%({name})s" for name in COLUMNS)}
    FROM requested WHERE is_verified AND NOT is_disabled
    RETURNING client_guid, account_guid AS subject
), audited AS (
    {insert_from("issued")}
)
SELECT is_disabled, is_verified FROM requested
"""


@dataclass(frozen=True, slots=True)
class _Requested:
    is_disabled: bool
    is_verified: bool


class CodeIssuer:
    """Issues authorization codes."""

    def __init__(self, settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._settings = settings
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal

    async def issue(
        self, connection: Connection, *, client_guid: str, scope: Scope, processor_guid: str | None = None
    ) -> str:
        """A code that is valid for `code_ttl` and can be exchanged once. One statement issues it.

        Args:
            connection: may be in autocommit mode.
            client_guid: the client that requests the code. Every object in the scope must belong to it.
            scope: what the token will read.
            processor_guid: the only processor that may redeem the code. None: every one enabled for the client.

        Raises:
            NotFound: an object in the scope does not exist, belongs to another client, or does not belong to the
                object before it.
            NotVerified: the vault has no numbers of the account.
            UserDisabled: the client disabled the user.
        """
        now = self._clock.instant()
        expires_at = now + self._settings.code_ttl
        code = generate(Kind.CODE, self._hash_key, period=day_of(expires_at))
        requested = await fetch_one(
            connection,
            _Requested,
            ISSUE,
            {
                "client_guid": client_guid,
                "user_guid": scope.user_guid,
                "member_guid": scope.member_guid,
                "account_guid": scope.account_guid,
                "scope": str(scope),
                "processor_guid": processor_guid,
                "expires_day": code.period,
                "code_hash": code.hash,
                "now": now,
                "expires_at": expires_at,
                **scope.stored(),
                **self._journal.draft(actor=client_guid, action="code.issued"),
            },
        )
        if requested is None:
            raise NotFound(
                "An object in the scope does not exist or does not belong to the object before it."
            )
        if requested.is_disabled:
            raise UserDisabled
        if not requested.is_verified:
            raise NotVerified
        return code.text
