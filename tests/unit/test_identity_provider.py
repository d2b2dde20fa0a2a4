"""An identity provider: what is refused of what it sends, and when its keys and metadata are read again."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from coatcheck.clock import MovableClock
from coatcheck.crypto import base64url_sha256
from coatcheck.errors import SignInFailed, Unavailable
from coatcheck.identity_provider import MAX_BYTES, METADATA_TTL, Identity, IdentityProvider
from tests.identity_provider import ISSUER, NONCE, REGISTRATION, VERIFIER, Provider, new_key


@pytest.fixture
def upstream(clock: MovableClock) -> Provider:
    return Provider(clock)


@pytest.fixture
def provider(upstream: Provider, clock: MovableClock) -> IdentityProvider:
    return IdentityProvider(REGISTRATION, clock, httpx.MockTransport(upstream.answer))


async def identity(provider: IdentityProvider) -> Identity:
    return await provider.identity("the code", nonce=NONCE, code_verifier=VERIFIER)


async def test_the_request_has_state_nonce_and_the_hash_of_the_verifier(provider: IdentityProvider) -> None:
    url = await provider.sign_in_url(state="s", nonce=NONCE, code_verifier=VERIFIER)
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
    assert (await identity(provider)).claim is None


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


@pytest.mark.parametrize(
    ("claim", "scope"), [("sub", "openid"), ("email", "openid email"), ("customer", "openid profile")]
)
async def test_the_scope_has_the_claim_that_identifies_a_person(
    clock: MovableClock, upstream: Provider, claim: str, scope: str
) -> None:
    registration = replace(REGISTRATION, claim=claim)
    provider = IdentityProvider(registration, clock, httpx.MockTransport(upstream.answer))
    url = await provider.sign_in_url(state="s", nonce=NONCE, code_verifier=VERIFIER)
    assert parse_qs(urlsplit(url).query)["scope"] == [scope]
    upstream.claims = {"customer": "C-1"}
    expected = {"sub": "ann", "email": "ann@example.com", "customer": "C-1"}
    assert (await identity(provider)).claim == expected[claim]


@pytest.mark.parametrize("value", [None, 7, True, ["C-1"]])
async def test_a_claim_that_is_no_text_is_none(
    clock: MovableClock, upstream: Provider, value: object
) -> None:
    registration = replace(REGISTRATION, claim="customer")
    upstream.claims = {"customer": value}
    provider = IdentityProvider(registration, clock, httpx.MockTransport(upstream.answer))
    assert (await identity(provider)).claim is None


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
    assert (await identity(provider)).claim == "ann@example.com"
    # What else it says does not replace what the ID token says, or adds to it.
    upstream.userinfo |= {"auth_time": "now"}
    assert await identity(provider) == Identity("ann", "ann@example.com", None)
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
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    with pytest.raises(SignInFailed):
        await identity(IdentityProvider(REGISTRATION, clock, transport))


async def test_of_an_answer_that_is_too_long_the_rest_is_not_read(clock: MovableClock) -> None:
    read = 0

    async def spaces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(8):
            read += MAX_BYTES // 2
            yield b" " * (MAX_BYTES // 2)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=spaces()))
    with pytest.raises(SignInFailed):
        await identity(IdentityProvider(REGISTRATION, clock, transport))
    assert read < 2 * MAX_BYTES


async def test_a_provider_that_cannot_be_reached_is_unavailable(clock: MovableClock) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("", request=request)

    with pytest.raises(Unavailable):
        await identity(IdentityProvider(REGISTRATION, clock, httpx.MockTransport(refuse)))


async def test_a_public_client_sends_no_secret(clock: MovableClock, upstream: Provider) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return upstream.answer(request)

    for registration in (replace(REGISTRATION, client_secret=""), REGISTRATION):
        await identity(IdentityProvider(registration, clock, httpx.MockTransport(answer)))
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
