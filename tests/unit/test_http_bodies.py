"""The body of a request, read message by message."""

import asyncio

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message

from coatcheck.errors import EncodedBody, InvalidRequest, RequestTimeout, TooLarge
from coatcheck.http.bodies import DEADLINE, BodyReader, has_body, is_form, is_unread, read_body

LIMIT = 8
CHUNKED = {"transfer-encoding": "chunked"}
GONE: Message = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def request(headers: dict[str, str], *messages: Message, deadline: float | None = None) -> Request:
    """A request whose body arrives in these messages; then nothing more comes."""
    pending = iter(messages)

    async def receive() -> Message:
        for message in pending:
            return message
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for ever")

    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "headers": encoded} | ({} if deadline is None else {DEADLINE: deadline})
    return Request(scope, receive)


async def test_the_parts_of_a_body_are_read_up_to_the_limit_and_only_once() -> None:
    reader = BodyReader(request(CHUNKED, part(b"1234"), part(b"5678", more=False)), LIMIT)
    assert await reader.read() == b"12345678"
    assert await reader.read() == b"12345678"


async def test_a_part_without_a_body_adds_nothing() -> None:
    messages: list[Message] = [{"type": "http.request", "more_body": True}, {"type": "http.request"}]
    assert await read_body(request(CHUNKED, *messages), LIMIT) == b""


@pytest.mark.parametrize("parts", [[b"123456789"], [b"12345678", b"9"]])
async def test_a_body_above_the_limit_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(TooLarge):
        await read_body(request(CHUNKED, *map(part, parts)), LIMIT)


@pytest.mark.parametrize("declared", ["9", "00000000000000000009", "9" * 5000])
def test_a_body_that_declares_more_than_the_limit_is_refused_before_it_is_read(declared: str) -> None:
    with pytest.raises(TooLarge):
        BodyReader(request({"content-length": declared}), LIMIT)


@pytest.mark.parametrize("declared", ["8", "x", "²", "-9"])
async def test_what_declares_less_or_no_number_is_counted(declared: str) -> None:
    reader = BodyReader(request({"content-length": declared}, part(b"123456789")), LIMIT)
    with pytest.raises(TooLarge):
        await reader.read()


@pytest.mark.parametrize("encoding", ["gzip", " GZIP ", "gzip, identity"])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    with pytest.raises(EncodedBody):
        BodyReader(request({**CHUNKED, "content-encoding": encoding}), LIMIT)


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
async def test_a_body_that_names_no_compression_is_read(encoding: str) -> None:
    sent = request({**CHUNKED, "content-encoding": encoding}, part(b"x", more=False))
    assert await read_body(sent, LIMIT) == b"x"


async def test_a_request_that_ends_early_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        await read_body(request(CHUNKED, part(b"1"), GONE), LIMIT)
    assert refused.value.problem == "The request ended early."


@pytest.mark.parametrize(("of_the_server", "given"), [(0.01, None), (60.0, 0.01), (None, 0.01)])
async def test_a_body_must_arrive_by_the_deadline_of_the_caller_or_else_of_the_server(
    of_the_server: float | None, given: float | None
) -> None:
    with pytest.raises(RequestTimeout):
        await read_body(request(CHUNKED, part(b"1"), deadline=of_the_server), LIMIT, given)


async def test_what_has_arrived_is_read_without_a_wait() -> None:
    whole = BodyReader(request(CHUNKED, part(b"12"), part(b"3", more=False)), LIMIT)
    assert await whole.read_arrived()
    begun = BodyReader(request(CHUNKED, part(b"12")), LIMIT)
    assert not await begun.read_arrived()


async def test_a_body_that_the_client_has_not_been_invited_to_send_is_not_read() -> None:
    sent = request({**CHUNKED, "expect": "100-continue"}, part(b"1", more=False))
    reader = BodyReader(sent, LIMIT)
    assert not await reader.read_arrived()
    assert is_unread(sent, sent.scope)
    assert await reader.read() == b"1"
    assert not is_unread(sent, sent.scope)


async def test_a_request_without_a_body_is_read_at_once_and_has_nothing_unread() -> None:
    sent = request({})
    assert await BodyReader(sent, LIMIT).read_arrived()
    assert await read_body(sent, LIMIT) == b""
    assert not is_unread(sent, sent.scope)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"content-length": "0"}, False),
        ({"content-length": "1"}, True),
        ({"content-length": "x"}, True),
        (CHUNKED, True),
        ({**CHUNKED, "content-length": "0"}, True),
    ],
)
def test_a_body_follows_the_head_if_a_header_says_so(headers: dict[str, str], expected: bool) -> None:
    assert has_body(request(headers)) is expected


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/x-www-form-urlencoded", True),
        (" Application/X-WWW-Form-URLencoded ; charset=UTF-8; x=y", True),
        ("application/json", False),
        ("", False),
    ],
)
def test_a_form_is_recognised_in_each_spelling(media_type: str, expected: bool) -> None:
    assert is_form(Headers({"content-type": media_type})) is expected
    assert not is_form(Headers({}))
