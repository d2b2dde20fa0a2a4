"""Signed documents: compact JWS (RFC 7515) signed with Ed25519 (RFC 8037), and the published keys (RFC 7517). No I/O.

    sign    claims + signing key --> header.payload.signature
    verify  header.payload.signature + published keys --> the claims, or NotGenuine

The only use of EdDSA. Whoever has the published keys verifies a document without this program.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from coatcheck.errors import NotGenuine
from coatcheck.seeding import random_bytes

ALGORITHM = "EdDSA"
CURVE = "Ed25519"
PRIVATE_KEY_BYTES = 32
MAX_CHARACTERS = 128 * 1024
"""A longer text is refused before it is decoded."""
NO_JSON = (ValueError, RecursionError)
"""What the standard library raises for text that is not JSON, or is nested too deeply."""
COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class DocumentType(StrEnum):
    """The `typ` header: what a document states (RFC 7515 4.1.9)."""

    GRANT = "coatcheck-grant+jwt"
    REVOCATION = "coatcheck-revocation+jwt"
    DISCLOSURE = "coatcheck-disclosure+jwt"
    ATTESTATION = "coatcheck-attestation+jwt"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the id under which its public key is published."""

    kid: str
    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, private_key: bytes) -> Self:
        """The key of 32 private bytes. Its id is the thumbprint of its public key (RFC 7638)."""
        key = Ed25519PrivateKey.from_private_bytes(private_key)
        return cls(OKPKey.import_key(key).thumbprint(), key)

    @property
    def public_key(self) -> str:
        """The member `x` of the public JWK (RFC 8037 2)."""
        return _encode(self.public_bytes)

    @property
    def public_bytes(self) -> bytes:
        """The public key, 32 bytes."""
        return self.key.public_key().public_bytes_raw()

    def sign_bytes(self, data: bytes) -> bytes:
        """The Ed25519 signature of bytes that cannot be mistaken for a document: those begin with a JWS header."""
        return self.key.sign(data)

    def sign(self, document_type: DocumentType, claims: Mapping[str, object]) -> str:
        """The claims as a compact JWS. Signing is deterministic: equal claims give an equal document."""
        # Joined here: every exchange signs a receipt, and the library checks the header and the key again each time.
        signed = f"{_encoded_header(self.kid, document_type)}.{_encode(msgspec.json.encode(claims))}"
        return f"{signed}.{_encode(self.key.sign(signed.encode()))}"


@cache
def _encoded_header(kid: str, document_type: DocumentType) -> str:
    return _encode(msgspec.json.encode({"alg": ALGORITHM, "kid": kid, "typ": document_type.value}))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document whose signature was verified."""

    type: DocumentType
    kid: str
    claims: Mapping[str, Any]


def format_instant(at: datetime) -> str:
    """The instant as documents state it: in UTC, such as `2026-01-31T12:00:00Z`, with microseconds if it has any."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def new_private_key() -> bytes:
    """256 random bits from the operating system (RFC 8032 5.1.5)."""
    return random_bytes(PRIVATE_KEY_BYTES, "signing key")


def decode_public_key(public_key: str) -> bytes:
    """The 32 bytes of the member `x` of a public JWK."""
    return _decode(public_key)


def public_jwk(kid: str, public_key: str) -> dict[str, str]:
    """A published key (RFC 8037 2)."""
    return {"kty": "OKP", "crv": CURVE, "x": public_key, "kid": kid, "use": "sig", "alg": ALGORITHM}


def key_id(compact: str) -> str:
    """The id of the key that a document names. Nothing is verified.

    Raises:
        NotGenuine: it is not a compact JWS.
    """
    return str(_header_of(compact).get("kid"))


def verify(compact: str, published: Iterable[Mapping[str, Any]]) -> SignedDocument:
    """The document, if one of the published keys signed exactly these bytes.

    Args:
        compact: a compact JWS, without surrounding space.
        published: the member `keys` of a key set. Keys of other types are ignored.

    Raises:
        NotGenuine: it is not. The message says which check failed.
    """
    header = _header_of(compact)
    kid = header.get("kid")
    try:
        document_type = DocumentType(str(header.get("typ")))
    except ValueError:
        raise NotGenuine(
            "The header `typ` does not name a document of Coatcheck. The document was altered or is another one."
        ) from None
    # The algorithm is fixed: a document cannot choose `none`, or an HMAC with the public key as its secret.
    if header.get("alg") != ALGORITHM:
        raise NotGenuine(f"The header `alg` is not {ALGORITHM}. The document was altered or is another one.")
    key = _key_of(kid, published)
    try:
        payload = jws.deserialize_compact(compact, key, registry=_REGISTRY).payload
        claims = json.loads(payload)
    except (JoseError, *NO_JSON):
        raise NotGenuine(
            "The signature does not match. The document was altered or another server signed it."
        ) from None
    if not isinstance(claims, dict):
        raise NotGenuine("The payload is not a JSON object.")
    return SignedDocument(document_type, str(kid), claims)


def _header_of(compact: str) -> Mapping[str, Any]:
    if len(compact) > MAX_CHARACTERS or not COMPACT.fullmatch(compact):
        raise NotGenuine(
            "The text is not a compact JWS, which has three parts of base64url between dots. It was altered or cut off."
        )
    parts = compact.split(".")
    decoded = [_decode(part) for part in parts]
    # Decoders ignore the unused bits of the last character, so several texts have equal bytes. Only one is accepted.
    if [_encode(each) for each in decoded] != parts:
        raise NotGenuine("The text is not canonical base64url. The document was altered.")
    try:
        header = json.loads(decoded[0])
    except NO_JSON:
        raise NotGenuine("The header is not JSON. The document was altered.") from None
    if not isinstance(header, dict):
        raise NotGenuine("The header is not a JSON object. The document was altered.")
    return header


def _decode(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise NotGenuine("The text is not base64url. The document was altered.") from None


def _key_of(kid: object, published: Iterable[Mapping[str, Any]]) -> OKPKey:
    """The published key with this id."""
    for each in published:
        if each.get("kid") == kid and each.get("kty") == "OKP" and each.get("crv") == CURVE:
            try:
                return OKPKey.import_key({"kty": "OKP", "crv": CURVE, "x": str(each.get("x"))})
            except (JoseError, ValueError):
                raise NotGenuine("The published key of this document is not an Ed25519 key.") from None
    raise NotGenuine(
        "The key set has no key with the document's `kid`. Fetch /.well-known/jwks.json of the server that signed it."
        " If the key is not there either, the document was altered."
    )


class _EdDSA(JWSRegistry):
    """The algorithms of the library, reduced to one.

    The library warns at each use of the name `EdDSA`, which RFC 9864 replaces with `Ed25519`. Other libraries know only
    the older name.
    """

    def get_alg(self, name: str) -> Any:
        if name != ALGORITHM:
            raise NotGenuine(f"The header `alg` is not {ALGORITHM}.")
        return self.algorithms[ALGORITHM]


_REGISTRY = _EdDSA(algorithms=[ALGORITHM])
