"""The web server: its port, its shutdown, and the limits of a request's head."""

import asyncio
import json
import signal
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import httpx
import pytest

from coatcheck import server
from coatcheck.config import Settings
from coatcheck.errors import ConfigurationError
from coatcheck.http.head_limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_URL_BYTES, HeadLimits
from coatcheck.http.listening import listen
from tests.member_setup import PATIENCE


async def echo(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(app=echo, grace=timedelta(seconds=2), headers=()):
    """A running server's address, and the event that stops it."""
    bound = listen("127.0.0.1", 0)
    port, stop = bound.getsockname()[1], asyncio.Event()
    running = asyncio.create_task(server.serve(app, bound, stop, grace=grace, headers=headers))
    try:
        yield port, stop, running
    finally:
        stop.set()
        await running


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def answer_to(port, *parts):
    async with connected(port) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), PATIENCE)


CLOSING = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"


@pytest.mark.parametrize(("seconds", "expected"), [(0, None), (31_536_000, "max-age=31536000")])
async def test_browsers_are_told_to_use_https_only_where_it_is_set(seconds, expected):
    settings = Settings(hsts_max_age=timedelta(seconds=seconds))
    async with (
        serving(headers=server.headers_of_all(settings)) as (port, _, _),
        httpx.AsyncClient(timeout=PATIENCE) as http,
    ):
        answer = await http.get(f"http://127.0.0.1:{port}/")
    assert answer.headers.get("strict-transport-security") == expected


async def test_a_response_does_not_name_the_server_software():
    async with serving() as (port, _, _):
        answer = await answer_to(port, CLOSING + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\nserver:" not in answer.lower()


def head_of(size: int) -> bytes:
    """A request whose head has this size as the server counts it."""
    names = b"/" + b"host" + b"x" + b"connection" + b"close" + b"x"
    return CLOSING + b"x: " + b"a" * (size - len(names)) + b"\r\n\r\n"


def request_with(headers: int) -> bytes:
    return CLOSING + b"".join(b"x-%d: 1\r\n" % number for number in range(headers - 2)) + b"\r\n"


@pytest.mark.parametrize(("build", "limit"), [(head_of, MAX_HEAD_BYTES), (request_with, MAX_HEADERS)])
async def test_a_head_at_the_limit_is_answered_and_one_above_it_is_refused(build, limit):
    async with serving(HeadLimits(echo)) as (port, _, _):
        assert (await answer_to(port, build(limit))).startswith(b"HTTP/1.1 200")
        assert (await answer_to(port, build(limit + 1))).startswith(b"HTTP/1.1 431")


async def test_a_head_above_a_limit_is_refused_in_the_format_of_its_surface(http):
    for path, kind in (("/users", "uri_too_long_error"), ("/coatcheck/grants", "uri_too_long_error")):
        answer = await http.get(path, params={"a": "a" * MAX_URL_BYTES})
        assert (answer.status_code, answer.json()["error"]["type"]) == (414, kind)
    answer = await http.post("/oauth/token", headers={"x": "a" * MAX_HEAD_BYTES})
    assert (answer.status_code, answer.json()["error"]) == (431, "invalid_request")
    answer = await http.get("/simplefin/accounts", headers={"x": "a" * MAX_HEAD_BYTES})
    assert (answer.status_code, answer.json()["accounts"]) == (431, [])


@pytest.mark.parametrize("mark", [b"", b"?"])
async def test_a_url_at_the_limit_is_answered_and_one_above_it_is_refused(mark):
    async with serving(HeadLimits(echo)) as (port, _, _):
        for size, status in ((MAX_URL_BYTES, b"200"), (MAX_URL_BYTES + 1, b"414")):
            target = b"/" + mark + b"a" * (size - 1)
            request = b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % target
            assert (await answer_to(port, request)).startswith(b"HTTP/1.1 " + status)


async def test_the_url_counts_as_part_of_the_head():
    async with serving(HeadLimits(echo)) as (port, _, _):
        rest = b"a" * (MAX_HEAD_BYTES - MAX_URL_BYTES)
        request = b"GET /%b HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: %b\r\n\r\n"
        answer = await answer_to(port, request % (b"a" * (MAX_URL_BYTES - 1), rest))
        assert answer.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [(b"1.1", 0, b"400"), (b"1.1", 1, b"200"), (b"1.1", 2, b"400"), (b"1.0", 0, b"200"), (b"1.0", 2, b"400")],
)
async def test_a_request_has_exactly_one_host(version, hosts, status):
    async with serving(HeadLimits(echo)) as (port, _, _):
        request = b"GET / HTTP/%b\r\nconnection: close\r\n%b\r\n" % (version, b"host: x\r\n" * hosts)
        answer = await answer_to(port, request)
        assert answer.split(b" ")[1] == status


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        b"content-length: 0\r\ncontent-length: 5\r\n\r\n",
        b"content-length: +0\r\n\r\n",
        b"content-length: -1\r\n\r\n",
        b"content-length: 0x0\r\n\r\n",
        b"content-length: 0, 5\r\n\r\n",
        b"content-length : 0\r\n\r\n",
        b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n",
    ],
)
async def test_a_request_whose_length_is_ambiguous_is_refused_and_nothing_after_it_is_read(framing):
    paths = []

    async def recording(scope, receive, send):
        paths.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        await echo(scope, receive, send)

    async with serving(recording) as (port, _, _):
        answer = await answer_to(port, b"POST /first HTTP/1.1\r\nhost: x\r\n" + framing + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert "/smuggled" not in paths


CERTIFICATE = b"client-cert: :AAAA:\r\n"
FORWARDED = b"x-forwarded-for: 10.0.0.1\r\n"


async def seen(app, head, trailers=b"", body=b"transfer-encoding: chunked\r\n\r\n0\r\n"):
    """The status of a request through a trusted proxy that forwards trailers, and the address that it counts for."""
    addresses = []

    async def recording(scope, receive, send):
        addresses.append(scope["client"][0])
        await echo(scope, receive, send)

    async with serving(app(recording)) as (port, _, _):
        answer = await answer_to(port, CLOSING + head + body + trailers + b"\r\n")
    return int(answer.split()[1]), addresses


def trusting(*, reads_certificates):
    return lambda app: server.behind_proxies(app, "127.0.0.1", reads_certificates=reads_certificates)


@pytest.mark.parametrize(
    ("head", "trailers"),
    [(b"", CERTIFICATE), (CERTIFICATE, b""), (FORWARDED, b"x-forwarded-for: 192.0.2.7\r\n")],
)
async def test_a_trailer_can_be_neither_the_certificate_nor_the_address_of_a_caller(head, trailers):
    assert await seen(trusting(reads_certificates=True), head, trailers) == (400, [])


async def test_a_chunked_request_that_no_trailer_can_change_is_answered():
    assert await seen(trusting(reads_certificates=True), FORWARDED) == (200, ["10.0.0.1"])
    # Without the setting, the certificate is discarded, wherever it comes from.
    assert await seen(trusting(reads_certificates=False), FORWARDED, CERTIFICATE) == (200, ["10.0.0.1"])
    length = b"content-length: 0\r\n"
    twice = FORWARDED + b"x-forwarded-for: 192.0.2.7\r\n"
    assert await seen(trusting(reads_certificates=True), CERTIFICATE + twice, body=length) == (
        200,
        ["192.0.2.7"],
    )


async def test_a_request_that_a_trailer_could_change_is_refused_in_the_format_of_its_surface(services):
    app = trusting(reads_certificates=True)(server.create_app(services))
    async with serving(app) as (port, _, _):
        request = b"POST /oauth/token HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
        answer = await answer_to(port, request + CERTIFICATE + b"\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["error"] == "invalid_request"


async def test_the_application_has_the_limits(services):
    transport = httpx.ASGITransport(server.create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/health", headers={f"x-{number}": "1" for number in range(MAX_HEADERS)})
    assert answer.status_code == 431


async def test_a_running_request_ends_before_the_server_stops():
    begun, finish = asyncio.Event(), asyncio.Event()

    async def waiting(scope, receive, send):
        begun.set()
        await finish.wait()
        await echo(scope, receive, send)

    async with serving(waiting) as (port, stop, running), connected(port) as (reader, writer):
        writer.write(CLOSING + b"\r\n")
        await asyncio.wait_for(begun.wait(), PATIENCE)
        stop.set()
        assert not running.done()
        finish.set()
        assert (await asyncio.wait_for(reader.read(), PATIENCE)).startswith(b"HTTP/1.1 200")
        await asyncio.wait_for(running, PATIENCE)


async def test_a_request_that_takes_longer_than_the_grace_period_is_aborted():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(scope, receive, send):
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with (
        serving(endless, timedelta(seconds=1)) as (port, stop, running),
        connected(port) as (_, writer),
    ):
        writer.write(CLOSING + b"\r\n")
        await asyncio.wait_for(begun.wait(), PATIENCE)
        stop.set()
        await asyncio.wait_for(running, PATIENCE)
        await asyncio.wait_for(ended.wait(), PATIENCE)


async def test_a_signal_stops_the_server_and_reaches_the_owner_of_the_process():
    received = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, received.set)
    try:
        async with serving() as (port, _, running):
            await answer_to(port, CLOSING + b"\r\n")
            signal.raise_signal(signal.SIGTERM)
            await asyncio.wait_for(running, PATIENCE)
            await asyncio.wait_for(received.wait(), PATIENCE)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


def test_a_port_in_use_is_a_configuration_error():
    with listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port}.*--port"):
            listen("127.0.0.1", port)


def test_an_unknown_address_is_a_configuration_error():
    with pytest.raises(ConfigurationError):
        listen("256.256.256.256", 0)
