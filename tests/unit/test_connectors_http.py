"""The HTTP clients of connectors: retries, circuit breakers, cookies, redirects and limits."""

import asyncio
import gzip
import socket

import httpx
import pytest
import stamina
from structlog.testing import capture_logs

from coatcheck.connectors import http_clients
from coatcheck.connectors.http_clients import ATTEMPTS, BREAK_AFTER, HttpClients
from coatcheck.errors import BankDataUnusable, BankTimedOut, BankUnavailable
from coatcheck.events.ssrf import public_only

URL = "https://bank.example/accounts"


@pytest.fixture(autouse=True)
def at_once():
    """No test waits between two attempts."""
    with stamina.set_testing(testing=True, attempts=ATTEMPTS, cap=True):
        yield


class Bank:
    """Answers from a list, the last answer for ever."""

    def __init__(self, *answers: httpx.Response | Exception | int) -> None:
        self.answers = [*answers]
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer) if isinstance(answer, int) else answer

    @property
    def client(self) -> httpx.AsyncClient:
        return HttpClients(guard=public_only, transport=httpx.MockTransport(self)).trusted


@pytest.mark.parametrize("passing", [502, 503, 504, httpx.ConnectError("refused"), httpx.ReadTimeout("late")])
async def test_a_safe_request_is_retried_after_a_temporary_failure(passing):
    bank = Bank(passing, passing, 200)
    assert (await bank.client.get(URL)).status_code == 200
    assert len(bank.requests) == 3


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
async def test_a_request_with_any_other_status_is_not_retried(status):
    bank = Bank(status)
    assert (await bank.client.get(URL)).status_code == status
    assert len(bank.requests) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_an_unsafe_request_is_never_retried(method):
    bank = Bank(503)
    assert (await bank.client.request(method, URL)).status_code == 503
    assert len(bank.requests) == 1


async def test_the_response_of_the_last_attempt_is_returned():
    bank = Bank(503)
    assert (await bank.client.get(URL)).status_code == 503
    assert len(bank.requests) == ATTEMPTS


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("refused"), BankUnavailable),
        (httpx.RemoteProtocolError("garbage"), BankUnavailable),
        (httpx.ReadTimeout("late"), BankTimedOut),
        (httpx.ConnectTimeout("late"), BankTimedOut),
    ],
)
async def test_a_broken_connection_raises_a_bank_error_without_the_url(error, expected):
    with pytest.raises(expected) as raised:
        await Bank(error).client.post(URL)
    assert raised.value.__cause__ is None
    assert "bank.example" not in str(raised.value)


@pytest.mark.parametrize("kind", [httpx.LocalProtocolError, httpx.RemoteProtocolError, httpx.ReadTimeout])
async def test_the_log_of_a_retry_contains_no_text_of_the_request_or_the_response(kind):
    with capture_logs() as logs, pytest.raises((BankUnavailable, BankTimedOut)):
        await Bank(kind("Illegal header value b'a-secret'")).client.get(URL)
    assert len(logs) == ATTEMPTS - 1
    assert "a-secret" not in str(logs)


async def test_a_host_that_keeps_failing_gets_no_request_for_a_while_and_others_do(monkeypatch):
    bank = Bank(500)
    client = bank.client
    for _ in range(BREAK_AFTER):
        await client.post(URL)
    with pytest.raises(BankUnavailable):
        await client.post(URL)
    assert len(bank.requests) == BREAK_AFTER
    assert (await client.post("https://other.example")).status_code == 500
    now = http_clients.time.monotonic()
    monkeypatch.setattr(http_clients.time, "monotonic", lambda: now + http_clients.BREAK_FOR + 1)
    bank.answers = [200]
    assert (await client.post(URL)).status_code == 200
    assert (await client.post(URL)).status_code == 200, "one success closes the breaker"


async def test_the_failures_of_many_hosts_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(http_clients, "MAX_HOSTS", 2)
    bank = Bank(503)
    client = bank.client
    for host in ("a", "b"):
        for _ in range(BREAK_AFTER):
            await client.post(f"https://{host}.example")
    with pytest.raises(BankUnavailable):
        await client.post("https://a.example")
    await client.post("https://c.example")
    with pytest.raises(BankUnavailable):
        await client.post("https://a.example")
    assert (await client.post("https://b.example")).status_code == 503


async def test_failures_that_are_not_consecutive_do_not_open_the_breaker():
    bank = Bank(500, 500, 500, 500, 200, 500, 500, 500, 500, 200)
    client = bank.client
    for _ in range(10):
        await client.post(URL)
    assert len(bank.requests) == 10


async def test_a_cookie_of_a_response_is_not_sent_with_the_next_request():
    bank = Bank(httpx.Response(200, headers={"set-cookie": "session=of-ann; Path=/"}))
    client = bank.client
    await client.get(URL)
    await client.get(URL)
    assert "cookie" not in bank.requests[1].headers
    assert not client.cookies


async def test_a_redirect_is_not_followed():
    bank = Bank(httpx.Response(302, headers={"location": "http://169.254.169.254/"}))
    assert (await bank.client.get(URL)).status_code == 302
    assert len(bank.requests) == 1


async def test_requests_have_a_user_agent():
    bank = Bank(200)
    await bank.client.get(URL)
    assert bank.requests[0].headers["user-agent"].startswith("Coatcheck/")


async def test_an_answer_is_read_whole_and_decoded():
    packed = httpx.Response(200, content=gzip.compress(b'{"a": 1}'), headers={"content-encoding": "gzip"})
    response = await Bank(packed).client.get(URL)
    assert response.json() == {"a": 1}
    assert str(response.request.url) == URL


async def test_an_answer_that_is_too_long_once_decoded_is_refused(monkeypatch):
    monkeypatch.setattr(http_clients, "MAX_RESPONSE_BYTES", 1_000)
    packed = gzip.compress(b"0" * 100_000)
    for content, headers in ((b"0" * 1_001, {}), (packed, {"content-encoding": "gzip"})):
        with pytest.raises(BankDataUnusable):
            await Bank(httpx.Response(200, content=content, headers=headers)).client.get(URL)
    assert len(packed) < 1_000


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://169.254.169.254/"]
)
async def test_the_guarded_client_connects_to_no_private_address(url):
    clients = HttpClients(guard=public_only)
    with pytest.raises(BankUnavailable):
        await clients.guarded.get(url)
    await clients.close()


@pytest.mark.parametrize("before", [(), ("93.184.216.34",)], ids=["at once", "after the look-up"])
async def test_a_name_with_a_private_address_is_like_a_host_that_does_not_answer(monkeypatch, before):
    """Else whoever chose the name would learn which ports are open there."""
    connections, received = [], []

    async def accept(reader, writer):
        connections.append(1)
        received.append(await reader.read())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def getaddrinfo(_host, port, **_options):
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    clients = HttpClients(guard=public_only, attempts=1)
    addresses = [*before, "127.0.0.1"]
    with pytest.raises(BankUnavailable):
        await clients.guarded.get(f"http://inside.example.com:{port}/")
    assert before or connections == []
    assert b"".join(received) == b""
    server.close()
    await server.wait_closed()
    addresses = [*before, "127.0.0.1"]
    with pytest.raises(BankUnavailable):
        await clients.guarded.get(f"http://inside.example.com:{port}/")
    await clients.close()


async def test_proxy_variables_are_ignored(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    clients = HttpClients(guard=public_only)
    assert not clients.trusted.trust_env
    assert clients.guarded is clients.guarded
    await clients.close()
    assert clients.trusted.is_closed
