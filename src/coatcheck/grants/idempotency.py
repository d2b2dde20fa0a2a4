"""Idempotency-Key: the token of an exchange, sealed for a processor that lost the response and retries.

The key is derived from the code, which is not stored: the database alone cannot open the sealed token.
"""

from coatcheck.crypto import context, derive_key, keyed_hash, open_sealed, seal

PURPOSE = "exchange reply"


def seal_token(code: str, token: str) -> bytes:
    """The token as it is stored with its redeemed code."""
    # The key seals one value only, so the context needs no guid.
    return seal(derive_key(code, PURPOSE), token.encode(), context(PURPOSE))


def open_token(code: str, sealed: bytes) -> str:
    """The token that the code was exchanged for.

    Raises:
        SealBroken: the sealed token was altered or belongs to another code.
    """
    return open_sealed(derive_key(code, PURPOSE), sealed, context(PURPOSE)).decode()


def hash_of(idempotency_key: str | None, hash_key: bytes) -> bytes | None:
    """The hash of an Idempotency-Key, which is stored instead of the key."""
    return None if idempotency_key is None else keyed_hash(hash_key, "idempotency", idempotency_key)
