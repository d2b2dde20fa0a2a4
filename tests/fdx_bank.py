"""An app of the sandbox's FDX bank, for tests: registered, with the consent of a customer who signs in."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.http.listening import listen
from coatcheck.server import create_app, serve
from tests.api_client import Api
from tests.bank_windows import come_back, decide_at, start
from tests.factories import Keyed, make_client
from tests.sandbox_members import Member

BANK = "/sandbox-bank"
FDX = f"{BANK}/fdx/v6"
METADATA = f"/.well-known/oauth-authorization-server{BANK}"
CALLBACK = "https://app.example/callback"
SCOPES = (
    "fdx:accountbasic:read fdx:accountdetailed:read fdx:paymentsupport:read fdx:customercontact:read "
    "fdx:customerpersonal:read fdx:transactions:read fdx:statements:read"
)
RETURN_URL = "http://coatcheck.test/oauth/callback"
"""Where the bank sends the users of a server in memory back to."""
INSTITUTION = "mxbank_fdx"
LOGIN = "ann+persona=salaried"
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
        url = f"{BANK}/oauth/authorize?{urlencode(parameters)}"
        return dict(parse_qsl(urlsplit(await decide_at(self.http, url, decision, login)).query))

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


@dataclass(frozen=True)
class FdxBankServer:
    """A sandbox with the FDX bank, that listens on this machine."""

    services: Services
    url: str


@asynccontextmanager
async def fdx_bank(settings: Settings) -> AsyncIterator[FdxBankServer]:
    bound = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    stop = asyncio.Event()
    async with build(replace(settings, sandbox=True, connectors=("sandbox",), base_url=url)) as services:
        serving = asyncio.create_task(serve(create_app(services), bound, stop, grace=timedelta(seconds=1)))
        try:
            yield FdxBankServer(services, url)
        finally:
            stop.set()
            await serving


async def write_bank_profile(url: str, callback: str, directory: Path, **changes: Any) -> str:
    """Registers an app at the FDX bank, and returns the file with its profile for the connector."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        app = FdxApp(http)
        assert (await app.register(redirect_uris=[callback])).status_code == 201
    (directory / "secret").write_text(app.secret)
    profile: dict[str, Any] = {
        "institution_code": INSTITUTION,
        "name": "MX Bank (FDX)",
        "url": "https://www.mxbank.example",
        "api_url": f"{url}{FDX}",
        "issuer": f"{url}{BANK}",
        "client_id": app.client_id,
        "client_secret_file": "secret",
        "scopes": SCOPES.split(),
    } | changes
    file = directory / "mxbank.toml"
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in profile.items()))
    return str(file)


@dataclass
class Upstream:
    """A server with the FDX connector, beside the native one, and a browser."""

    api: Api
    browser: httpx.AsyncClient

    async def connect(
        self, login: str = LOGIN, decision: str = "allow", *, user_guid: str | None = None
    ) -> Member:
        user = user_guid or await self.api.create_user()
        body = {"member": {"institution_code": INSTITUTION, "credentials": [], "is_oauth": True}}
        created = (await self.api.post(f"/users/{user}/members", json=body)).json()["member"]
        await self.sign_in(created["oauth_window_uri"], login, decision)
        return Member(self.api, user, created["guid"], login)

    async def sign_in(self, window: str, login: str = LOGIN, decision: str = "allow") -> None:
        """What the user does in the window, and the jobs that follow."""
        page = await start(self.api.http, window)
        back = await decide_at(self.browser, page, decision, login)
        answer = await come_back(self.api.http, back)
        assert answer.status_code == 200, answer.text
        await self.api.work()


@asynccontextmanager
async def upstream_of(
    settings: Settings, connectors: tuple[str, ...], profile: str, client: Keyed | None = None
) -> AsyncIterator[Upstream]:
    """A server with these connectors, as a client that exists already or a new one."""
    changed = replace(
        settings, sandbox=True, connectors=connectors, connector={"fdx": {"profiles": [profile]}}
    )
    async with build(changed, MovableClock()) as services, httpx.AsyncClient(timeout=60) as browser:
        caller = client or await make_client(services)
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as http:
            yield Upstream(Api(http, services, caller), browser)
