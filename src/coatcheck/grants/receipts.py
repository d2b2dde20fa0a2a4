"""Receipts: signed statements that a grant was given or revoked (docs/how-to/verify-a-receipt.md).

The instant `at` of a revocation receipt is later than every read with the grant. It is taken in this order:

    1 the revocation commits         every read that begins now is refused
    2 reads that began before end    `wait_for_earlier_reads`; each of them has committed its disclosure
    3 `at` is read from the clock    with microseconds
    4 the receipt is signed, stored and returned

A process that fails between 1 and 4 leaves a revoked grant without a receipt. The next request signs it, with a later
`at`, which is still true. Once stored, what the receipt states never changes.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.pq import TransactionStatus

from coatcheck import ids
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.batches import delete_in_batches
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.grants.token_indexes import is_of
from coatcheck.signatures import DocumentType, SigningKey, format_instant
from coatcheck.vault.disclosures import wait_for_earlier_reads
from coatcheck.vault.signing_keys import DOCUMENTS_KEPT, SigningKeys

LastRead = Callable[[Connection], Awaitable[datetime | None]]
"""Finds the instant of the last read with the revoked grants. It is called when no read is left."""


RECEIPTS_OF_USER = f"grant_guid IN (SELECT t.guid FROM access_token t WHERE {is_of('user_guid')})"
"""A condition over receipts: that of a grant of the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenGrant:
    """What a grant receipt states."""

    grant_guid: str
    client_guid: str
    processor_guid: str
    account_guid: str
    scope: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class GrantSigner:
    """Signs grant receipts with a key that is already open. It does not query the database."""

    issuer: str
    key: SigningKey

    def sign(self, grant: GivenGrant) -> str:
        """The receipt. A retry gives the same one while the same key signs."""
        return self.key.sign(
            DocumentType.GRANT,
            {
                "iss": self.issuer,
                "iat": int(grant.created_at.timestamp()),
                # One receipt for each grant, so its id follows from the grant's.
                "jti": f"RCP-{grant.grant_guid.partition('-')[2]}",
                "grant_guid": grant.grant_guid,
                "client_guid": grant.client_guid,
                "processor_guid": grant.processor_guid,
                "account_guid": grant.account_guid,
                "scope": grant.scope,
                "expires_at": format_instant(grant.expires_at),
            },
        )


@dataclass(frozen=True, slots=True)
class RevocationReceipt:
    """A stored receipt of `POST .../revoke` or `POST /coatcheck/revocations`."""

    guid: str
    revoked: int
    """How many grants the revocation ended."""
    at: datetime
    """No read with the grants committed after this instant."""
    receipt: str
    """A compact JWS."""


class Receipts:
    """Signs receipts, and stores those of revocations."""

    def __init__(self, settings: Settings, clock: Clock, signing_keys: SigningKeys) -> None:
        self._issuer = settings.base_url
        self._clock = clock
        self._signing_keys = signing_keys

    def known_grant_signer(self) -> GrantSigner | None:
        """As `grant_signer`, if this process read the keys lately."""
        key = self._signing_keys.known()
        return None if key is None else GrantSigner(self._issuer, key)

    async def grant_signer(self, connection: Connection) -> GrantSigner:
        """Opens the key before the exchange: what cannot be signed must not be redeemed."""
        return GrantSigner(self._issuer, await self._signing_keys.current(connection))

    async def for_revoked_grant(
        self,
        connection: Connection,
        *,
        client_guid: str,
        grant_guid: str,
        reason: str | None,
        last_read: LastRead,
    ) -> RevocationReceipt:
        """A new receipt of one revoked grant, or the one that another request stored meanwhile.

        Args:
            connection: in autocommit mode, and the revocation is committed.
            client_guid: whose grant it is.
            grant_guid: the grant.
            reason: why it was revoked, if that is known.
            last_read: finds the instant of the last read.

        Raises:
            Unavailable: a read that began before the revocation still runs. The grant is revoked; a repetition of the
                request gives the receipt.
        """
        made = await self._make(connection, 1, {"grant_guids": [grant_guid]}, reason, last_read)
        if await self._store(connection, client_guid, made, grant_guid):
            return made
        # Of two simultaneous requests one stores its receipt, and both return that one.
        stored = await self.stored(connection, client_guid, grant_guid)
        assert stored is not None, "a receipt is not deleted for years"
        return stored

    async def for_selector(
        self,
        connection: Connection,
        *,
        client_guid: str,
        selector: Mapping[str, str],
        revoked: int,
        reason: str | None,
        last_read: LastRead,
    ) -> RevocationReceipt:
        """The receipt of a revocation of all grants that a selector named.

        Args:
            connection: in autocommit mode, and the revocation is committed.
            client_guid: who revoked.
            selector: the fields of the request, without `reason`.
            revoked: how many grants it ended.
            reason: why, if that is known.
            last_read: finds the instant of the last read with any of them.

        Raises:
            Unavailable: as `for_revoked_grant`.
        """
        claims = {"selector": dict(selector), "revoked": revoked}
        made = await self._make(connection, revoked, claims, reason, last_read)
        await self._store(connection, client_guid, made, None)
        return made

    async def _make(
        self,
        connection: Connection,
        revoked: int,
        claims: Mapping[str, object],
        reason: str | None,
        last_read: LastRead,
    ) -> RevocationReceipt:
        # Inside a transaction the revocation would not be visible to other reads yet.
        assert connection.info.transaction_status is TransactionStatus.IDLE, "the revocation is committed"
        # Before the wait, which can take seconds: a key that cannot be opened is noticed at once.
        key = await self._signing_keys.current(connection)
        await wait_for_earlier_reads(connection)
        at = self._clock.instant()
        last_read_at = await last_read(connection)
        guid = ids.new("REV")
        receipt = key.sign(
            DocumentType.REVOCATION,
            {
                "iss": self._issuer,
                "iat": int(at.timestamp()),
                "jti": guid,
                **claims,
                "at": format_instant(at),
                "reason": reason,
                "last_read_at": None if last_read_at is None else format_instant(last_read_at),
            },
        )
        return RevocationReceipt(guid, revoked, at, receipt)

    async def _store(
        self, connection: Connection, client_guid: str, made: RevocationReceipt, grant_guid: str | None
    ) -> bool:
        """Whether it was stored: a grant has one receipt."""
        # NULL conflicts with nothing: every receipt of a selector is stored.
        stored = await run(
            connection,
            """INSERT INTO revocation_receipt (guid, client_guid, grant_guid, revoked, at, receipt)
               VALUES (%(guid)s, %(client_guid)s, %(grant_guid)s, %(revoked)s, %(at)s, %(receipt)s)
               ON CONFLICT (grant_guid) DO NOTHING""",
            {
                "guid": made.guid,
                "client_guid": client_guid,
                "grant_guid": grant_guid,
                "revoked": made.revoked,
                "at": made.at,
                "receipt": made.receipt,
            },
        )
        return stored == 1

    async def stored(
        self, connection: Connection, client_guid: str, grant_guid: str
    ) -> RevocationReceipt | None:
        """The receipt of a grant that the client revoked before. It is kept for longer than the grant."""
        found = await fetch_one(
            connection,
            RevocationReceipt,
            f"""SELECT {columns(RevocationReceipt)} FROM revocation_receipt
                WHERE grant_guid = %(grant_guid)s AND client_guid = %(client_guid)s""",
            {"grant_guid": grant_guid, "client_guid": client_guid},
        )
        if found is None:
            return None
        return replace(found, receipt=await self._signing_keys.signed_validly(connection, found.receipt))


@dataclass(frozen=True, slots=True)
class _Owner:
    client_guid: str


async def client_of_receipt(connection: Connection, grant_guid: str) -> str | None:
    """The client whose grant was revoked with a receipt of its own, for the operator; None if it has none."""
    found = await fetch_one(
        connection,
        _Owner,
        "SELECT client_guid FROM revocation_receipt WHERE grant_guid = %(grant_guid)s",
        {"grant_guid": grant_guid},
    )
    return found.client_guid if found else None


async def delete_old_receipts(connection: Connection, now: datetime) -> None:
    """Deletes the receipts of revocations that are older than `DOCUMENTS_KEPT`."""
    await delete_in_batches(
        connection, "revocation_receipt", "at < %(before)s", {"before": now - DOCUMENTS_KEPT}
    )
