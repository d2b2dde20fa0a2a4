"""An identity provider without a network, whose answers the tests change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from coatcheck.clock import MovableClock
from coatcheck.identity_provider import EMAIL, Registration

ISSUER = "https://login.example/staff"
NONCE, VERIFIER = "the nonce", "a-verifier-of-forty-three-characters-or-more-0"


REGISTRATION = Registration(
    issuer=ISSUER,
    client_id="coatcheck",
    client_secret="s3cret",
    return_url="https://coatcheck.example/dashboard/sign-in/return",
    claim=EMAIL,
)


def new_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256", "use": "sig"})


@dataclass
class Provider:
    clock: MovableClock
    key: ECKey = field(default_factory=lambda: new_key("first"))
    signing_key: ECKey | None = None
    """The key of the ID token. None: `key`, which is published."""
    id_token: str | None = None
    """Instead of one that `signing_key` signs."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims that differ; None leaves one out."""
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=lambda: {"sub": "ann"})
    status: int = 200
    asked: list[str] = field(default_factory=list)
    form: Mapping[str, list[str]] = field(default_factory=dict)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/staff")
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return httpx.Response(200, json=self._metadata())
        if path == "/keys":
            return httpx.Response(200, json={"keys": [self.key.as_dict(private=False)]})
        if path == "/userinfo":
            return httpx.Response(200, json=self.userinfo)
        self.form = parse_qs(request.content.decode())
        tokens = {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token or self._id_token()}
        return httpx.Response(self.status, json=tokens if self.status == 200 else {"error": "invalid_grant"})

    def _metadata(self) -> dict[str, Any]:
        found = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "jwks_uri": f"{ISSUER}/keys",
        } | self.metadata
        return {name: value for name, value in found.items() if value is not None}

    def _id_token(self) -> str:
        now = int(self.clock.now().timestamp())
        found = {
            "iss": ISSUER,
            "sub": "ann",
            "aud": "coatcheck",
            "iat": now,
            "exp": now + 60,
            "nonce": NONCE,
            "email": "ann@example.com",
            "email_verified": True,
        } | self.claims
        claims = {name: value for name, value in found.items() if value is not None}
        key = self.signing_key or self.key
        return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=["ES256"])
