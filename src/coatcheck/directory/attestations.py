"""Deletion attestations: signed statements of what the deletion of a user destroyed.

Where a user has too many transactions for one transaction of the database, the statement names them as `pending`:
nothing reads them any more. When the last of them is deleted, it is signed again and counts them as destroyed.

They hold guids, counts and times only, and are kept for `DOCUMENTS_KEPT`. The user's other traces that stay are named
in the statement (`KEPT`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from coatcheck import ids
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.batches import delete_in_batches
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.model.users import User
from coatcheck.signatures import DocumentType, format_instant, verify
from coatcheck.vault.signing_keys import DOCUMENTS_KEPT, SigningKeys, key_set, published_keys
from coatcheck.vault.vault import DestroyedKey

KEPT: Mapping[str, str] = {
    "audit_log": "Who changed what, with guids, and the addresses from which requests were refused.",
    "disclosures": "Who read which kind of data, when and from which address, with guids only.",
    "authorization_disclosures": "What the user agreed to, with guids only.",
    "receipts": "Which grants were revoked, with guids only.",
    "grants": "Which processors had access, with guids only, until 30 days after their tokens expire.",
    "bank_access": "The secrets with which the access at a bank's upstream is being ended, for at most 7 days.",
    "events": "Webhooks with guids, and with the ids, names and metadata that the client gave, for at most 65 days.",
    "sessions": "Links to the widget and the portal and their sessions, with guids, until 30 days after they expire.",
    "backups": "A copy made earlier can be opened until it, or the master key that wraps its data key, is destroyed.",
}
"""What a deletion does not destroy."""


@dataclass(frozen=True, slots=True)
class Attestation:
    guid: str
    user_guid: str
    at: datetime
    statement: str
    """A compact JWS."""


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What a deletion destroyed."""

    records: Mapping[str, int]
    """How many records of each kind."""
    grants_ended: int
    """Grants that could be read with until then."""
    data_key: DestroyedKey | None
    """None if nothing was sealed for the user."""
    pending: Mapping[str, int] = field(default_factory=dict)
    """How many records of a kind nothing reads any more, until they are destroyed."""


class Attestations:
    """Signs and stores attestations, and finds them again."""

    def __init__(self, settings: Settings, clock: Clock, signing_keys: SigningKeys) -> None:
        self._issuer = settings.base_url
        self._clock = clock
        self._signing_keys = signing_keys

    async def record(self, connection: Connection, user: User, destroyed: Destroyed) -> Attestation:
        """Signs and stores the attestation, in the transaction that deletes."""
        key = await self._signing_keys.current(connection)
        # The transaction that deletes has locked the user, so nothing of the user is written after this instant.
        at, guid = self._clock.instant(), ids.new("ATT")
        statement = key.sign(
            DocumentType.ATTESTATION,
            {
                "iss": self._issuer,
                "iat": int(at.timestamp()),
                "jti": guid,
                "client_guid": user.client_guid,
                "user_guid": user.guid,
                "at": format_instant(at),
                "destroyed": dict(destroyed.records),
                **({"pending": dict(destroyed.pending)} if destroyed.pending else {}),
                "grants_ended": destroyed.grants_ended,
                "data_key": _key_claims(destroyed.data_key),
                "kept": dict(KEPT),
            },
        )
        await run(
            connection,
            """INSERT INTO deletion_attestation (guid, client_guid, user_guid, at, statement)
               VALUES (%(guid)s, %(client_guid)s, %(user_guid)s, %(at)s, %(statement)s)""",
            {
                "guid": guid,
                "client_guid": user.client_guid,
                "user_guid": user.guid,
                "at": at,
                "statement": statement,
            },
        )
        return Attestation(guid, user.guid, at, statement)

    async def complete(self, connection: Connection, user_guid: str) -> None:
        """Signs the attestation of a user again, when nothing of the user is pending any more.

        Nothing happens if the user was not deleted, but only accounts of it, or if its attestation was deleted.
        """
        found = await fetch_one(
            connection,
            Attestation,
            f"""SELECT {columns(Attestation)} FROM deletion_attestation
                WHERE user_guid = %(user_guid)s FOR UPDATE""",
            {"user_guid": user_guid},
        )
        if found is None:
            return
        key = await self._signing_keys.current(connection)
        # First: what a withdrawn key signed is verified by no published key.
        statement = await self._signing_keys.signed_validly(connection, found.statement)
        at = self._clock.instant()
        published = key_set(await published_keys(connection, at))["keys"]
        claims = dict(verify(statement, published).claims)
        claims["destroyed"] |= claims.pop("pending", {})
        claims |= {"iat": int(at.timestamp()), "at": format_instant(at)}
        await run(
            connection,
            "UPDATE deletion_attestation SET at = %(at)s, statement = %(statement)s WHERE guid = %(guid)s",
            {"at": at, "statement": key.sign(DocumentType.ATTESTATION, claims), "guid": found.guid},
        )

    async def find(self, connection: Connection, client_guid: str, guid: str) -> Attestation:
        """An attestation of the client's deletion, by its guid.

        Raises:
            NotFound: the client has no such attestation.
        """
        found = await self._found(connection, "guid = %(guid)s", client_guid, guid=guid)
        if found is None:
            raise NotFound
        return found

    async def of_user(self, connection: Connection, client_guid: str, user_guid: str) -> Attestation | None:
        """The attestation of a user that the client deleted; None if it did not."""
        return await self._found(connection, "user_guid = %(user_guid)s", client_guid, user_guid=user_guid)

    async def _found(
        self, connection: Connection, condition: str, client_guid: str, **values: str
    ) -> Attestation | None:
        found = await fetch_one(
            connection,
            Attestation,
            f"""SELECT {columns(Attestation)} FROM deletion_attestation
                WHERE {condition} AND client_guid = %(client_guid)s""",
            {**values, "client_guid": client_guid},
        )
        if found is None:
            return None
        return replace(found, statement=await self._signing_keys.signed_validly(connection, found.statement))


async def delete_old_attestations(connection: Connection, now: datetime) -> None:
    """Deletes the attestations that are older than `DOCUMENTS_KEPT`."""
    await delete_in_batches(
        connection, "deletion_attestation", "at < %(before)s", {"before": now - DOCUMENTS_KEPT}
    )


def _key_claims(key: DestroyedKey | None) -> dict[str, object] | None:
    if key is None:
        return None
    return {
        "id": key.id,
        "created_at": format_instant(key.created_at),
        "master_key_id": key.master_key_id,
    }
