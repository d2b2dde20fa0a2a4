"""How a processor authenticates at the OAuth endpoints, and what its access tokens are bound to."""

from dataclasses import dataclass
from enum import StrEnum

from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.errors import NotFound


class ClientAuthentication(StrEnum):
    """How a processor authenticates. It has one method: with several, the weakest would decide."""

    CLIENT_SECRET = "client_secret"  # noqa: S105 (a name)
    """The API key, as HTTP Basic or in the form (RFC 6749 2.3.1)."""
    PRIVATE_KEY_JWT = "private_key_jwt"
    """A JWT that the processor signed (RFC 7523)."""
    TLS_CERTIFICATE = "self_signed_tls_client_auth"
    """A registered certificate of the TLS connection (RFC 8705 2.2)."""


class SenderConstraint(StrEnum):
    """What a processor must show with every use of an access token, so that a stolen one is useless."""

    NONE = "none"
    """Nothing: a bearer token (RFC 6750). A processor that sends a DPoP proof all the same gets a bound token."""
    DPOP = "dpop"
    """A proof that it has the key (RFC 9449)."""
    MTLS = "mtls"
    """The certificate of its TLS connection (RFC 8705 3)."""


class Profile(StrEnum):
    DEFAULT = "default"
    FAPI2 = "fapi2"
    """FAPI 2.0 Security Profile: no shared secret, bound tokens only, codes that live 60 seconds at most."""


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


async def find_processor_security(connection: Connection, guid: str) -> ProcessorSecurity:
    """Raises NotFound if there is no such processor."""
    found = await fetch_one(
        connection,
        ProcessorSecurity,
        f"SELECT {columns(ProcessorSecurity)} FROM processor WHERE guid = %(guid)s",
        {"guid": guid},
    )
    if found is None:
        raise NotFound
    return found
