"""The credentials of a member: sealed in the vault, and hashed to find a second member with the same login."""

import json
from collections.abc import Mapping

from coatcheck.connectors.contract import Institution
from coatcheck.crypto import keyed_hash
from coatcheck.db.database import Connection
from coatcheck.members.records import LockedMember
from coatcheck.members.validation import login_field
from coatcheck.vault.vault import SecretKind, Vault, WorkerReader


async def store_credentials(
    vault: Vault, connection: Connection, user_guid: str, member_guid: str, credentials: Mapping[str, str]
) -> None:
    """Seals the credentials, by field name, in place of those the member had.

    The connector's state is deleted with the old credentials: it may be a refresh token that was issued for them.
    """
    await vault.delete(connection, owner_guid=user_guid, record_guid=member_guid)
    await vault.store_secret(
        connection,
        owner_guid=user_guid,
        record_guid=member_guid,
        kind=SecretKind.CREDENTIALS,
        value=json.dumps(dict(credentials)).encode(),
    )


async def load_credentials(vault: Vault, connection: Connection, member: LockedMember) -> Mapping[str, str]:
    """The member's credentials by field name, empty if it has none. Writes a disclosure to the member itself."""
    sealed = await vault.disclose_secret(
        connection,
        owner_guid=member.user_guid,
        record_guid=member.guid,
        kind=SecretKind.CREDENTIALS,
        reader=WorkerReader(member.guid, member.client_guid),
    )
    return json.loads(sealed) if sealed else {}


def login_hash(
    index_key: bytes, user_guid: str, institution: Institution, credentials: Mapping[str, str]
) -> bytes:
    """A keyed hash that is equal for equal logins of a user at an institution, whatever their case.

    All OAuth logins have the same hash: a user has one OAuth member at an institution.
    """
    # OAuth has no login before the sign-in, so the hash cannot contain one.
    login = None
    if not institution.supports_oauth:
        login = credentials.get(login_field(institution), "").casefold()
    # Keyed, because logins can be guessed from a plain hash.
    return keyed_hash(index_key, "login", json.dumps([user_guid, institution.code, login]))
