"""What an OAuth institution of the sandbox issues: codes that live ten minutes, and consents.

A code is sealed, not stored, so that any process can open it: AES-GCM over the login and the expiry, with
institution, redirect URI and code challenge as associated data. A wrong verifier simply does not open it.
The key follows from the seed: it keeps the sandbox's customers apart, and protects nothing else.
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
"""RFC 6749 4.1.2: the longest that is recommended."""
_NONCE_BYTES = 12
_REFUSED = "The authorization code is invalid, expired or already used."


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code is bound to."""

    institution_code: str
    redirect_uri: str
    code_challenge: str

    def bound(self) -> bytes:
        return f"{self.institution_code} {self.redirect_uri} {self.code_challenge}".encode()


def challenge_of(code_verifier: str) -> str:
    """RFC 7636 4.2, S256."""
    digest = hashlib.sha256(code_verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Consents:
    """Issues and redeems codes, and tells its own consents from others."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.sha256(f"sandbox consents|{seed}".encode()).digest()
        self._spent: dict[str, datetime] = {}
        """Redeemed codes by their expiry. Of this process alone: another one would honour a replay within
        ten minutes, which a sandbox can bear."""

    def issue_code(self, login: str, grant: Grant, now: datetime) -> str:
        nonce, expiry = os.urandom(_NONCE_BYTES), int((now + CODE_TTL).timestamp())
        sealed = AESGCM(self._key).encrypt(nonce, f"{expiry} {login}".encode(), grant.bound())
        return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def redeem(self, code: str, grant: Grant, now: datetime) -> Mapping[str, str]:
        """The credentials of whoever consented.

        Raises:
            CredentialsDenied: the code is not ours, expired, spent, or was issued for another grant.
        """
        self._spent = {spent: expiry for spent, expiry in self._spent.items() if expiry > now}
        try:
            raw = base64.b64decode(f"{code}{'=' * (-len(code) % 4)}", altchars=b"-_", validate=True)
            opened = AESGCM(self._key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], grant.bound())
        except (binascii.Error, InvalidTag, ValueError):
            raise CredentialsDenied(_REFUSED) from None
        expiry, _, login = opened.decode().partition(" ")
        if int(expiry) <= now.timestamp() or code in self._spent:
            raise CredentialsDenied(_REFUSED)
        self._spent[code] = now + CODE_TTL
        return {"LOGIN": login, "CONSENT": self._consent(grant.institution_code, login)}

    def check(self, institution_code: str, credentials: Mapping[str, str]) -> None:
        """Lets credentials pass that came from `redeem`.

        Raises:
            ConsentRevoked: they did not.
        """
        expected = self._consent(institution_code, credentials.get("LOGIN", ""))
        if not hmac.compare_digest(expected.encode(), credentials.get("CONSENT", "").encode()):
            raise ConsentRevoked

    def _consent(self, institution_code: str, login: str) -> str:
        return hmac.digest(self._key, f"{institution_code}\0{login}".encode(), "sha256").hex()
