"""An app of the sandbox's FDX bank, for tests: registered, with the consent of a customer who signs in."""

import base64
import re
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

BANK = "/sandbox-bank"
FDX = f"{BANK}/fdx/v6"
METADATA = f"/.well-known/oauth-authorization-server{BANK}"
CALLBACK = "https://app.example/callback"
SCOPES = (
    "fdx:accountbasic:read fdx:accountdetailed:read fdx:paymentsupport:read fdx:customercontact:read "
    "fdx:customerpersonal:read fdx:transactions:read fdx:statements:read"
)
VERIFIER = "a-verifier-of-forty-three-characters-or-more-0"
CHALLENGE = base64.urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@dataclass
class FdxApp:
    """An app with client_secret_basic."""

    http: httpx.AsyncClient
    client_id: str = ""
    secret: str = field(default="", repr=False)

    @property
    def basic(self) -> tuple[str, str]:
        return (self.client_id, self.secret)

    async def register(self, **metadata: Any) -> httpx.Response:
        body = {"client_name": "Ledger", "redirect_uris": [CALLBACK]} | metadata
        answer = await self.http.post(f"{BANK}/oauth/register", json=body)
        if answer.status_code == 201:
            self.client_id, self.secret = answer.json()["client_id"], answer.json().get("client_secret", "")
        return answer

    def request(self, **changes: str) -> dict[str, str]:
        """The parameters of an authorization request; an empty change takes one away."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "scope": SCOPES,
            "state": "of-this-window",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | changes
        return {name: value for name, value in parameters.items() if value}

    async def push(self, **changes: str) -> httpx.Response:
        return await self.http.post(f"{BANK}/oauth/par", data=self.request(**changes), auth=self.basic)

    async def sign_in(
        self, login: str, parameters: dict[str, str], decision: str = "allow"
    ) -> dict[str, str]:
        """The parameters of the redirect with which the bank answers the sign-in."""
        page = await self.http.get(f"{BANK}/oauth/authorize?{urlencode(parameters)}")
        assert page.status_code == 200, page.text
        answer = await answer_form(self.http, str(page.url), page.text, login, decision)
        assert answer.status_code == 303, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def token(self, **parameters: str) -> httpx.Response:
        return await self.http.post(f"{BANK}/oauth/token", data=parameters, auth=self.basic)

    async def exchange(self, code: str, **changes: str) -> httpx.Response:
        parameters = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER} | changes
        return await self.token(grant_type="authorization_code", **parameters)

    async def refresh(self, refresh_token: str) -> httpx.Response:
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token)

    async def consent(self, login: str = "mxuser", **changes: str) -> "FdxConsent":
        """A consent of this customer, with its tokens."""
        answer = await self.sign_in(login, self.request(**changes))
        tokens = await self.exchange(answer["code"])
        assert tokens.status_code == 200, tokens.text
        return FdxConsent(self, tokens.json())


@dataclass
class FdxConsent:
    app: FdxApp
    tokens: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        return str(self.tokens["fdxConsentId"])

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        return await self.app.http.get(f"{FDX}{path}", params=parameters, headers=self.headers)

    async def read(self, path: str, **parameters: Any) -> Any:
        answer = await self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def revoke(self) -> httpx.Response:
        body = {"reason": "USER_ACTION", "initiator": "INDIVIDUAL"}
        return await self.app.http.put(
            f"{FDX}/consents/{self.id}/revocation", json=body, headers=self.headers
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens['access_token']}"}


async def answer_form(
    http: httpx.AsyncClient, url: str, page: str, login: str, decision: str = "allow"
) -> httpx.Response:
    """Sends the form of the bank's sign-in page, as a browser does."""
    hidden = {
        name: unescape(value)
        for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    }
    action = urlsplit(url)._replace(query="").geturl()
    return await http.post(action, data={**hidden, "login": login, "decision": decision})
