"""Verification of the JWTs that processors sign: DPoP proofs and client assertions. No I/O.

Only signatures with a private key are accepted: a shared secret would let the server sign too.
"""

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, import_key
from joserfc.jws import JWSRegistry, extract_compact

ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA")
"""The signatures of FAPI 2.0 Security Profile 5.4.1, for DPoP proofs."""
ASSERTION_ALGORITHMS = (*ALGORITHMS, "RS256")
"""The signatures of client assertions: RS256 is the default of several client libraries."""
MAX_CHARACTERS = 8192
MAX_ID_CHARACTERS = 255
MAX_AHEAD = timedelta(seconds=60)
"""How far the clock of a processor may be ahead of this server's.

FAPI 2.0 Security Profile 5.3.2.1: a time up to 10 seconds in the future is accepted, one of more than 60 is refused.
"""
MAX_AGE = timedelta(seconds=60)
"""How old a proof may be."""
LENIENCY = timedelta(seconds=10)
"""How long after its expiry an assertion is still accepted."""
KEY_KINDS = (("EC", "P-256"), ("OKP", "Ed25519"), ("RSA", None))
"""`kty` and `crv`."""
PRIVATE_PARAMETERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
RSA_CHARACTERS = range(342, 684)
"""The length of the modulus in base64url: 2048 to 4096 bits. Verification with a longer key takes long."""
MAX_EXPONENT_CHARACTERS = 11
"""Of the public exponent in base64url: 64 bits. With one as long as the modulus, a verification takes 15 times as long,
and a DPoP proof brings a key that anyone can choose."""
UNREADABLE = (JoseError, ValueError, TypeError, KeyError, RecursionError)
"""What the library raises for text that anyone can send."""

Claims: TypeAlias = dict[str, Any]
KeyOf: TypeAlias = KeySet | Callable[[Any], Key]
"""The keys that may have signed, or a function from the library's signature object to the key."""


class InvalidJwt(Exception):
    """The JWT is malformed, its signature is wrong or its key is not permitted. The message is for the operator."""


class _Registry(JWSRegistry):
    max_header_length = 4096  # a proof has its key in the header

    def get_alg(self, name: str) -> Any:
        # RFC 9864: with this curve the two names mean the same signature. The library warns about the older name.
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


def verify(
    text: str, key: KeyOf, algorithms: Collection[str] = ALGORITHMS
) -> tuple[Mapping[str, Any], Claims]:
    """The header and the claims of a JWT with a correct signature. No claim is checked.

    Raises:
        InvalidJwt: the text is no JWT of this kind, or the signature is wrong.
    """
    # Before anything is decoded: anyone can send it.
    if len(text) > MAX_CHARACTERS or not text.isascii():
        raise InvalidJwt("too long or not ASCII")
    try:
        # The list of algorithms is ours: the header cannot choose `none`, or an HMAC with a public key (RFC 8725 3.1).
        token = jwt.decode(text, key, registry=_Registry(algorithms=algorithms))
    except UNREADABLE as error:
        raise InvalidJwt(type(error).__name__) from error
    return token.header, token.claims


def unverified_claims(text: str) -> Claims:
    """The claims of a JWT whose signature is not verified: only to find the keys that verify it.

    Raises:
        InvalidJwt: the text is no JWT.
    """
    if len(text) > MAX_CHARACTERS or not text.isascii():
        raise InvalidJwt("too long or not ASCII")
    try:
        # By hand: `jwt.decode` needs the key, and whose key it is follows from these claims.
        claims = json.loads(extract_compact(text.encode()).payload or b"")
    except UNREADABLE as error:
        raise InvalidJwt(type(error).__name__) from error
    if not isinstance(claims, dict):
        raise InvalidJwt("the claims are no object")
    return claims


def read_public_key(jwk: object) -> Key:
    """A public key (RFC 7517) of a permitted kind and size.

    Raises:
        InvalidJwt: it is malformed, private, or none of P-256, Ed25519 and RSA.
    """
    if not isinstance(jwk, dict) or (jwk.get("kty"), jwk.get("crv")) not in KEY_KINDS:
        raise InvalidJwt("the key is not P-256, Ed25519 or RSA")
    # Whoever registers or sends a private key has published it.
    if PRIVATE_PARAMETERS & jwk.keys():
        raise InvalidJwt("the key is private")
    if jwk["kty"] == "RSA" and len(str(jwk.get("n"))) not in RSA_CHARACTERS:
        raise InvalidJwt("the RSA key has not 2048 to 4096 bits")
    if jwk["kty"] == "RSA" and len(str(jwk.get("e"))) > MAX_EXPONENT_CHARACTERS:
        raise InvalidJwt("the exponent of the RSA key has more than 64 bits")
    try:
        return import_key(jwk)
    except UNREADABLE as error:
        raise InvalidJwt(f"the key cannot be read: {type(error).__name__}") from error


def text_claim(claims: Claims, name: str) -> str:
    """A claim that must be text of 1 to 255 characters that PostgreSQL can store.

    Raises:
        InvalidJwt: it is not.
    """
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS or not _is_storable(value):
        raise InvalidJwt(f"{name} is not text of 1 to {MAX_ID_CHARACTERS} characters")
    return value


def _is_storable(value: str) -> bool:
    """Whether PostgreSQL can store it: JSON can name a NUL and halves of surrogate pairs."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def time_claim(claims: Claims, name: str) -> float:
    """A claim that must be a number of seconds since 1970 (RFC 7519 2, NumericDate).

    Raises:
        InvalidJwt: it is not.
    """
    value = claims.get(name)
    # In Python, True and False are numbers. In JSON they are not.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidJwt(f"{name} is not a number")
    try:
        return float(value)
    except OverflowError:
        raise InvalidJwt(f"{name} is too large") from None


def require_recent(claims: Claims, now: datetime) -> None:
    """Raises InvalidJwt if `iat` is older than `MAX_AGE` or ahead by more than `MAX_AHEAD`."""
    # Compared as numbers: a date of a huge number does not exist. With NaN the comparison is false.
    age = now.timestamp() - time_claim(claims, "iat")
    if not -MAX_AHEAD.total_seconds() <= age <= MAX_AGE.total_seconds():
        raise InvalidJwt("iat is too old or in the future")


def require_current(claims: Claims, now: datetime) -> None:
    """Raises InvalidJwt if there is an `exp` in the past, or an `nbf` in the future (RFC 7519 4.1.4, 4.1.5)."""
    seconds = now.timestamp()
    # `not <` instead of `>=`: a comparison with NaN is false.
    if "exp" in claims and not seconds - LENIENCY.total_seconds() < time_claim(claims, "exp"):
        raise InvalidJwt("exp is in the past")
    if "nbf" in claims and not time_claim(claims, "nbf") <= seconds + MAX_AHEAD.total_seconds():
        raise InvalidJwt("nbf is in the future")
