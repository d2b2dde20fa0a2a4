"""Authorization codes and consents of the sandbox's OAuth institutions.

A code is not stored, so that any process can redeem it: it is the login and the expiry, encrypted with AES-GCM, with
institution, redirect URI and code challenge as associated data. With a wrong verifier it does not decrypt.
The key is derived from the seed. It separates sandboxes with different seeds and protects nothing else.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coatcheck.errors import ConsentRevoked, CredentialsDenied

CODE_TTL = timedelta(minutes=10)
"""The longest lifetime that RFC 6749 4.1.2 recommends."""
_NONCE_BYTES = 12
_REFUSED = "The authorization code is invalid, expired or already used."


@dataclass(frozen=True, slots=True)
class Grant:
    """The request that a code belongs to."""

    institution_code: str
    redirect_uri: str
    code_challenge: str

    def associated_data(self) -> bytes:
        return f"{self.institution_code} {self.redirect_uri} {self.code_challenge}".encode()


def challenge_of(code_verifier: str) -> str:
    """RFC 7636 4.2, S256."""
    digest = hashlib.sha256(code_verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Consents:
    """Issues and redeems codes, and verifies consents."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.sha256(f"sandbox consents|{seed}".encode()).digest()
        self._redeemed: dict[str, datetime] = {}
        """Redeemed codes with their expiry, of this process only: another process accepts a replay within
        ten minutes, which is acceptable in a sandbox."""

    def issue_code(self, login: str, grant: Grant, now: datetime) -> str:
        nonce, expiry = os.urandom(_NONCE_BYTES), int((now + CODE_TTL).timestamp())
        sealed = AESGCM(self._key).encrypt(nonce, f"{expiry} {login}".encode(), grant.associated_data())
        return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def redeem(self, code: str, grant: Grant, now: datetime) -> Mapping[str, str]:
        """The credentials of the user who consented.

        Raises:
            CredentialsDenied: the code is invalid, expired, redeemed, or belongs to another grant.
        """
        self._redeemed = {code: expiry for code, expiry in self._redeemed.items() if expiry > now}
        try:
            raw = base64.b64decode(f"{code}{'=' * (-len(code) % 4)}", altchars=b"-_", validate=True)
            opened = AESGCM(self._key).decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], grant.associated_data()
            )
        except (binascii.Error, InvalidTag, ValueError):
            raise CredentialsDenied(_REFUSED) from None
        expiry, _, login = opened.decode().partition(" ")
        if int(expiry) <= now.timestamp() or code in self._redeemed:
            raise CredentialsDenied(_REFUSED)
        self._redeemed[code] = now + CODE_TTL
        # Computed instead of stored, so that any process can check it.
        return {"LOGIN": login, "CONSENT": self._consent(grant.institution_code, login)}

    def check(self, institution_code: str, credentials: Mapping[str, str]) -> None:
        """Accepts credentials that `redeem` returned.

        Raises:
            ConsentRevoked: `redeem` did not return them.
        """
        expected = self._consent(institution_code, credentials.get("LOGIN", ""))
        if not hmac.compare_digest(expected.encode(), credentials.get("CONSENT", "").encode()):
            raise ConsentRevoked

    def _consent(self, institution_code: str, login: str) -> str:
        return hmac.digest(self._key, f"{institution_code}\0{login}".encode(), "sha256").hex()
