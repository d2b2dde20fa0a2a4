"""What an operator chooses for a processor: how it authenticates, and what its access tokens are bound to."""

from enum import StrEnum


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
