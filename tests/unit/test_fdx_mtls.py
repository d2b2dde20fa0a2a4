"""The FDX connector at a bank that serves only clients with a certificate of its authority (RFC 8705)."""

import asyncio
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from coatcheck.connectors.contract import JobKind, Task
from coatcheck.connectors.fdx.connector import FdxConnector, FdxSettings
from coatcheck.connectors.http_clients import HttpClients
from coatcheck.errors import BankUnavailable
from coatcheck.testing.connectors import NOW, Run, connector_context, run_connector
from tests.certificates import Authority
from tests.fdx_provider import CODE, FdxProvider, write_profile

TASK = Task(JobKind.AGGREGATION, CODE, "MBR-1", NOW)
METADATA = "/.well-known/openid-configuration"


@dataclass
class Bank:
    url: str
    provider: FdxProvider = field(default_factory=FdxProvider)
    seen: list[tuple[str, str]] = field(default_factory=list)
    """The path of each request, and the name in the certificate of who sent it."""


class Handler(BaseHTTPRequestHandler):
    bank: Bank

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        certificate = self.connection.getpeercert()
        assert certificate
        subject = dict(pair for parts in certificate["subject"] for pair in parts)
        path = self.path.partition("?")[0]
        self.bank.seen.append((path, subject["commonName"]))
        host = "api.example" if path.startswith("/fdx/v6") else "op.example"
        content = self.rfile.read(int(self.headers.get("content-length", "0")))
        request = httpx.Request(
            self.command, f"https://{host}{self.path}", headers=dict(self.headers), content=content
        )
        answer = asyncio.run(self.bank.provider.answer(request))
        self.send_response(answer.status_code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        """Logs nothing."""


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Issues the certificates of the bank, which the connector trusts, and of the bank's clients."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


@pytest.fixture
def bank(authority: Authority) -> Iterator[Bank]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    tls.load_cert_chain(*authority.issue("bank"))
    tls.verify_mode = ssl.CERT_REQUIRED
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        bank = Handler.bank = Bank(f"https://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield bank
        server.shutdown()


async def aggregate(bank: Bank, directory: Path, certificate: tuple[str, str]) -> Run:
    profile = write_profile(
        directory,
        api_url=f"{bank.url}/fdx/v6",
        issuer=bank.url,
        client_authentication="tls_client_auth",
        certificate_file=certificate[0],
        certificate_key_file=certificate[1],
    )
    context = connector_context(FdxSettings((profile,)))
    http = HttpClients(guard=lambda client: client, attempts=1)
    connector = FdxConnector(replace(context, http=http))
    try:
        return await run_connector(connector, TASK, bank.provider.credentials())
    finally:
        await http.close()


def name_endpoints(bank: Bank, token_endpoint: str, aliases: Mapping[str, str]) -> None:
    """Makes the bank's metadata name these endpoints."""
    metadata = {
        "issuer": bank.url,
        "authorization_endpoint": f"{bank.url}/authorize",
        "token_endpoint": token_endpoint,
        "mtls_endpoint_aliases": dict(aliases),
    }
    bank.provider.answers[METADATA] = httpx.Response(200, json=metadata)


async def test_the_token_request_and_every_read_present_the_certificate(
    bank: Bank, authority: Authority, tmp_path: Path
) -> None:
    name_endpoints(bank, f"{bank.url}/token", {})
    run = await aggregate(bank, tmp_path, authority.issue("coatcheck"))
    assert len(run.accounts) == 2
    paths, names = zip(*bank.seen, strict=True)
    assert set(names) == {"coatcheck"}
    assert {"/token", "/fdx/v6/accounts", "/fdx/v6/accounts/a1"} <= set(paths)
    (token_request,) = [each for each in bank.provider.requests if each.url.path == "/token"]
    assert b"client_id=ledger" in token_request.content
    assert "authorization" not in token_request.headers


async def test_the_endpoint_for_certificates_is_used_where_the_bank_has_one(
    bank: Bank, authority: Authority, tmp_path: Path
) -> None:
    name_endpoints(bank, "https://127.0.0.1:1/token", {"token_endpoint": f"{bank.url}/token"})
    run = await aggregate(bank, tmp_path, authority.issue("coatcheck"))
    assert len(run.accounts) == 2


async def test_a_certificate_of_another_authority_is_served_nothing(bank: Bank, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other")
    with pytest.raises(BankUnavailable):
        await aggregate(bank, tmp_path, other.issue("coatcheck"))
    assert bank.seen == []
