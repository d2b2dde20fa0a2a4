"""The sealed copy of an exchange's answer, for a processor that lost it and retries under its Idempotency-Key.

The key is derived from the code, which is kept nowhere: the database alone cannot open it.
"""

import hmac
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


def _cipher(code: str) -> AESGCM:
    return AESGCM(
        HKDF(SHA256(), length=32, salt=None, info=b"coatcheck exchange reply").derive(code.encode())
    )


def seal_reply(code: str, token: str) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(code).encrypt(nonce, token.encode(), None)


def open_reply(code: str, sealed: bytes) -> str:
    return _cipher(code).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None).decode()


def fingerprint(idempotency_key: str | None, hash_key: bytes) -> bytes | None:
    """What is kept of an Idempotency-Key."""
    if idempotency_key is None:
        return None
    return hmac.digest(hash_key, f"idempotency|{idempotency_key}".encode(), "sha256")
