"""A body is read after the authentication, by a deadline, and contains each key once."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from coatcheck import server
from coatcheck.api.endpoint import MAX_BODY_BYTES
from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.http.listening import listen
from tests.api_client import Api, refusal
from tests.factories import Keyed, make_client, make_processor
from tests.member_setup import PATIENCE
from tests.widget_client import open_page

SLOW = timedelta(seconds=0.3)
WRONG = Keyed("CLT-none", "cck_wrong")


@asynccontextmanager
async def serving(services: Services, clock: MovableClock, body_deadline: timedelta) -> AsyncIterator[int]:
    """The port of a real server."""
    settings = replace(services.settings, body_deadline=body_deadline)
    async with build(settings, clock) as built:
        bound, stop = listen("127.0.0.1", 0), asyncio.Event()
        port = bound.getsockname()[1]
        grace = timedelta(seconds=1)
        running = asyncio.create_task(server.serve(server.create_app(built), bound, stop, grace=grace))
        try:
            yield port
        finally:
            stop.set()
            await running


def head(path: str, caller: Keyed, *lines: str) -> bytes:
    credentials = base64.b64encode(f"{caller.guid}:{caller.api_key}".encode()).decode()
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Basic {credentials}", *lines, "", ""]
    ).encode()


async def answer_to(port: int, *parts: bytes) -> bytes:
    """Everything that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer


@pytest.mark.parametrize("path", ["/users", "/token", "/coatcheck/revocations", "/authorization_code"])
@pytest.mark.parametrize("line", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_a_caller_without_a_right_key_gets_its_answer_before_it_sends_the_body(
    services: Services, clock: MovableClock, path: str, line: str
) -> None:
    async with serving(services, clock, timedelta(seconds=60)) as port:
        answer = await answer_to(port, head(path, WRONG, line, "Content-Type: application/json"))
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()


async def test_a_body_is_not_invited_before_the_authentication(
    services: Services, clock: MovableClock
) -> None:
    async with serving(services, clock, timedelta(seconds=60)) as port:
        answer = await answer_to(port, head("/users", WRONG, "Content-Length: 9", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 401")


async def test_a_page_without_a_session_gets_its_answer_before_it_sends_the_body(
    services: Services, clock: MovableClock
) -> None:
    async with serving(services, clock, timedelta(seconds=60)) as port:
        request = b"POST /md/api/members HTTP/1.1\r\nHost: x\r\nX-Widget-Session: cws_x\r\nContent-Length: 9\r\n\r\n"
        assert (await answer_to(port, request)).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("kind", ["client", "processor"])
async def test_a_body_that_does_not_arrive_in_time_is_refused_and_the_connection_closed(
    services: Services, clock: MovableClock, kind: str
) -> None:
    client = await make_client(services)
    caller, path = (
        (client, "/users") if kind == "client" else (await make_processor(services, client), "/token")
    )
    async with serving(services, clock, SLOW) as port:
        answer = await answer_to(port, head(path, caller, "Content-Length: 100"), b'{"user"')
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer.lower()
    assert b"request_timeout_error" in answer


async def test_a_body_that_arrives_in_pieces_in_time_is_read(
    services: Services, clock: MovableClock, client: Keyed
) -> None:
    body = b'{"user": {"id": "in-parts"}}'
    lines = (f"Content-Length: {len(body)}", "Content-Type: application/json", "Connection: close")
    async with serving(services, clock, timedelta(seconds=10)) as port:
        answer = await answer_to(port, head("/users", client, *lines), body[:9], body[9:])
    assert answer.startswith(b"HTTP/1.1 200")


async def test_chunk_extensions_are_ignored_and_the_body_counts_without_them(
    services: Services, clock: MovableClock, client: Keyed
) -> None:
    parts = (
        head("/users", client, "Transfer-Encoding: chunked", "Connection: close"),
        b'10;extension=ignored\r\n{"user":{"id":"a\r\n3\r\n"}}\r\n0\r\n\r\n',
    )
    async with serving(services, clock, timedelta(seconds=10)) as port:
        assert (await answer_to(port, *parts)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("extra", "status"), [(0, b"200"), (1, b"413")])
async def test_a_chunked_body_at_the_limit_is_read_and_one_above_it_is_refused(
    services: Services, clock: MovableClock, client: Keyed, extra: int, status: bytes
) -> None:
    body = b'{"user": {}}'.replace(b"{}", b'{"metadata": "x"}')
    body += b" " * (MAX_BODY_BYTES - len(body) + extra)
    half = len(body) // 2
    chunks = (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:])) + b"0\r\n\r\n"
    )
    async with serving(services, clock, timedelta(seconds=10)) as port:
        answer = await answer_to(
            port, head("/users", client, "Transfer-Encoding: chunked", "Connection: close"), chunks
        )
    assert answer.split(b" ")[1] == status


REPEATED = [
    '{"user": {"id": "a"}, "user": {"id": "b"}}',
    '{"user": {"id": "a", "id": "b"}}',
    '{"user": {"id": "a", "\\u0069d": "b"}}',
    '{"user": {"id": "a"}, "other": {"x": 1, "x": 1}}',
]


@pytest.mark.parametrize("body", REPEATED)
async def test_a_repeated_key_is_refused(api: Api, body: str) -> None:
    answer = await api.post("/users", content=body, headers={"Content-Type": "application/json"})
    assert refusal(answer) == (400, "invalid_request")
    assert (await api.get("/users")).json()["users"] == []


async def test_a_repeated_key_is_refused_by_the_widget(api: Api) -> None:
    page = await open_page(api, await api.create_user())
    answer = await page("POST", "/consent", content=b'{"accepted": true, "accepted": true}')
    assert answer.status_code == 400
