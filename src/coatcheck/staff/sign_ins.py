"""Sign-ins that were begun: what binds the answer of a passkey or of an identity provider to the browser that asked.

The browser keeps one secret in a cookie. The challenge of WebAuthn and the state, nonce and verifier of OpenID Connect
are derived from it, so that an answer is only accepted from the browser that began, once, within ten minutes.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from coatcheck.clock import Clock
from coatcheck.crypto import keyed_hash
from coatcheck.db.batches import first_rows
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import SignInFailed
from coatcheck.grants.secrets import Kind, generate, parse_secret

TTL = timedelta(minutes=10)
MOST_DELETED = 100
"""How many expired ones a new one deletes."""


class Purpose(StrEnum):
    SIGN_IN = "sign_in"
    JOIN = "join"
    """A person accepts their invitation."""
    CONFIRM = "confirm"
    """A person who is signed in confirms who they are."""
    ADD_PASSKEY = "add_passkey"
    PORTAL = "portal"
    """An end user opens the portal."""


@dataclass(frozen=True, slots=True)
class SignIn:
    purpose: Purpose
    staff_guid: str | None
    """Who must answer. None: anyone."""
    next_path: str
    """Where the browser goes afterwards."""
    begun_at: datetime


class SignIns:
    def __init__(self, clock: Clock, hash_key: bytes) -> None:
        self._clock = clock
        self._hash_key = hash_key

    async def begin(
        self, connection: Connection, purpose: Purpose, *, staff_guid: str | None = None, next_path: str
    ) -> str:
        """Begins a sign-in, and returns its secret."""
        now, secret = self._clock.instant(), generate(Kind.STAFF_SIGN_IN, self._hash_key)
        await run(
            connection,
            # Anyone can begin one. Each deletes some that have expired, so that the table does not grow without end.
            # Not all: after a flood, that would take longer than a statement may, and nobody could sign in.
            f"""WITH expired AS ({first_rows("staff_sign_in", "expires_at <= %(now)s", MOST_DELETED)})
               INSERT INTO staff_sign_in (sign_in_hash, purpose, staff_guid, next_path, begun_at, expires_at)
               VALUES (%(hash)s, %(purpose)s, %(staff_guid)s, %(next_path)s, %(now)s, %(expires_at)s)""",
            {
                "hash": secret.hash,
                "purpose": purpose,
                "staff_guid": staff_guid,
                "next_path": next_path,
                "now": now,
                "expires_at": now + TTL,
            },
        )
        return secret.text

    async def finish(self, connection: Connection, secret: str) -> SignIn:
        """Uses a sign-in up. One statement finds and deletes it.

        Raises:
            SignInFailed: it is unknown, used or expired.
        """
        presented = parse_secret(Kind.STAFF_SIGN_IN, secret, self._hash_key)
        if presented is None:
            raise SignInFailed
        found = await fetch_one(
            connection,
            SignIn,
            f"""DELETE FROM staff_sign_in WHERE sign_in_hash = %(hash)s AND expires_at > %(now)s
                RETURNING {columns(SignIn)}""",
            {"hash": presented.hash, "now": self._clock.instant()},
        )
        if found is None:
            raise SignInFailed
        return replace(found, purpose=Purpose(found.purpose))

    def challenge(self, secret: str) -> bytes:
        """The challenge of WebAuthn."""
        return keyed_hash(self._hash_key, "staff_challenge", secret)

    def state(self, secret: str) -> str:
        """The `state` of OpenID Connect."""
        return self._text("staff_state", secret)

    def nonce(self, secret: str) -> str:
        """The `nonce` of OpenID Connect."""
        return self._text("staff_nonce", secret)

    def code_verifier(self, secret: str) -> str:
        """The verifier of PKCE: 43 characters (RFC 7636 4.1)."""
        return self._text("staff_verifier", secret)

    def _text(self, purpose: str, secret: str) -> str:
        return urlsafe_b64encode(keyed_hash(self._hash_key, purpose, secret)).decode().rstrip("=")
