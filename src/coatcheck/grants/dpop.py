"""DPoP proofs: a processor shows with each request that it has the key that its token is bound to (RFC 9449). No I/O.

proof = JWT, typ dpop+jwt, the public key in its header; claims: jti, htm, htu, iat; with a token also ath
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import Key

from coatcheck.crypto import base64url_sha256
from coatcheck.grants.jwt_verification import (
    InvalidJwt,
    read_public_key,
    require_current,
    require_recent,
    text_claim,
    time_claim,
    verify,
)

TYPE = "dpop+jwt"
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class DPoPProof:
    """A proof that belongs to this request. Whether it was used before is not checked yet."""

    key_thumbprint: str
    """The SHA-256 thumbprint of the key (RFC 7638), which the token names as `jkt`."""
    jti: str
    issued_at: float
    """Seconds since 1970, within a minute of the server's clock."""
    nonce: str | None


def verify_proof(
    text: str, *, method: str, url: str, now: datetime, access_token: str | None = None
) -> DPoPProof:
    """Checks a proof (RFC 9449 4.3), except for the nonce and for reuse.

    Args:
        text: the value of the only DPoP header.
        method: the HTTP method of the request.
        url: the address of the request as the processor knows it, from `base_url`.
        now: the current time.
        access_token: the token that the request presents; None at the token endpoint.

    Raises:
        InvalidJwt: the proof is malformed, signed by another key, for another request, or too old.
    """
    key = _HeaderKey()
    header, claims = verify(text, key)
    # A JWT that the key signed for another purpose must not pass as a proof (RFC 8725 3.11).
    if header.get("typ") != TYPE:
        raise InvalidJwt(f"typ is not {TYPE}")
    if claims.get("htm") != method:
        raise InvalidJwt("htm is not the method of the request")
    # Against the configured address, not the Host header: a proof for another server must not be accepted here.
    if _without_query(text_claim(claims, "htu")) != _without_query(url):
        raise InvalidJwt("htu is not the address of the request")
    # A proof that was made for one token must not serve for another that is bound to the same key.
    if access_token is not None and claims.get("ath") != base64url_sha256(access_token.encode()):
        raise InvalidJwt("ath is not the hash of the token")
    require_recent(claims, now)
    # RFC 9449 asks for neither claim. A proof that has one must not be accepted outside of its time.
    require_current(claims, now)
    nonce = claims.get("nonce")
    return DPoPProof(
        key_thumbprint=key.thumbprint,
        jti=text_claim(claims, "jti"),
        issued_at=time_claim(claims, "iat"),
        # JSON can name halves of surrogate pairs, which `is_valid` could not encode.
        nonce=nonce if isinstance(nonce, str) and nonce.isascii() else None,
    )


class _HeaderKey:
    """Takes the key from the header of the proof, and keeps its thumbprint."""

    thumbprint = ""

    def __call__(self, signature: Any) -> Key:
        # Taken where the library asks for the key that verifies, so that the thumbprint is of no other key.
        key = read_public_key(signature.headers().get("jwk"))
        self.thumbprint = key.thumbprint()
        return key


def _without_query(url: str) -> tuple[str, str | None, int | None, str]:
    """The URL without query and fragment (RFC 9449 4.3), and normalized (RFC 3986 6.2.2, 6.2.3)."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme), parts.path or "/"
    except ValueError:
        raise InvalidJwt("htu is not a URL") from None
