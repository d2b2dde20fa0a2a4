"""How a processor authenticates at the OAuth endpoints, and what its access tokens are bound to."""

from dataclasses import dataclass

from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.errors import NotFound
from coatcheck.model.processor_authentication import ClientAuthentication, Profile, SenderConstraint


@dataclass(frozen=True, slots=True)
class ProcessorSecurity:
    guid: str
    client_authentication: ClientAuthentication
    sender_constraint: SenderConstraint
    profile: Profile
    jwks: str | None
    """Its public keys, a JWK set (RFC 7517 5)."""
    certificate_thumbprints: list[str]
    """Its certificates: SHA-256 of the DER encoding, in base64url."""

    @property
    def is_fapi2(self) -> bool:
        return self.profile == Profile.FAPI2


async def find_processor_security(
    connection: Connection, guid: str, *, lock: bool = False
) -> ProcessorSecurity:
    """Raises NotFound if there is no such processor. `lock` keeps other changes out until the transaction ends."""
    found = await fetch_one(
        connection,
        ProcessorSecurity,
        f"""SELECT {columns(ProcessorSecurity)} FROM processor WHERE guid = %(guid)s
            {"FOR NO KEY UPDATE" if lock else ""}""",
        {"guid": guid},
    )
    if found is None:
        raise NotFound
    return found
