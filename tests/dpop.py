"""DPoP proofs and client assertions of a processor, for tests."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey

from coatcheck.crypto import base64url_sha256


def new_key() -> ECKey:
    return ECKey.generate_key("P-256", parameters={"kid": "one"})


@dataclass(frozen=True)
class Holder:
    """Who has a DPoP key."""

    now: datetime
    base_url: str = "http://coatcheck.test"
    key: ECKey = field(default_factory=new_key)

    def proof(self, method: str, path: str, token: str | None = None, **changed: Any) -> str:
        claims = {
            "jti": str(uuid4()),
            "htm": method,
            "htu": f"{self.base_url}{path}",
            "iat": int(self.now.timestamp()),
        }
        if token is not None:
            claims["ath"] = base64url_sha256(token.encode())
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        return jwt.encode(header, claims | changed, self.key, encoder_cls=AsciiJson)

    def headers(self, method: str, path: str, token: str, **changed: Any) -> dict[str, str]:
        """The headers of a read with a token that is bound to the key."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, path, token, **changed)}


class AsciiJson(json.JSONEncoder):
    """Escapes what is not ASCII, so that a claim can contain half of a surrogate pair."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"ensure_ascii": True})


def assertion(key: ECKey, guid: str, now: datetime, **changed: Any) -> dict[str, str]:
    """The parameters of `private_key_jwt`."""
    claims = {
        "iss": guid,
        "sub": guid,
        "aud": "http://coatcheck.test",
        "jti": str(uuid4()),
        "exp": int(now.timestamp()) + 60,
    }
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "ES256", "kid": "one"}, claims | changed, key),
    }
