"""The client of an institution's authorization server: PAR, PKCE, code exchange and refresh, by its profile."""

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import extract_compact

from coatcheck.clock import Clock
from coatcheck.connectors.contract import AuthorizationRequest, AuthorizationResponse
from coatcheck.connectors.fdx.profiles import ENDPOINTS, Profile, read_secret
from coatcheck.errors import (
    BankDataUnusable,
    BankFailed,
    BankUnavailable,
    ConfigurationError,
    ConsentRevoked,
    CredentialsDenied,
)

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_TTL = timedelta(seconds=60)
CONSENT_TYPE = "FDX_CONSENT"
CONSENT_ID = "fdxConsentId"
DEFAULT_LIFETIME = timedelta(minutes=5)
"""Of an access token whose answer has no `expires_in` (RFC 6749 5.1 lets it out)."""
LONGEST_LIFETIME = timedelta(days=3650)
"""Of an access token. More is an error of the institution, and can be more than a date has room for."""
MAX_DIGITS = 9
"""Of a lifetime in seconds."""
MARGIN = timedelta(seconds=30)
"""A token is replaced this long before it expires."""


class Tokens(msgspec.Struct, frozen=True):
    """The tokens of a consent, as they are sealed: in the credentials first, in the state after a refresh."""

    bearer: str
    """What the API takes: the access token, or the ID token where the profile says so."""
    refresh_token: str | None
    expires_at: datetime
    consent_id: str | None = None
    has_numbers: bool = False
    """Whether a run has read the account numbers with this consent."""
    unnumbered: tuple[str, ...] = ()
    """The ids of accounts that this run could not read. A later run that can reads their numbers."""

    def __repr__(self) -> str:
        return "Tokens(...)"

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    def is_fresh(self, now: datetime) -> bool:
        return now < self.expires_at - MARGIN


class Endpoints(msgspec.Struct, frozen=True):
    """The metadata of an authorization server that are used (RFC 8414 2)."""

    authorization_endpoint: str
    token_endpoint: str
    issuer: str = ""
    pushed_authorization_request_endpoint: str | None = None
    revocation_endpoint: str | None = None
    mtls_endpoint_aliases: Mapping[str, str] = {}
    """RFC 8705 5."""
    authorization_response_iss_parameter_supported: bool = False
    """Whether every answer names the issuer (RFC 9207 3)."""

    def is_issuer(self, issuer: str | None) -> bool:
        """Whether an answer of this issuer can be this server's; None if it names none. Without metadata, any can."""
        if issuer is None:
            return not self.authorization_response_iss_parameter_supported
        return issuer == self.issuer or not self.issuer


@dataclass
class AuthorizationClient:
    """Asks for consents and tokens at one institution.

    Raises:
        ConfigurationError: a file that the profile names cannot be read.
    """

    profile: Profile
    http: httpx.AsyncClient
    clock: Clock

    def __post_init__(self) -> None:
        profile = self.profile
        self._endpoints: Endpoints | None = None
        self._secret = read_secret(profile.client_secret_file) if profile.client_secret_file else ""
        self._key = _load_key(profile.private_key_file) if profile.private_key_file else None

    async def sign_in_url(self, request: AuthorizationRequest) -> str:
        """The URL of the sign-in page. The request is pushed where the institution can take it (RFC 9126).

        Raises:
            BankError: the institution refused or failed.
        """
        endpoints = await self._found_endpoints()
        parameters = self._parameters(request)
        if endpoint := endpoints.pushed_authorization_request_endpoint:
            pushed = await self._post(endpoints, endpoint, parameters)
            if not isinstance(uri := pushed.get("request_uri"), str):
                raise BankDataUnusable("The institution did not accept the authorization request.")
            # The browser carries nothing but the reference (RFC 9126 4), so that nobody changes what was asked for.
            parameters = {"client_id": self.profile.client_id, "request_uri": uri}
        mark = "&" if urlsplit(endpoints.authorization_endpoint).query else "?"
        return f"{endpoints.authorization_endpoint}{mark}{urlencode(parameters)}"

    async def exchange(self, response: AuthorizationResponse) -> Tokens:
        """The tokens for a code (RFC 6749 4.1.3).

        Raises:
            CredentialsDenied: the institution does not accept the code, or it is another server's.
            BankError: the institution refused or failed.
        """
        # All institutions send users back to one address. One of them could lead a user to another, and would get
        # the code of that one, with its verifier (RFC 9700 4.4, RFC 9207 2.4).
        if not (await self._found_endpoints()).is_issuer(response.issuer):
            raise CredentialsDenied("The answer to the sign-in is not the institution's.")
        parameters = {
            "grant_type": "authorization_code",
            "code": response.code,
            "code_verifier": response.code_verifier,
            "redirect_uri": response.redirect_uri,
        }
        try:
            return await self._tokens(parameters, None)
        except ConsentRevoked:
            raise CredentialsDenied("The institution did not accept the sign-in.") from None

    async def refresh(self, tokens: Tokens) -> Tokens:
        """New tokens (RFC 6749 6).

        Raises:
            ConsentRevoked: the refresh token is missing, expired or revoked.
            BankError: the institution refused or failed.
        """
        if tokens.refresh_token is None:
            raise ConsentRevoked("The consent has expired, and the institution does not renew it.")
        parameters = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        return await self._tokens(parameters, tokens)

    async def revoke(self, tokens: Tokens) -> None:
        """Revokes the tokens, and with them the consent that they stand for (RFC 7009).

        An institution without a revocation endpoint lets them expire.

        Raises:
            BankError: the institution refused or failed.
        """
        endpoints = await self._found_endpoints()
        if endpoint := endpoints.revocation_endpoint:
            response = await self._send(endpoints, endpoint, {"token": tokens.refresh_token or tokens.bearer})
            # The answer has no body (RFC 7009 2.2).
            if response.status_code != 200:
                _answer(response)
                raise BankFailed(detail=f"status {response.status_code}")

    async def _tokens(self, parameters: Mapping[str, str], old: Tokens | None) -> Tokens:
        endpoints = await self._found_endpoints()
        answer = await self._post(endpoints, endpoints.token_endpoint, parameters)
        bearer = answer.get(self.profile.bearer)
        if not isinstance(bearer, str):
            raise BankDataUnusable(f"The institution sent no {self.profile.bearer}.")
        refresh_token = answer.get("refresh_token")
        return Tokens(
            bearer=bearer,
            # An institution that does not rotate sends none: the old one goes on working.
            refresh_token=refresh_token
            if isinstance(refresh_token, str)
            else old.refresh_token
            if old
            else None,
            expires_at=self.clock.now() + _lifetime(answer.get("expires_in")),
            consent_id=_consent_id(answer) or (old.consent_id if old else None),
            has_numbers=old.has_numbers if old else False,
            unnumbered=old.unnumbered if old else (),
        )

    async def _found_endpoints(self) -> Endpoints:
        if self._endpoints is None:
            self._endpoints = await self._discover()
        return self._endpoints

    async def _discover(self) -> Endpoints:
        """The endpoints of the profile, and of the metadata where there is an issuer.

        Raises:
            BankError: the metadata cannot be read, or are of another issuer (RFC 8414 3.3).
        """
        profile = self.profile
        given = {name: value for name in ENDPOINTS if (value := getattr(profile, name)) is not None}
        if profile.issuer is None:
            return Endpoints(**given)
        for address in _metadata_addresses(profile.issuer):
            response = await self.http.get(address)
            if response.status_code == 200:
                try:
                    found = msgspec.json.decode(response.content, type=Endpoints)
                except msgspec.DecodeError:
                    raise BankDataUnusable("The metadata of the institution cannot be read.") from None
                if found.issuer != profile.issuer:
                    raise BankDataUnusable("The metadata of the institution are of another issuer.")
                return msgspec.structs.replace(found, **given)
        raise BankUnavailable("The institution does not publish its metadata.")

    def _parameters(self, request: AuthorizationRequest) -> dict[str, str]:
        profile = self.profile
        parameters = {
            # First, so that a profile can replace neither the state nor the code challenge.
            **profile.authorization_parameters,
            "response_type": "code",
            "client_id": profile.client_id,
            "redirect_uri": request.redirect_uri,
            "state": request.state,
            "code_challenge": request.code_challenge,
            "code_challenge_method": "S256",
        }
        if profile.scopes:
            parameters["scope"] = " ".join(profile.scopes)
        if profile.consent:
            parameters["authorization_details"] = json.dumps([_consent_detail(profile)])
        return parameters

    async def _post(
        self, endpoints: Endpoints, endpoint: str, parameters: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """The object that an endpoint answers at which the client authenticates.

        Raises:
            ConsentRevoked: `invalid_grant`.
            BankError: the institution refused or failed.
        """
        return _answer(await self._send(endpoints, endpoint, parameters))

    async def _send(
        self, endpoints: Endpoints, endpoint: str, parameters: Mapping[str, str]
    ) -> httpx.Response:
        """The response of an endpoint at which the client authenticates."""
        profile = self.profile
        form, headers = dict(parameters), {"accept": "application/json"}
        match profile.client_authentication:
            case "client_secret_basic":
                # Each part is encoded as in a form (RFC 6749 2.3.1).
                basic = httpx.BasicAuth(quote(profile.client_id, safe=""), quote(self._secret, safe=""))
                return await self.http.post(endpoint, data=form, headers=headers, auth=basic)
            case "private_key_jwt":
                form |= {
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": self._assertion(endpoints),
                }
                return await self.http.post(endpoint, data=form, headers=headers)
            case "tls_client_auth":
                form["client_id"] = profile.client_id
                name = _name_of(endpoints, endpoint)
                address = endpoints.mtls_endpoint_aliases.get(name, endpoint)
                return await self.http.post(address, data=form, headers=headers)

    def _assertion(self, endpoints: Endpoints) -> str:
        """A client assertion (RFC 7523). Its audience is the issuer (FAPI 2.0 Security Profile 5.3.3.1)."""
        assert self._key is not None
        profile, now = self.profile, int(self.clock.now().timestamp())
        header = {"alg": "ES256" if isinstance(self._key, ECKey) else "PS256"}
        if kid := profile.key_id or self._key.kid:
            header["kid"] = kid
        claims = {
            "iss": profile.client_id,
            "sub": profile.client_id,
            "aud": endpoints.issuer or endpoints.token_endpoint,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + int(ASSERTION_TTL.total_seconds()),
        }
        return jwt.encode(header, claims, self._key, algorithms=[header["alg"]])


def _answer(response: httpx.Response) -> Mapping[str, Any]:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        answer = None
    if response.status_code >= 500:
        raise BankUnavailable
    if not isinstance(answer, dict):
        raise BankDataUnusable("The answer of the institution's authorization server is not JSON.")
    if response.status_code >= 400:
        if answer.get("error") == "invalid_grant":
            raise ConsentRevoked
        # Only the code of the error: a description can quote what was sent.
        raise BankFailed("The institution refused the request.", detail=str(answer.get("error"))[:100])
    return answer


def _lifetime(expires_in: object) -> timedelta:
    # Some servers write the number as text, which RFC 6749 5.1 does not permit.
    digits = str(expires_in) if isinstance(expires_in, int | str) else ""
    if not (digits.isascii() and digits.isdecimal()):
        return DEFAULT_LIFETIME
    # An error here would lose a refresh token that the institution has just replaced.
    return (
        LONGEST_LIFETIME
        if len(digits) > MAX_DIGITS
        else min(timedelta(seconds=int(digits)), LONGEST_LIFETIME)
    )


def _metadata_addresses(issuer: str) -> tuple[str, ...]:
    """RFC 8414 3.1, which inserts the well-known path, and OpenID Connect Discovery 4.1, which appends it."""
    parts = urlsplit(issuer)
    inserted = parts._replace(path=f"/.well-known/oauth-authorization-server{parts.path}").geturl()
    return (inserted, f"{issuer}/.well-known/openid-configuration")


def _consent_detail(profile: Profile) -> Mapping[str, Any]:
    consent = profile.consent
    assert consent is not None
    request: dict[str, Any] = {
        "durationType": "TIME_BOUND",
        "durationPeriod": consent.duration_days,
        "resources": [{"resourceType": "ACCOUNT", "dataClusters": list(consent.data_clusters)}],
    }
    if consent.lookback_days is not None:
        request["lookbackPeriod"] = consent.lookback_days
    return {"type": CONSENT_TYPE, "consentRequest": request}


def _consent_id(answer: Mapping[str, Any]) -> str | None:
    """The id of the consent: in the answer, or a claim of the access token where that is a JWT.

    The signature is not verified: the token came from the institution itself, and only names the consent.
    """
    found = answer.get(CONSENT_ID)
    if found is None and str(answer.get("access_token")).count(".") == 2:
        try:
            claims = json.loads(extract_compact(str(answer["access_token"]).encode()).payload)
            found = claims.get(CONSENT_ID) if isinstance(claims, dict) else None
        except (JoseError, ValueError):
            return None
    return found if isinstance(found, str) else None


def _name_of(endpoints: Endpoints, endpoint: str) -> str:
    return next(name for name in endpoints.__struct_fields__ if getattr(endpoints, name) == endpoint)


def _load_key(file: str) -> ECKey | RSAKey:
    text = read_secret(file)
    for kind in (ECKey, RSAKey):
        with suppress(JoseError, ValueError, TypeError):
            key = kind.import_key(json.loads(text) if text.startswith("{") else text)
            if key.is_private and (kind is RSAKey or key.as_dict()["crv"] == "P-256"):
                return key
    raise ConfigurationError(f"{file} must have a private key: P-256 or RSA, as JWK or PEM.")
