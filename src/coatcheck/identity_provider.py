"""Sign-in with an identity provider, of staff and of end users (OpenID Connect Core 1.0, code flow with PKCE).

    browser -> authorization endpoint -> browser -> return address with a code
    code and verifier -> token endpoint -> ID token, checked: signature, issuer, audience, expiry, nonce
    access token -> userinfo endpoint -> the claim that identifies a person, if the ID token has none

Authlib checks the metadata and the claims, and builds the requests. The provider decides who a person is, and not what
the person may do: no account is created.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from coatcheck.bounded_reading import read_up_to
from coatcheck.clock import Clock
from coatcheck.crypto import base64url_sha256
from coatcheck.errors import SignInFailed, Unavailable
from coatcheck.grants.jwt_verification import ASSERTION_ALGORITHMS, InvalidJwt, verify

EMAIL, SUBJECT = "email", "sub"
LEEWAY = 60
"""Seconds by which the clock of the provider may differ."""
METADATA_TTL = timedelta(hours=1)
"""How long the provider's metadata and keys are kept."""
TIMEOUT = httpx.Timeout(5)
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Registration:
    """How a part of this server is registered at a provider."""

    issuer: str
    """Empty: there is no provider."""
    client_id: str
    client_secret: str = field(repr=False)
    """Empty: a public client, which PKCE alone protects."""
    return_url: str
    claim: str
    """The claim that identifies a person beside the subject."""

    @property
    def scope(self) -> str:
        """The scope with the claim (OpenID Connect Core 5.4)."""
        return {SUBJECT: "openid", EMAIL: "openid email"}.get(self.claim, "openid profile")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says has signed in."""

    subject: str
    claim: str | None
    """The claim of the registration, if it is text. An e-mail address only if the provider has verified it."""
    authenticated_at: float | None
    """Seconds since 1970, if the provider says when the person last authenticated."""


@dataclass(frozen=True, slots=True)
class _Provider:
    metadata: Mapping[str, Any]
    keys: KeySet
    read_at: datetime


class IdentityProvider:
    """A provider with which people sign in.

    Args:
        registration: how this server is registered there.
        clock: the clock.
        transport: replaces the network in tests.
    """

    def __init__(
        self, registration: Registration, clock: Clock, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._registration = registration
        self._clock = clock
        self._transport = transport
        self._provider: _Provider | None = None

    @property
    def is_configured(self) -> bool:
        return bool(self._registration.issuer)

    async def sign_in_url(self, *, state: str, nonce: str, code_verifier: str, is_again: bool = False) -> str:
        """The URL of the provider's sign-in page.

        Args:
            state: comes back with the code.
            nonce: comes back in the ID token.
            code_verifier: of PKCE.
            is_again: whether the person must authenticate, also if the provider knows them already.

        Raises:
            Unavailable: the provider does not answer.
            SignInFailed: what it answers is not usable.
        """
        async with self._http() as http:
            provider = await self._find(http)
        again = {"prompt": "login", "max_age": "0"} if is_again else {}
        return str(
            prepare_grant_uri(
                provider.metadata["authorization_endpoint"],
                self._registration.client_id,
                "code",
                redirect_uri=self._registration.return_url,
                scope=self._registration.scope,
                state=state,
                nonce=nonce,
                code_challenge=base64url_sha256(code_verifier.encode()),
                code_challenge_method="S256",
                **again,
            )
        )

    async def identity(self, code: str, *, nonce: str, code_verifier: str) -> Identity:
        """Who has signed in, for the code with which the browser came back.

        Raises:
            Unavailable: the provider does not answer.
            SignInFailed: it refuses the code, or what it answers is not usable.
        """
        async with self._http() as http:
            provider = await self._find(http)
            tokens = await self._tokens(http, provider, code, code_verifier)
            claims = self._claims(provider, tokens, nonce)
            # The key is new if the provider has rotated it since.
            if claims is None:
                self._provider = None
                provider = await self._find(http)
                claims = self._claims(provider, tokens, nonce)
            if claims is None:
                raise SignInFailed(detail="ID token: signature")
            subject, name, source = claims[SUBJECT], self._registration.claim, claims
            if name not in claims and (endpoint := provider.metadata.get("userinfo_endpoint")):
                info = await self._read(http, endpoint, tokens["access_token"])
                # OpenID Connect Core 5.3.2: an answer about another person is not used.
                source = info if info.get(SUBJECT) == subject else {}
        value = source.get(name)
        is_usable = isinstance(value, str) and (name != EMAIL or source.get("email_verified") is True)
        # From the ID token alone: it is signed, and its `auth_time` was checked.
        return Identity(subject, value if is_usable else None, claims.get("auth_time"))

    async def _find(self, http: httpx.AsyncClient) -> _Provider:
        """The metadata and the keys of the provider."""
        now = self._clock.instant()
        if self._provider is not None and now < self._provider.read_at + METADATA_TTL:
            return self._provider
        issuer = self._registration.issuer
        metadata = OpenIDProviderMetadata(await self._read(http, get_well_known_url(issuer, external=True)))
        # Otherwise one provider could answer in the name of another (OpenID Connect Discovery 4.3).
        if metadata.get("issuer") != issuer:
            raise SignInFailed(detail="the metadata are of another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(metadata.get(name), str):
                raise SignInFailed(detail=f"the metadata have no {name}")
        try:
            keys = KeySet.import_key_set(await self._read(http, metadata["jwks_uri"]))  # type: ignore[arg-type]  # checked by the library
        except (JoseError, ValueError, TypeError, KeyError):
            raise SignInFailed(detail="the keys cannot be read") from None
        self._provider = _Provider(metadata, keys, now)
        return self._provider

    async def _tokens(
        self, http: httpx.AsyncClient, provider: _Provider, code: str, code_verifier: str
    ) -> Mapping[str, Any]:
        registered = self._registration
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": registered.return_url,
            "code_verifier": code_verifier,
            "client_id": registered.client_id,
        }
        secret = registered.client_secret
        auth = httpx.BasicAuth(registered.client_id, secret) if secret else None
        answer = await self._send(
            http, http.build_request("POST", provider.metadata["token_endpoint"], data=form), auth
        )
        if not isinstance(answer.get("id_token"), str) or not isinstance(answer.get("access_token"), str):
            raise SignInFailed(detail="the provider sent no ID token")
        return answer

    def _claims(self, provider: _Provider, tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any] | None:
        """The claims of the ID token (OpenID Connect Core 3.1.3.7); None if no known key has signed it.

        Raises:
            SignInFailed: a claim is missing or wrong.
        """
        registered = self._registration
        try:
            header, found = verify(tokens["id_token"], provider.keys, ASSERTION_ALGORITHMS)
        except InvalidJwt:
            return None
        claims = CodeIDToken(
            found,
            dict(header),
            {
                "iss": {"essential": True, "value": registered.issuer},
                "aud": {"essential": True, "value": registered.client_id},
                "sub": {"essential": True},
            },
            {
                "nonce": nonce,
                "client_id": registered.client_id,
                "access_token": tokens["access_token"],
            },
        )
        try:
            claims.validate(now=int(self._clock.instant().timestamp()), leeway=LEEWAY)
        except (JoseError, ValueError, TypeError) as error:
            raise SignInFailed(detail=f"ID token: {type(error).__name__}") from None
        # OpenID Connect Core 2: at most 255 characters.
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise SignInFailed(detail="ID token: sub")
        return claims

    async def _read(self, http: httpx.AsyncClient, url: str, bearer: str | None = None) -> Mapping[str, Any]:
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        return await self._send(http, http.build_request("GET", url, headers=headers), None)

    @staticmethod
    async def _send(
        http: httpx.AsyncClient, request: httpx.Request, auth: httpx.Auth | None
    ) -> Mapping[str, Any]:
        """The JSON object with which the provider answers."""
        request.headers["accept"] = "application/json"
        try:
            response = await http.send(request, auth=auth, stream=True)
            body = await _read_body(response)
        except httpx.HTTPError as error:
            raise Unavailable(detail=f"identity provider: {type(error).__name__}") from None
        if response.status_code >= 500:
            raise Unavailable(detail=f"identity provider: {response.status_code}")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):  # the last for deeply nested arrays
            answer = None
        if response.status_code != 200 or not isinstance(answer, dict):
            # Only the code of the error: a description can quote what was sent.
            code = answer.get("error") if isinstance(answer, dict) else None
            raise SignInFailed(detail=f"identity provider: {response.status_code} {str(code)[:100]}")
        return answer

    def _http(self) -> httpx.AsyncClient:
        # A redirect could send the code and its verifier to another host.
        return httpx.AsyncClient(
            transport=self._transport, timeout=TIMEOUT, follow_redirects=False, trust_env=False
        )


async def _read_body(response: httpx.Response) -> bytes:
    """The decoded body.

    Raises:
        SignInFailed: it has more than `MAX_BYTES`.
    """
    body = bytearray()
    try:
        if not await read_up_to(response.aiter_bytes(), body, MAX_BYTES):
            raise SignInFailed(detail="identity provider: the answer is too long")
    finally:
        await response.aclose()
    return bytes(body)
