"""Nonces for DPoP proofs (RFC 9449 8): a proof with one was made a few minutes ago at most, whatever its clock says.

A nonce follows from the hash key and the time, so that every process of the installation accepts it without storing it.
"""

import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

from coatcheck.crypto import keyed_hash
from coatcheck.grants.secrets import EPOCH

PERIOD = timedelta(minutes=5)


class DPoPNonces:
    """Issues nonces and recognizes them. Each is valid until the end of the period after its own."""

    def __init__(self, hash_key: bytes) -> None:
        self._hash_key = hash_key

    def current(self, now: datetime) -> str:
        return self._nonce((now - EPOCH) // PERIOD)

    def is_valid(self, nonce: str, now: datetime) -> bool:
        period = (now - EPOCH) // PERIOD
        # In constant time: whoever could guess it byte by byte would make proofs in advance.
        return any(
            # The period before counts too: otherwise a nonce that was given a second ago could be over already.
            hmac.compare_digest(nonce.encode(), self._nonce(each).encode())
            for each in (period, period - 1)
        )

    def _nonce(self, period: int) -> str:
        hashed = keyed_hash(self._hash_key, "dpop nonce", str(period))
        return urlsafe_b64encode(hashed).decode().rstrip("=")
