"""Staff of the dashboard without a browser: an authenticator in software, and requests with the cookie of a session."""

import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from html import unescape
from typing import Any

import cbor2
import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from coatcheck.app import Services, build
from coatcheck.server import create_app
from coatcheck.staff.people import NewStaff, StaffMember
from coatcheck.staff.roles import Role
from tests.factories import Keyed
from tests.portal_client import FORM_TOKEN

OPTIONS = re.compile(r'data-options="([^"]+)"')
PRESENT_AND_VERIFIED = 0x05
HAS_CREDENTIAL = 0x40


def encode(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")


@dataclass
class Authenticator:
    """A device with one passkey (WebAuthn). Its counter is changed by the tests that copy it."""

    origin: str = "http://coatcheck.test"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    sign_count: int = 0
    flags: int = PRESENT_AND_VERIFIED

    def create(self, options: dict[str, Any]) -> str:
        """The `RegistrationResponseJSON` to `PublicKeyCredentialCreationOptions`."""
        numbers = self.key.public_key().public_numbers()
        public_key = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )
        credential = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + public_key
        data = self._data(options["rp"]["id"], self.flags | HAS_CREDENTIAL) + credential
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._response(
            {
                "clientDataJSON": encode(self._client_data("webauthn.create", options)),
                "attestationObject": encode(attestation),
            }
        )

    def get(self, options: dict[str, Any]) -> str:
        """The `AuthenticationResponseJSON` to `PublicKeyCredentialRequestOptions`."""
        self.sign_count += 1
        data = self._data(options["rpId"], self.flags)
        client_data = self._client_data("webauthn.get", options)
        signature = self.key.sign(data + sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return self._response(
            {
                "clientDataJSON": encode(client_data),
                "authenticatorData": encode(data),
                "signature": encode(signature),
            }
        )

    def _data(self, relying_party: str, flags: int) -> bytes:
        return sha256(relying_party.encode()).digest() + bytes([flags]) + self.sign_count.to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        found = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps(found).encode()

    def _response(self, response: dict[str, str]) -> str:
        return json.dumps(
            {
                "id": encode(self.credential_id),
                "rawId": encode(self.credential_id),
                "type": "public-key",
                "response": response,
            }
        )


@dataclass
class Window:
    """A browser window. It keeps cookies, and sends none where the tests take them away."""

    http: httpx.AsyncClient
    cookies: dict[str, str] = field(default_factory=dict)
    page: httpx.Response | None = None
    """The page that it shows."""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._send("GET", path, headers=headers)

    async def post(self, path: str, *, on: str | None = None, **fields: Any) -> httpx.Response:
        """Sends the form of the page `on`, by default that of the same path, with these fields."""
        page = await self.get(on or path)
        found = FORM_TOKEN.search(page.text)
        return await self.send(path, form_token=found[1] if found else "", **fields)

    async def send(self, path: str, **fields: Any) -> httpx.Response:
        """Sends a form of the page that is shown."""
        return await self._send("POST", path, data=fields)

    def options(self) -> dict[str, Any]:
        """The options of the passkey on the page that is shown."""
        assert self.page is not None
        found = OPTIONS.search(self.page.text)
        assert found, self.page.text
        return dict(json.loads(unescape(found[1])))

    async def _send(self, method: str, path: str, headers: Any = None, **more: Any) -> httpx.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.page = await self.http.request(
            method, path, headers={"Cookie": cookie, **(headers or {})}, **more
        )
        for given in self.page.headers.get_list("set-cookie"):
            name, _, rest = given.partition("=")
            value = rest.partition(";")[0].strip('"')
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return self.page


async def invite(
    services: Services, role: Role = Role.OPERATOR, organisation: Keyed | None = None, **overrides: str
) -> tuple[StaffMember, str]:
    """A person who is invited, and the path of the invitation."""
    given = {"name": "Ann Lee", "email": f"{secrets.token_hex(6)}@example.com"} | overrides
    new = NewStaff(given["name"], given["email"], role, organisation.guid if organisation else None)
    async with services.db.transaction() as connection:
        invitation = await services.staff.people.invite(connection, new, actor="operator")
    return invitation.staff, "/dashboard" + invitation.url.partition("/dashboard")[2]


async def signed_in(
    services: Services,
    http: httpx.AsyncClient,
    role: Role = Role.OPERATOR,
    organisation: Keyed | None = None,
    **overrides: str,
) -> Window:
    """A window of a person of this role, who signed in just now."""
    staff, _ = await invite(services, role, organisation, **overrides)
    return await window_of(services, http, staff)


async def window_of(services: Services, http: httpx.AsyncClient, staff: StaffMember) -> Window:
    async with services.db.transaction() as connection:
        started = await services.staff.sessions.start(connection, staff.guid, method="test")
    return Window(http, {"coatcheck_staff": started.secret})


async def join(http: httpx.AsyncClient, invitation: str, device: Authenticator) -> Window:
    """A window in which a person has accepted an invitation with a passkey."""
    window = Window(http)
    await window.get(invitation)
    answer = await window.send(invitation, response=device.create(window.options()))
    assert answer.status_code == 303, answer.text
    return window


async def joined(services: Services, http: httpx.AsyncClient) -> tuple[Window, Authenticator]:
    """A window in which a new operator has joined, and the device with their passkey."""
    _, invitation = await invite(services)
    device = Authenticator()
    return await join(http, invitation, device), device


@asynccontextmanager
async def served_at(
    services: Services, base_url: str, master_key: str
) -> AsyncIterator[tuple[Services, httpx.AsyncClient]]:
    """The same installation with another `base_url`."""
    settings = replace(services.settings, base_url=base_url, master_key=master_key)
    async with (
        build(settings, services.clock) as served,
        httpx.AsyncClient(transport=httpx.ASGITransport(create_app(served)), base_url=base_url) as http,
    ):
        yield served, http


async def sign_in(http: httpx.AsyncClient, device: Authenticator) -> Window:
    """A window that has sent the answer of a passkey to the sign-in page. `page` is the response."""
    window = Window(http)
    await window.get("/dashboard/sign-in")
    await window.send("/dashboard/sign-in", response=device.get(window.options()))
    return window
