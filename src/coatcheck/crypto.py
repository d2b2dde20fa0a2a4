"""How a value is sealed: AES-256-GCM, bound to the place it was sealed for. No I/O, no state.

    sealed = version (1 byte) | nonce (12) | ciphertext | tag (16)

The nonce is random, which is safe for 2^32 values under one key (NIST SP 800-38D); every owner has a key of
its own. The key is always known from the row, never tried for: GCM does not commit to its key.
"""

from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coatcheck.errors import SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
VERSION = b"\x01"
LEAST_BYTES = len(VERSION) + NONCE_BYTES + TAG_BYTES


def context(*parts: str) -> bytes:
    """The place a value belongs to: its table, owner, record and field, in that order.

    Postgres text holds no NUL, so two different places never read the same.
    """
    return "\0".join(parts).encode()


def new_key() -> bytes:
    """256 bits of the operating system's randomness."""
    return urandom(KEY_BYTES)


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    nonce = urandom(NONCE_BYTES)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def open_sealed(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """What was sealed, if nothing of it and nothing of its place has changed.

    Raises:
        SealBroken: it was altered, cut, moved or sealed under another key; which of them is not told.
    """
    if len(sealed) < LEAST_BYTES or sealed[:1] != VERSION:
        raise SealBroken
    try:
        return AESGCM(key).decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], context)
    except InvalidTag:
        raise SealBroken from None
