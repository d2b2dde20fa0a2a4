"""The FDX connector signs in at npm's `oidc-provider`, unchanged: a pushed request, consent, rotation, revocation."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from coatcheck.clock import MovableClock
from coatcheck.connectors.contract import AuthorizationRequest, AuthorizationResponse, JobKind, Task
from coatcheck.connectors.fdx.connector import FdxConnector, FdxSettings
from coatcheck.crypto import base64url_sha256
from coatcheck.errors import ConsentRevoked, CredentialsDenied
from coatcheck.testing.connectors import NOW, connector_context, run_connector
from tests.fdx_document import document
from tests.fdx_provider import CODE, FdxProvider, account, write_profile
from tests.oidc_provider import answer_at_provider, needs_oidc_provider, oidc_provider
from tests.prism import mock_server, needs_prism

RETURN_URL = "http://coatcheck.test/oauth/callback"
VERIFIER = "a-verifier-of-forty-three-characters-or-more-0"
TASK = Task(JobKind.AGGREGATION, CODE, "MBR-1", NOW)

pytestmark = needs_oidc_provider


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider(RETURN_URL) as issuer:
        yield issuer


class Network(httpx.AsyncBaseTransport):
    """The provider over the network, and the API in memory."""

    def __init__(self, api: FdxProvider) -> None:
        self.token_requests: list[httpx.Request] = []
        self._api, self._network = api.transport, httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.example":
            return await self._api.handle_async_request(request)
        if request.url.path == "/token":
            self.token_requests.append(request)
        return await self._network.handle_async_request(request)

    async def aclose(self) -> None:
        await self._network.aclose()


class Bank:
    """The connector with a consent at the provider."""

    def __init__(self, profile: str) -> None:
        self.clock = MovableClock()
        self.api = FdxProvider(accounts=[account(f"a{number:02}") for number in range(32)], transactions=[])
        self.network = Network(self.api)
        context = connector_context(FdxSettings((profile,)), clock=self.clock, transport=self.network)
        self.connector = FdxConnector(context)

    async def sign_in(self, browser: httpx.AsyncClient, decision: str = "allow") -> dict[str, str]:
        """The parameters with which the provider sends the user back."""
        request = AuthorizationRequest(CODE, RETURN_URL, "s1", base64url_sha256(VERIFIER.encode()))
        url = await self.connector.authorize(request)
        url = await answer_at_provider(browser, url, RETURN_URL, decision=decision)
        return dict(parse_qsl(urlsplit(url).query))

    async def consent(self, browser: httpx.AsyncClient) -> dict[str, str]:
        """The credentials of a new consent."""
        answer = await self.sign_in(browser)
        assert answer["state"] == "s1"
        return dict(await self.complete(answer))

    async def complete(self, answer: Mapping[str, str]) -> dict[str, str]:
        response = AuthorizationResponse(CODE, RETURN_URL, answer["code"], VERIFIER, issuer=answer["iss"])
        return dict(await self.connector.complete(response))


@pytest.fixture
async def bank(issuer: str, tmp_path: Path) -> AsyncIterator[Bank]:
    profile = write_profile(
        tmp_path,
        issuer=issuer,
        scopes=["openid", "fdx:accountdetailed:read", "fdx:transactions:read"],
        concurrent_reads=32,
        page_size=100,
    )
    bank = Bank(profile)
    yield bank
    await bank.connector.close()


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as browser:
        yield browser


@needs_prism
async def test_every_read_fits_a_document_of_the_api_and_its_answers_are_read(
    issuer: str, browser: httpx.AsyncClient, tmp_path: Path
) -> None:
    description = tmp_path / "fdx.json"
    description.write_text(json.dumps(document()))
    with mock_server(description, tmp_path / "log") as api_url:
        bank = Bank(write_profile(tmp_path, issuer=issuer, api_url=api_url, scopes=["openid"]))
        credentials = await bank.consent(browser)
        runs = {
            kind: await run_connector(bank.connector, Task(kind, CODE, "MBR-1", NOW), credentials)
            for kind in (JobKind.AGGREGATION, JobKind.VERIFICATION, JobKind.IDENTIFICATION, JobKind.STATEMENT)
        }
        await bank.connector.close()
    (account,) = runs[JobKind.AGGREGATION].accounts
    assert (account.id, account.balance) == ("a-1", Decimal("120.5"))
    (transaction,) = runs[JobKind.AGGREGATION].transactions
    assert transaction.amount == Decimal("12.34")
    (numbers,) = runs[JobKind.VERIFICATION].numbers
    assert (numbers.account_number, numbers.is_tokenized) == ("1234567801", True)
    (owner,) = runs[JobKind.IDENTIFICATION].owners
    assert owner.email == "ann@example.com"
    (statement,) = runs[JobKind.STATEMENT].statements
    assert statement.pdf.startswith(b"%PDF")


async def test_the_user_consents_and_the_accounts_are_read(bank: Bank, browser: httpx.AsyncClient) -> None:
    run = await run_connector(bank.connector, TASK, await bank.consent(browser))
    assert len(run.accounts) == 32
    (exchange,) = bank.network.token_requests
    assert parse_qs(exchange.content.decode())["code_verifier"] == [VERIFIER]


async def test_refusing_comes_back_as_access_denied(bank: Bank, browser: httpx.AsyncClient) -> None:
    assert (await bank.sign_in(browser, decision="deny"))["error"] == "access_denied"


async def test_a_code_works_once(bank: Bank, browser: httpx.AsyncClient) -> None:
    answer = await bank.sign_in(browser)
    await bank.complete(answer)
    with pytest.raises(CredentialsDenied):
        await bank.complete(answer)


async def test_32_reads_with_an_expired_token_lead_to_one_refresh(
    bank: Bank, browser: httpx.AsyncClient
) -> None:
    credentials = await bank.consent(browser)
    bank.clock.advance(timedelta(hours=1))
    bank.network.token_requests.clear()
    run = await run_connector(bank.connector, TASK, credentials)
    assert (len(run.accounts), len(bank.network.token_requests), len(run.saved_states)) == (32, 1, 1)
    # The state of the first run goes on working; the token that it replaced ends the whole grant.
    bank.clock.advance(timedelta(hours=1))
    again = await run_connector(bank.connector, TASK, credentials, state=run.saved_states[0])
    assert len(again.accounts) == 32
    with pytest.raises(ConsentRevoked):
        await run_connector(bank.connector, TASK, credentials)
    bank.clock.advance(timedelta(hours=1))
    with pytest.raises(ConsentRevoked):
        await run_connector(bank.connector, TASK, credentials, state=again.saved_states[0])


async def test_a_revoked_consent_ends_the_run(bank: Bank, browser: httpx.AsyncClient, issuer: str) -> None:
    credentials = await bank.consent(browser)
    bank.clock.advance(timedelta(hours=1))
    run = await run_connector(bank.connector, TASK, credentials)
    token = bank.network.token_requests[-1]
    assert run.accounts
    refresh_token = run.saved_states[0].decode().partition('"refresh_token":"')[2].partition('"')[0]
    revoked = await browser.post(
        f"{issuer}/token/revocation",
        data={"token": refresh_token},
        headers={"authorization": token.headers["authorization"]},
    )
    assert revoked.status_code == 200
    bank.clock.advance(timedelta(hours=1))
    with pytest.raises(ConsentRevoked):
        await run_connector(bank.connector, TASK, credentials, state=run.saved_states[0])
