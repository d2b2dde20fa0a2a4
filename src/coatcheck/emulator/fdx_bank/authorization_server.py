"""The authorization server of the FDX bank.

    POST par --> GET authorize (sign in, consent) --> POST authorize --> redirect with a code --> POST token

RFC 8414 metadata, RFC 7591 registration, RFC 9126 pushed requests, RFC 7636 with S256, RFC 9207 `iss`, RFC 7009.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from coatcheck.app import Services
from coatcheck.connectors.contract import Institution
from coatcheck.connectors.sandbox import sign_in_page
from coatcheck.connectors.sandbox.consent import challenge_of
from coatcheck.connectors.sandbox.logins import parse_login
from coatcheck.connectors.sandbox.sign_in_page import SignInForm
from coatcheck.db.database import Connection
from coatcheck.emulator.fdx_bank import store
from coatcheck.emulator.fdx_bank.answers import OAuthRefusal, json_response
from coatcheck.emulator.fdx_bank.authorization_request import (
    CLUSTER_OF_SCOPE,
    CONSENT_TYPE,
    AuthorizationRequest,
    read_request,
    redirect_uri_of,
    scope_of,
)
from coatcheck.emulator.fdx_bank.clients import AUTHENTICATIONS, authenticate, register
from coatcheck.emulator.fdx_bank.store import FdxClient, NewConsent, Tokens
from coatcheck.errors import CoatcheckError, CredentialsDenied
from coatcheck.grants.jwt_verification import ASSERTION_ALGORITHMS
from coatcheck.http.bodies import read_body

MAX_BODY_BYTES = 64 * 1024
# Not 307, with which the browser would send the user's form on to the client (RFC 9700 4.12).
REDIRECT = 303
SHARED = {
    "CUSTOMER_PERSONAL": "who you are",
    "CUSTOMER_CONTACT": "the names and addresses of the owners",
    "ACCOUNT_BASIC": "which accounts you have",
    "ACCOUNT_DETAILED": "your accounts and their balances",
    "PAYMENT_SUPPORT": "your account and routing numbers",
    "TRANSACTIONS": "your transactions",
    "STATEMENTS": "your statements",
}
"""What each data cluster means to the user."""
DETAILS = "authorization_details"


class AuthorizationServer:
    def __init__(self, services: Services, institution: Institution, *, issuer: str) -> None:
        self._db = services.db
        self._clock = services.clock
        self._seeding = services.seeding
        self._institution = institution
        self._issuer = issuer

    async def metadata(self, _request: Request) -> Response:
        """RFC 8414."""
        at = f"{self._issuer}/oauth"
        return json_response(
            {
                "issuer": self._issuer,
                "authorization_endpoint": f"{at}/authorize",
                "token_endpoint": f"{at}/token",
                "revocation_endpoint": f"{at}/revoke",
                "registration_endpoint": f"{at}/register",
                "pushed_authorization_request_endpoint": f"{at}/par",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": list(AUTHENTICATIONS),
                "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
                "revocation_endpoint_auth_methods_supported": list(AUTHENTICATIONS),
                "scopes_supported": list(CLUSTER_OF_SCOPE),
                "authorization_details_types_supported": [CONSENT_TYPE],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def register(self, request: Request) -> Response:
        body = await read_body(request, MAX_BODY_BYTES)
        with self._seeding.caller("FDX bank"):
            async with self._db.connection() as connection:
                return json_response(await register(connection, body, self._clock.now()), 201)

    async def push(self, request: Request) -> Response:
        """RFC 9126."""
        form = await _form(request)
        async with self._db.connection() as connection:
            client = await self._authenticated(connection, request, form)
            if "request_uri" in form:
                raise OAuthRefusal(
                    "invalid_request", "request_uri is not for a pushed request (RFC 9126 2.1)."
                )
            read_request(client, form)
            parameters = {name: value for name, value in form.items() if not name.startswith("client_")}
            with self._seeding.caller(client.client_id):
                uri = await store.push_request(
                    connection, client.client_id, json.dumps(parameters), self._clock.now()
                )
        return json_response({"request_uri": uri, "expires_in": int(store.REQUEST_TTL.total_seconds())}, 201)

    async def authorize(self, request: Request) -> Response:
        """The page (GET), and the user's answer to it (POST). RFC 6749 4.1.1 and 4.1.2."""
        is_answer = request.method == "POST"
        given = await _form(request) if is_answer else _pairs(request.scope["query_string"])
        async with self._db.connection() as connection:
            client = await store.client_or_none(connection, given.get("client_id", ""))
            asked = await self._asked(connection, client, given)
        if client is None or asked is None:
            return _page(400, sign_in_page.message("This link does not work"))
        try:
            authorization = read_request(client, asked)
        except OAuthRefusal as refusal:
            try:
                redirect_uri = redirect_uri_of(client, asked)
            except OAuthRefusal:
                return _page(400, sign_in_page.message("This link does not work"))
            return self._redirect(redirect_uri, asked.get("state"), error=refusal.error)
        hidden = {name: value for name, value in given.items() if name not in {"login", "decision"}}
        if not is_answer:
            return _page(200, self._form(authorization, hidden))
        return await self._decide(authorization, given, hidden)

    async def token(self, request: Request) -> Response:
        """RFC 6749 4.1.3 and 6."""
        form = await _form(request)
        async with self._db.connection() as connection:
            client = await self._authenticated(connection, request, form)
            tokens = await self._new_tokens(connection, client, form)
        if tokens is None:
            raise OAuthRefusal("invalid_grant", "The code or token is invalid, expired, used or revoked.")
        return json_response(_token_body(tokens))

    async def _new_tokens(
        self, connection: Connection, client: FdxClient, form: Mapping[str, str]
    ) -> Tokens | None:
        is_code = form.get("grant_type") == "authorization_code"
        if not is_code and form.get("grant_type") != "refresh_token":
            raise OAuthRefusal("unsupported_grant_type", "grant_type is authorization_code or refresh_token.")
        presented = form.get("code" if is_code else "refresh_token", "")
        # What was presented works once, so that the new tokens do not depend on what others do at the same time.
        with self._seeding.once(store.hash_of(presented).hex(), "redeemed"):
            if not is_code:
                return await self._refreshed(connection, client, presented)
            return await store.redeem_code(
                connection,
                client_id=client.client_id,
                code=presented,
                redirect_uri=form.get("redirect_uri", ""),
                code_challenge=challenge_of(form.get("code_verifier", "")),
                now=self._clock.now(),
            )

    async def _refreshed(
        self, connection: Connection, client: FdxClient, refresh_token: str
    ) -> Tokens | None:
        now = self._clock.now()
        consent = await store.consent_of_token(connection, refresh_token, client.client_id)
        if consent is not None and parse_login(consent.login).has("token_reuse"):
            await store.revoke(
                connection, consent.id, reason="BUSINESS_RULE", initiator="DATA_PROVIDER", now=now
            )
        return await store.rotate(
            connection, client_id=client.client_id, refresh_token=refresh_token, now=now
        )

    async def revoke(self, request: Request) -> Response:
        """RFC 7009. A refresh token and an access token both end the consent."""
        form = await _form(request)
        async with self._db.connection() as connection:
            client = await self._authenticated(connection, request, form)
            token = form.get("token", "")
            consent = await store.consent_of_token(connection, token, client.client_id)
            if consent is not None:
                await store.revoke(
                    connection,
                    consent.id,
                    reason="USER_ACTION",
                    initiator="DATA_RECIPIENT",
                    now=self._clock.now(),
                )
        return json_response({})

    async def style(self, _request: Request) -> Response:
        return Response(sign_in_page.STYLE, media_type="text/css")

    async def _authenticated(
        self, connection: Connection, request: Request, form: Mapping[str, str]
    ) -> FdxClient:
        at = f"{self._issuer}/oauth"
        # Clients differ in the name of this server that they sign. RFC 9126 2 wants all of these accepted.
        return await authenticate(
            connection,
            request.headers.getlist("authorization"),
            form,
            audiences={self._issuer, f"{at}/token", f"{at}/par", f"{at}/revoke"},
            now=self._clock.now(),
        )

    async def _asked(
        self, connection: Connection, client: FdxClient | None, given: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        """The parameters of the request, which may have been pushed; None if they cannot be found."""
        if client is None or "request_uri" not in given:
            return given
        pushed = await store.pushed_request(
            connection, client.client_id, given["request_uri"], self._clock.now()
        )
        if pushed is None:
            return None
        parameters: Mapping[str, str] = json.loads(pushed)
        return parameters

    async def _decide(
        self, asked: AuthorizationRequest, given: Mapping[str, str], hidden: Mapping[str, str]
    ) -> Response:
        if given.get("decision") != "allow":
            await self._use_up(asked.client, given)
            return self._redirect(asked.redirect_uri, asked.state, error="access_denied")
        login = given.get("login", "").strip()
        try:
            parse_login(login)
            problem = "" if login else "Enter a username."
        except CredentialsDenied as error:
            problem = error.problem
        if problem:
            return _page(422, self._form(asked, hidden, login=login, alarm=problem))
        # Before the consent is stored: of two answers to one pushed request, one gives a code.
        if not await self._use_up(asked.client, given):
            return _page(400, sign_in_page.message("This link does not work"))
        new = NewConsent(
            client_id=asked.client.client_id,
            login=login,
            clusters=asked.clusters,
            lookback_days=asked.lookback_days,
            duration_days=asked.duration_days,
            authorization_details=asked.authorization_details,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
        )
        with self._seeding.caller(asked.client.client_id):
            async with self._db.connection() as connection:
                code = await store.add_consent(connection, new, self._clock.now())
        return self._redirect(asked.redirect_uri, asked.state, code=code)

    async def _use_up(self, client: FdxClient, given: Mapping[str, str]) -> bool:
        """Deletes the pushed request, if it was pushed. Returns False if it was used meanwhile (RFC 9126 7.3)."""
        if "request_uri" not in given:
            return True
        async with self._db.connection() as connection:
            return await store.delete_request(connection, client.client_id, given["request_uri"])

    def _form(
        self,
        asked: AuthorizationRequest,
        hidden: Mapping[str, str],
        *,
        login: str = "mxuser",
        alarm: str = "",
    ) -> str:
        return sign_in_page.form(
            SignInForm(
                bank=self._institution.name,
                logo_svg=self._institution.logo_svg,
                app=asked.client.client_name,
                shared=[SHARED[each] for each in asked.clusters],
                hidden=hidden,
            ),
            login=login,
            alarm=alarm,
        )

    def _redirect(self, redirect_uri: str, state: str | None, **answer: str) -> Response:
        # `iss` tells a client of several servers which of them answered (RFC 9207: mix-up attack).
        answer |= {"iss": self._issuer} | ({} if state is None else {"state": state})
        mark = "&" if "?" in redirect_uri else "?"
        return RedirectResponse(f"{redirect_uri}{mark}{urlencode(answer)}", REDIRECT, sign_in_page.HEADERS)


def _token_body(tokens: Tokens) -> Mapping[str, Any]:
    consent = tokens.consent
    details: Sequence[Any] = json.loads(consent.authorization_details or "[]")
    return {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": int(store.ACCESS_TOKEN_TTL.total_seconds()),
        "refresh_token": tokens.refresh_token,
        "scope": scope_of(consent.clusters),
        "fdxConsentId": consent.id,
        **({DETAILS: details} if details else {}),
    }


async def _form(request: Request) -> Mapping[str, str]:
    try:
        return _pairs(await read_body(request, MAX_BODY_BYTES))
    except CoatcheckError as error:
        raise OAuthRefusal("invalid_request", error.problem) from error


def _pairs(text: bytes) -> Mapping[str, str]:
    """The parameters.

    Raises:
        OAuthRefusal: one is repeated (RFC 6749 3.1), or they are not UTF-8.
    """
    try:
        pairs = parse_qsl(text.decode(), errors="strict", max_num_fields=100)
    except ValueError as error:
        raise OAuthRefusal("invalid_request", "The parameters cannot be parsed.") from error
    given = {name: value for name, value in pairs if "\0" not in value}
    if len(given) != len(pairs):
        raise OAuthRefusal("invalid_request", "A parameter is repeated or contains a NUL.")
    return given


def _page(status: int, html: str) -> Response:
    return Response(html, status, sign_in_page.HEADERS, media_type="text/html")
