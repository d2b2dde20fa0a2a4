"""The web process below the API: its port, its stop, and callers who never finish their sentence."""

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from coatcheck import server
from coatcheck.errors import ConfigurationError


async def echo(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(app=echo, grace=timedelta(seconds=2)):
    """A running server's address, and the event that stops it."""
    bound = server.listen("127.0.0.1", 0)
    port, stop = bound.getsockname()[1], asyncio.Event()
    running = asyncio.create_task(server.serve(app, bound, stop, grace=grace))
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
        return await asyncio.wait_for(reader.read(), 5)


CLOSING = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"


async def test_a_whole_request_is_answered_without_naming_the_software():
    async with serving() as (port, _, _):
        answer = await answer_to(port, CLOSING + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\nserver:" not in answer.lower()


async def test_a_head_in_one_piece_but_too_long_is_refused():
    async with serving() as (port, _, _):
        answer = await answer_to(port, CLOSING + b"x: " + b"a" * (server.MAX_HEAD_BYTES + 1) + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")


async def flood(writer):
    for _ in range(256):
        writer.write(b"a" * 16384)
        await writer.drain()


async def test_a_header_that_never_ends_is_cut_off():
    async with serving() as (port, _, _), connected(port) as (_, writer):
        writer.write(CLOSING + b"x: ")
        with pytest.raises(ConnectionError):
            await flood(writer)


async def test_a_head_that_comes_too_slowly_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(server, "HEAD_TIMEOUT", timedelta(milliseconds=50))
    async with serving() as (port, _, _):
        assert await answer_to(port, CLOSING) == b""
        assert await answer_to(port) == b""


async def test_a_connection_with_a_head_behind_it_waits_for_a_slow_app(monkeypatch):
    monkeypatch.setattr(server, "HEAD_TIMEOUT", timedelta(milliseconds=50))

    async def slow(scope, receive, send):
        await asyncio.sleep(0.15)
        await echo(scope, receive, send)

    async with serving(slow) as (port, _, _):
        assert (await answer_to(port, CLOSING + b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_stop_lets_a_running_request_end():
    begun, finish = asyncio.Event(), asyncio.Event()

    async def waiting(scope, receive, send):
        begun.set()
        await finish.wait()
        await echo(scope, receive, send)

    async with serving(waiting) as (port, stop, running), connected(port) as (reader, writer):
        writer.write(CLOSING + b"\r\n")
        await asyncio.wait_for(begun.wait(), 5)
        stop.set()
        assert not running.done()
        finish.set()
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
        await asyncio.wait_for(running, 5)


def test_a_port_that_is_taken_is_one_clear_sentence():
    with server.listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port}.*--port"):
            server.listen("127.0.0.1", port)


def test_an_address_of_nobody_is_one_clear_sentence():
    with pytest.raises(ConfigurationError):
        server.listen("256.256.256.256", 0)
