"""The identity provider of staff: what is refused of what it sends, and when its keys and metadata are read again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.crypto import base64url_sha256
from coatcheck.errors import SignInFailed, Unavailable
from coatcheck.staff.identity_provider import METADATA_TTL, Identity, IdentityProvider

ISSUER = "https://login.example/staff"
NONCE, VERIFIER = "the nonce", "a-verifier-of-forty-three-characters-or-more-0"


def new_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256", "use": "sig"})


@dataclass
class Provider:
    """An identity provider whose answers the tests change."""

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


@pytest.fixture
def upstream(clock: MovableClock) -> Provider:
    return Provider(clock)


@pytest.fixture
def provider(upstream: Provider, clock: MovableClock) -> IdentityProvider:
    settings = Settings(
        base_url="https://coatcheck.example",
        staff_oidc_issuer=ISSUER,
        staff_oidc_client_id="coatcheck",
        staff_oidc_client_secret="s3cret",
    )
    return IdentityProvider(settings, clock, httpx.MockTransport(upstream.answer))


async def identity(provider: IdentityProvider) -> Identity:
    return await provider.identity("the code", nonce=NONCE, code_verifier=VERIFIER)


async def test_the_request_has_state_nonce_and_the_hash_of_the_verifier(provider: IdentityProvider) -> None:
    url = await provider.sign_in_url(state="s", nonce=NONCE, code_verifier=VERIFIER, is_again=False)
    assert url.startswith(f"{ISSUER}/auth?")
    assert parse_qs(urlsplit(url).query) == {
        "response_type": ["code"],
        "client_id": ["coatcheck"],
        "redirect_uri": ["https://coatcheck.example/dashboard/sign-in/return"],
        "scope": ["openid email"],
        "state": ["s"],
        "nonce": [NONCE],
        "code_challenge": [base64url_sha256(VERIFIER.encode())],
        "code_challenge_method": ["S256"],
    }


async def test_the_subject_and_a_verified_address_are_the_identity(
    provider: IdentityProvider, upstream: Provider
) -> None:
    upstream.claims = {"auth_time": 12}
    assert await identity(provider) == Identity("ann", "ann@example.com", 12)
    assert upstream.form["code_verifier"] == [VERIFIER]


@pytest.mark.parametrize("verified", [None, False, "true", 1])
async def test_an_address_that_is_not_verified_is_none(
    provider: IdentityProvider, upstream: Provider, verified: object
) -> None:
    upstream.claims = {"email_verified": verified}
    assert (await identity(provider)).email is None


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["coatcheck", "another"]},
        {"azp": "another"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"at_hash": "wrong"},
    ],
    ids=json.dumps,
)
async def test_an_id_token_with_a_wrong_claim_is_refused(
    provider: IdentityProvider, upstream: Provider, claims: dict[str, Any]
) -> None:
    upstream.claims = claims
    with pytest.raises(SignInFailed):
        await identity(provider)


async def test_an_id_token_of_another_key_is_refused(provider: IdentityProvider, upstream: Provider) -> None:
    upstream.signing_key = new_key("first")
    with pytest.raises(SignInFailed):
        await identity(provider)


async def test_an_unsigned_id_token_is_refused(provider: IdentityProvider, upstream: Provider) -> None:
    upstream.id_token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."
    with pytest.raises(SignInFailed):
        await identity(provider)


async def test_keys_are_read_again_when_the_provider_has_rotated_them(
    provider: IdentityProvider, upstream: Provider
) -> None:
    await identity(provider)
    upstream.key = new_key("second")
    assert (await identity(provider)).subject == "ann"
    assert upstream.asked.count("/keys") == 2


async def test_metadata_are_kept_for_an_hour(
    provider: IdentityProvider, upstream: Provider, clock: MovableClock
) -> None:
    await identity(provider)
    await identity(provider)
    assert upstream.asked.count("/keys") == 1
    clock.advance(METADATA_TTL)
    await identity(provider)
    assert upstream.asked.count("/keys") == 2


async def test_the_address_comes_from_userinfo_if_the_id_token_has_none(
    provider: IdentityProvider, upstream: Provider
) -> None:
    upstream.claims = {"email": None, "email_verified": None}
    upstream.userinfo = {"sub": "ann", "email": "ann@example.com", "email_verified": True}
    assert (await identity(provider)).email == "ann@example.com"
    # An answer about another person is not used (OpenID Connect Core 5.3.2).
    upstream.userinfo = {"sub": "eve", "email": "eve@example.com", "email_verified": True}
    assert await identity(provider) == Identity("ann", None, None)


@pytest.mark.parametrize(
    "metadata", [{"issuer": "https://evil.example"}, {"jwks_uri": None}, {"token_endpoint": 7}]
)
async def test_metadata_of_another_issuer_or_without_an_endpoint_are_refused(
    provider: IdentityProvider, upstream: Provider, metadata: dict[str, Any]
) -> None:
    upstream.metadata = metadata
    with pytest.raises(SignInFailed):
        await identity(provider)


async def test_a_refused_code_fails_and_a_broken_provider_is_unavailable(
    provider: IdentityProvider, upstream: Provider
) -> None:
    upstream.status = 400
    with pytest.raises(SignInFailed):
        await identity(provider)
    upstream.status = 502
    with pytest.raises(Unavailable):
        await identity(provider)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"\xff", b""], ids=range(4))
async def test_an_answer_that_is_no_json_object_fails(clock: MovableClock, content: bytes) -> None:
    settings = Settings(staff_oidc_issuer=ISSUER, staff_oidc_client_id="coatcheck")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    with pytest.raises(SignInFailed):
        await identity(IdentityProvider(settings, clock, transport))


async def test_a_provider_that_cannot_be_reached_is_unavailable(clock: MovableClock) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("", request=request)

    settings = Settings(staff_oidc_issuer=ISSUER, staff_oidc_client_id="coatcheck")
    with pytest.raises(Unavailable):
        await identity(IdentityProvider(settings, clock, httpx.MockTransport(refuse)))


async def test_a_public_client_sends_no_secret(clock: MovableClock, upstream: Provider) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return upstream.answer(request)

    settings = Settings(staff_oidc_issuer=ISSUER, staff_oidc_client_id="coatcheck")
    await identity(IdentityProvider(settings, clock, httpx.MockTransport(answer)))
    await identity(
        IdentityProvider(
            replace(settings, staff_oidc_client_secret="s3cret"), clock, httpx.MockTransport(answer)
        )
    )
    assert ["authorization" in each.headers for each in sent if each.url.path.endswith("/token")] == [
        False,
        True,
    ]


async def test_a_token_that_has_just_expired_is_accepted_within_a_minute(
    provider: IdentityProvider, upstream: Provider, clock: MovableClock
) -> None:
    now = clock.now()
    upstream.claims = {"exp": int((now - timedelta(seconds=30)).timestamp())}
    assert (await identity(provider)).subject == "ann"
    upstream.claims = {"exp": int((now - timedelta(seconds=90)).timestamp())}
    with pytest.raises(SignInFailed):
        await identity(provider)
