"""The endpoint of every surface: methods, body limit, errors and unknown exceptions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import httpx
import psycopg
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Router
from structlog.testing import capture_logs

from coatcheck import errors
from coatcheck.http.bodies import read_body
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.errors import STATUSES, headers_of, message_of, status_of
from coatcheck.request_context import current_request

LIMIT = 8


@dataclass(frozen=True)
class Row:
    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    has_deadline: bool = True

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"


async def _answer(row: Row, request: Request) -> Response:
    return await row.answer(request)


def _refuse(error: errors.CoatcheckError, _row: Row | None) -> Response:
    return PlainTextResponse(message_of(error), status_of(error), headers_of(error))


def _client(*rows: Row) -> httpx.AsyncClient:
    app = Router(routes(Surface("test", _answer, _refuse), rows))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def _raising(error: Exception) -> Row:
    async def answer(_request: Request) -> Response:
        raise error

    return Row("GET", "/", answer)


async def _length(request: Request) -> Response:
    return PlainTextResponse(str(len(await read_body(request, LIMIT))))


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_wrong_method_gets_the_allowed_methods() -> None:
    async with _client(Row("GET", "/", _length), Row("PUT", "/", _length)) as client:
        answer = await client.post("/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT, HEAD")


async def test_a_body_at_the_limit_is_read_and_one_byte_more_is_refused() -> None:
    async with _client(Row("POST", "/", _length)) as client:
        assert (await client.post("/", content=b"x" * LIMIT)).text == str(LIMIT)
        assert (await client.post("/", content=b"x" * (LIMIT + 1))).status_code == 413
        assert (await client.post("/", content=_chunks(b"x" * LIMIT))).text == str(LIMIT)
        assert (await client.post("/", content=_chunks(b"x" * LIMIT, b"x"))).status_code == 413
        assert (await client.post("/")).text == "0"


@pytest.mark.parametrize("declared", ["9" * 5000, "²", "-1", "8"])
async def test_the_bytes_are_counted_regardless_of_the_declared_length(declared: str) -> None:
    headers = {"content-length": declared.encode()}
    async with _client(Row("POST", "/", _length)) as client:
        answer = await client.post("/", content=_chunks(b"x" * (LIMIT + 1)), headers=headers)
    assert answer.status_code == 413


async def test_an_unknown_failure_discloses_nothing_and_its_text_is_not_logged() -> None:
    with capture_logs() as logged:
        async with _client(_raising(RuntimeError("ctk_secret"))) as client:
            answer = await client.get("/")
    assert (answer.status_code, answer.text) == (500, "Something went wrong on our side.")
    [entry] = logged
    assert entry["event"] == "request.failed"
    assert (entry["surface"], entry["operation"], entry["error"]) == ("test", "GET /", "RuntimeError")
    assert "ctk_secret" not in str(entry)


async def test_text_that_the_database_cannot_store_is_a_bad_request() -> None:
    with capture_logs() as logged:
        async with _client(_raising(psycopg.DataError("the text"))) as client:
            assert (await client.get("/")).status_code == 400
    (entry,) = logged
    assert (entry["event"], entry["log_level"]) == ("request.refused", "warning")
    assert entry["detail"].startswith(f"DataError at {__file__}:")


async def test_an_error_without_a_status_is_a_500_without_its_message() -> None:
    with capture_logs() as logged:
        async with _client(_raising(errors.BankFailed("the bank said ctk_secret"))) as client:
            answer = await client.get("/")
    assert (answer.status_code, answer.text) == (500, "Something went wrong on our side.")
    assert [entry["event"] for entry in logged] == ["request.refused"]


async def test_the_detail_of_a_refusal_is_logged_and_not_sent() -> None:
    with capture_logs() as logged:
        async with _client(_raising(errors.NotFound(detail="for the operator"))) as client:
            answer = await client.get("/")
    assert "operator" not in answer.text
    assert [entry["detail"] for entry in logged] == ["for the operator"]


async def test_the_operator_reads_that_a_request_took_longer_than_its_deadline() -> None:
    with capture_logs() as logged:
        async with _client(_raising(TimeoutError())) as client:
            answer = await client.get("/")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert [entry["detail"] for entry in logged] == ["deadline"]


async def test_a_plain_refusal_is_not_logged() -> None:
    with capture_logs() as logged:
        async with _client(_raising(errors.NotFound())) as client:
            await client.get("/")
    assert logged == []


@pytest.mark.parametrize(("seconds", "sent"), [(0.2, "1"), (1, "1"), (90, "90")])
async def test_a_throttled_request_has_retry_after(seconds: float, sent: str) -> None:
    async with _client(_raising(errors.TooManyRequests(timedelta(seconds=seconds)))) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, sent)


def _refusals(cls: type[errors.Refusal] = errors.Refusal) -> list[type[errors.Refusal]]:
    return [each for child in cls.__subclasses__() for each in (child, *_refusals(child))]


@pytest.mark.parametrize("cls", _refusals())
def test_every_refusal_has_a_status(cls: type[errors.Refusal]) -> None:
    assert any(parent in STATUSES for parent in cls.__mro__)


async def test_each_answer_names_its_request_with_an_id_of_its_own() -> None:
    async with _client(Row("GET", "/", _length)) as client:
        answers = [await client.get("/"), await client.get("/"), await client.post("/")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


async def test_what_a_handler_writes_and_logs_names_the_id_in_the_answer() -> None:
    async def refuse(_request: Request) -> Response:
        raise errors.NotFound(current_request.get().request_id, detail="for the operator")

    with capture_logs() as logged:
        async with _client(Row("GET", "/", refuse)) as client:
            answer = await client.get("/")
    assert answer.headers["x-request-id"] == answer.text
    assert [entry["request_id"] for entry in logged] == [answer.text]


async def test_head_is_answered_as_get_without_the_body() -> None:
    async with _client(Row("GET", "/", _length)) as client:
        get, head = await client.get("/"), await client.head("/")
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_head_is_refused_where_there_is_no_get_or_the_surface_does_not_answer_it() -> None:
    async with _client(Row("POST", "/", _length)) as client:
        assert (await client.head("/")).status_code == 405
    app = Router(routes(Surface("test", _answer, _refuse, answers_head=False), [Row("GET", "/", _length)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.head("/")).status_code == 405
