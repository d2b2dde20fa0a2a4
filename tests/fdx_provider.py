"""A simulated FDX provider in memory, for tests of the FDX connector: tokens that rotate, and data that can be odd."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from coatcheck.clock import MovableClock
from coatcheck.connectors.contract import JobKind, Task
from coatcheck.connectors.fdx.connector import FdxConnector, FdxSettings
from coatcheck.testing.connectors import NOW, Faults, Run, connector_context, run_connector

CODE = "simulated_fdx"
ISSUER, API = "https://op.example", "https://api.example/fdx/v6"
PROFILE = f"""
institution_code = "{CODE}"
name = "Simulated Bank"
url = "https://bank.example"
api_url = "{API}"
issuer = "{ISSUER}"
client_id = "ledger"
client_secret_file = "secret"
scopes = ["fdx:accountdetailed:read", "fdx:transactions:read"]
page_size = 2
"""


def account(id: str, **changes: Any) -> dict[str, Any]:
    return {
        "accountCategory": "DEPOSIT_ACCOUNT",
        "accountId": id,
        "accountType": "CHECKING",
        "accountNumberDisplay": f"00{id[-2:]}",
        "productName": f"Everyday {id}",
        "status": "OPEN",
        "currency": {"currencyCode": "USD"},
        "currentBalance": 120.5,
        "availableBalance": 100.25,
    } | changes


def transaction(id: str, **changes: Any) -> dict[str, Any]:
    return {
        "transactionId": id,
        "transactionTimestamp": "2026-11-20T23:30:00-05:00",
        "postedTimestamp": "2026-11-21T00:00:00Z",
        "description": f"SHOP {id}",
        "debitCreditMemo": "DEBIT",
        "status": "POSTED",
        "amount": 12.34,
    } | changes


NETWORK = {
    "bankId": "091000019",
    "identifier": "1234567801",
    "identifierType": "ACCOUNT_NUMBER",
    "type": "US_ACH",
    "transferIn": True,
    "transferOut": True,
}
CONTACT = {
    "holders": [{"relationship": "SOLE_OWNER", "name": {"first": "Ann", "last": "Example"}}],
    "emails": ["ann@example.com"],
    "addresses": [
        {"line1": "12 Main Street", "city": "Lehi", "region": "UT", "postalCode": "84043", "country": "US"}
    ],
    "telephones": [{"type": "HOME", "country": "1", "number": "8015550123"}],
}


@dataclass
class FdxProvider:
    """Who presents a refresh token that was replaced loses the consent, as at the real ones."""

    accounts: list[dict[str, Any]] = field(default_factory=lambda: [account("a1"), account("a2")])
    transactions: list[dict[str, Any]] = field(
        default_factory=lambda: [transaction(f"t{number}") for number in range(1, 6)]
    )
    networks: list[dict[str, Any]] = field(default_factory=lambda: [dict(NETWORK)])
    contact: dict[str, Any] = field(default_factory=lambda: dict(CONTACT))
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    """In place of the usual answer, by the end of the path."""
    metadata: dict[str, object] = field(default_factory=dict)
    """Beside the endpoints."""
    override: Callable[[str, dict[str, str]], httpx.Response | None] = lambda _path, _parameters: None
    """Called with the path and the parameters of each read; what it returns is the answer."""
    consent_status: str = "ACTIVE"
    consent_id: str | None = "consent-1"
    rotates: bool = True
    refuses_bearer: int = 0
    """How many reads with the first token are refused, as if it had expired early."""
    lifetime: object = 900
    """`expires_in` of a token."""
    latency: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    requests: list[httpx.Request] = field(default_factory=list)
    concurrent: int = 0
    most_concurrent: int = 0
    refresh_token: str = "refresh-0"
    is_revoked: bool = False
    revocation_method: str = "PUT"

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def credentials(self) -> dict[str, str]:
        """What `complete` returned, some time ago: the access token has expired."""
        tokens = {
            "bearer": "access-0",
            "refresh_token": "refresh-0",
            "expires_at": "2020-01-01T00:00:00Z",
            "consent_id": self.consent_id,
        }
        return {"TOKENS": json.dumps(tokens)}

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.concurrent += 1
        self.most_concurrent = max(self.most_concurrent, self.concurrent)
        try:
            await asyncio.sleep(self.latency)
            return self._answer(request)
        finally:
            self.concurrent -= 1

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0].removeprefix("/fdx/v6")
        self.calls[path] += 1
        for end, response in self.answers.items():
            if path.endswith(end):
                return response
        if request.url.host == "op.example":
            return self._authorization_server(path, dict(parse_qsl(request.content.decode())))
        if request.headers["authorization"] == "Bearer access-0" or self.is_revoked:
            return httpx.Response(401, json={"code": 602})
        if request.headers["authorization"] == "Bearer access-1" and self.refuses_bearer:
            self.refuses_bearer -= 1
            return httpx.Response(401)
        parameters = dict(request.url.params)
        if path == f"/consents/{self.consent_id}/revocation":
            if request.method != self.revocation_method:
                return httpx.Response(405)
            assert json.loads(request.content) == {
                "reason": "USER_ACTION",
                "initiator": "DATA_ACCESS_PLATFORM",
            }
            self.is_revoked = True
            return httpx.Response(204)
        return self.override(path, parameters) or self._resource(path, parameters)

    def _authorization_server(self, path: str, form: dict[str, str]) -> httpx.Response:
        if path == "/.well-known/openid-configuration":
            metadata = {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "revocation_endpoint": f"{ISSUER}/revoke",
                **self.metadata,
            }
            return httpx.Response(200, json=metadata)
        if path == "/revoke" and form["token"] == self.refresh_token:
            self.is_revoked = True
            return httpx.Response(200)
        if path != "/token":
            return httpx.Response(404, text="<html>")
        if form["grant_type"] == "refresh_token" and (
            self.is_revoked or form["refresh_token"] != self.refresh_token
        ):
            self.is_revoked = True
            return httpx.Response(400, json={"error": "invalid_grant"})
        number = self.calls["/token"]
        answer = {"access_token": f"access-{number}", "token_type": "Bearer", "expires_in": self.lifetime}
        answer |= {"id_token": f"id-{number}"}
        if self.rotates:
            self.refresh_token = answer["refresh_token"] = f"refresh-{number}"  # type: ignore[assignment]
        if self.consent_id:
            answer["fdxConsentId"] = self.consent_id
        return httpx.Response(200, json=answer)

    def _resource(self, path: str, parameters: dict[str, str]) -> httpx.Response:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match parts:
            case ["consents", _]:
                return httpx.Response(200, json={"id": parts[1], "status": self.consent_status})
            case ["accounts"]:
                return _page("accounts", self.accounts, parameters)
            case ["accounts", id]:
                found = next(each for each in self.accounts if each.get("accountId") == id)
                return httpx.Response(200, json=found)
            case ["accounts", _, "contact"]:
                return httpx.Response(200, json=self.contact)
            case ["accounts", id, "payment-networks"]:
                rows = [
                    each | {"identifier": f"{each['identifier'][:-2]}{id[-2:]}"} for each in self.networks
                ]
                return _page("paymentNetworks", rows, parameters)
            case ["accounts", id, "transactions"]:
                rows = [
                    each | {"transactionId": f"{id}-{each['transactionId']}"} for each in self.transactions
                ]
                return _page("transactions", rows, parameters)
            case ["accounts", id, "statements"]:
                return _page("statements", [{"accountId": id, "statementId": f"{id}-2026/10"}], parameters)
            case ["accounts", _, "statements", _]:
                return httpx.Response(200, content=b"%PDF-1.4 simulated")
        return httpx.Response(404, json={"code": 1107})


def _page(name: str, rows: list[dict[str, Any]], parameters: dict[str, str]) -> httpx.Response:
    offset, limit = int(parameters.get("offset", "0")), int(parameters["limit"])
    page = {"nextOffset": str(offset + limit)} if offset + limit < len(rows) else {}
    return httpx.Response(200, json={"page": page, name: rows[offset : offset + limit]})


def write_profile(directory: Path, *, tables: str = "", **changes: Any) -> str:
    """Writes a profile with its secret, and returns the file. A change replaces or adds a line; None removes it."""
    lines = dict(line.split(" = ", 1) for line in PROFILE.strip().splitlines())
    lines |= {name: json.dumps(value) for name, value in changes.items()}
    lines = {name: value for name, value in lines.items() if value != "null"}
    (directory / "secret").write_text("s3cret\n")
    file = directory / "profile.toml"
    file.write_text("\n".join([*(f"{name} = {value}" for name, value in lines.items()), tables]))
    return str(file)


def connector_of(
    provider: FdxProvider,
    profile: str,
    *,
    faults: Faults | None = None,
    clock: MovableClock | None = None,
) -> FdxConnector:
    transport = provider.transport
    settings = FdxSettings((profile,))
    return FdxConnector(
        connector_context(
            settings, transport=faults.transport(transport) if faults else transport, clock=clock
        )
    )


async def read(
    provider: FdxProvider,
    profile: str,
    kind: JobKind = JobKind.AGGREGATION,
    state: bytes | None = None,
    **task: Any,
) -> Run:
    connector = connector_of(provider, profile)
    return await run_connector(
        connector, Task(kind, CODE, "MBR-1", NOW, **task), provider.credentials(), state=state
    )


def state_of(provider: FdxProvider) -> bytes:
    tokens = json.loads(provider.credentials()["TOKENS"])
    return json.dumps(tokens | {"refresh_token": provider.refresh_token, "has_numbers": True}).encode()
