"""Encryption and keyed hashes: the only uses of AES-GCM, HMAC and HKDF. No I/O, no state.

    sealed = version (1 byte) | nonce (12) | ciphertext | tag (16)

Values are sealed with AES-256-GCM and bound to the place they are sealed for. The nonce is random, which is safe for
2^32 values under one key (NIST SP 800-38D); every owner has its own key. The key of a value is always read from the
row and never guessed: GCM does not commit to its key.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coatcheck.errors import SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
VERSION = b"\x01"
LEAST_BYTES = len(VERSION) + NONCE_BYTES + TAG_BYTES


def context(*parts: str) -> bytes:
    """The associated data that binds a value to its table, owner, record and field, in that order.

    The parts are joined by NUL, which PostgreSQL text cannot contain, so two places never give the same bytes.
    """
    return "\0".join(parts).encode()


def new_key() -> bytes:
    """256 random bits from the operating system."""
    return urandom(KEY_BYTES)


def derive_key(secret: str, purpose: str) -> bytes:
    """A key derived from a secret of high entropy with HKDF-SHA-256 (RFC 5869)."""
    return HKDF(SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(secret.encode())


def keyed_hash(key: bytes, purpose: str, value: str) -> bytes:
    """HMAC-SHA-256 of a value: finds an equal value without storing it.

    Args:
        key: 256 bits of the keyring.
        purpose: a constant without `|`; hashes of different purposes never match.
        value: what is hashed. Encode several values as JSON, so that their boundaries are unambiguous.
    """
    return hmac.digest(key, f"{purpose}|{value}".encode(), "sha256")


def masked(value: bytes) -> str:
    """The value under a random mask, as hex with the mask: another text each time.

    A page that contains it can be compressed with text that an attacker chose: its length tells nothing (BREACH).
    """
    mask = urandom(len(value))
    return (mask + _xor(mask, value)).hex()


def unmasked(text: str) -> bytes:
    """The value that `masked` gave this text; any other text gives some value, or none."""
    try:
        both = bytes.fromhex(text)
    except ValueError:
        return b""
    half = len(both) // 2
    return _xor(both[:half], both[half:])


def _xor(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=False))


def base64url_sha256(value: bytes) -> str:
    """SHA-256 in base64url without padding, as OAuth writes the hash of a token, a certificate or a verifier."""
    return urlsafe_b64encode(sha256(value).digest()).decode().rstrip("=")


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Encrypts a value and binds it to its context."""
    # Random, because several processes seal under one key without a common counter. A repeated nonce breaks GCM.
    nonce = urandom(NONCE_BYTES)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def open_sealed(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Decrypts a value.

    Raises:
        SealBroken: it was altered, truncated, moved or sealed under another key; the error does not say which.
    """
    # One error for every cause: a caller that could tell them apart could try altered bytes out.
    if len(sealed) < LEAST_BYTES or sealed[:1] != VERSION:
        raise SealBroken
    try:
        return AESGCM(key).decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], context)
    except InvalidTag:
        raise SealBroken from None
