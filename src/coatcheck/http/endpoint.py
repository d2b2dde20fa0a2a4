"""The handling of requests that all surfaces share: methods, size limits, errors and unknown exceptions.

routes(surface, table) -> one Starlette route for each path
request -> method -> surface.answer -> response
|-> a CoatcheckError -> surface.refuse -> response
|-> no answer by the deadline -> refused with 503
`-> another exception -> logged by type and line, refused with 500
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, Protocol, TypeVar

import psycopg
import structlog
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from coatcheck import errors, ids, metrics, tracing
from coatcheck.deadline import seconds_left, within
from coatcheck.http.bodies import is_unread
from coatcheck.http.errors import status_of
from coatcheck.http.throttling import throttled
from coatcheck.request_context import RequestContext, canonical_address, current_request

log = structlog.get_logger(__name__)


DEADLINE_MARGIN = 0.5
"""Seconds. The database keeps the deadline itself and closes the connection, which is better than a cancellation:
psycopg would ask the server to cancel the statement, and wait for it."""


FOLLOWS = "coatcheck.follows_moves"
"""The key of the ASGI scope that is set if the request can be repeated in the cell to which its user has moved."""


class Row(Protocol):
    """One row of a surface's table of routes."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def operation(self) -> str:
        """Its name in the log."""

    @property
    def has_deadline(self) -> bool:
        """Whether the deadline of the request applies to it."""


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True)
class Surface(Generic[RowT]):
    """The functions of one surface."""

    name: str
    """The name in the log."""
    answer: Callable[[RowT, Request], Awaitable[Response]]
    """Handles a request. It raises a `CoatcheckError` to refuse the request."""
    refuse: Callable[[errors.CoatcheckError, RowT | None], Response]
    """The response to an error. The row is None if the path does not have the method."""
    answers_head: bool = True
    """Whether HEAD is answered as GET without the body (RFC 9110 9.3.2). Not where opening a page uses its link up:
    programs that preview links send HEAD."""


def routes(
    surface: Surface[RowT], table: Iterable[RowT], *, prefix: str = "", middleware: Sequence[Middleware] = ()
) -> list[Route]:
    """The table as Starlette routes below `prefix`: one for each path, in the order of the table."""
    paths: dict[str, dict[str, RowT]] = {}
    for row in table:
        paths.setdefault(row.path, {})[row.method] = row
    if surface.answers_head:
        for methods in paths.values():
            if "GET" in methods:
                methods.setdefault("HEAD", methods["GET"])
    return [
        Route(prefix + path, Endpoint(surface, methods), middleware=middleware)
        for path, methods in paths.items()
    ]


class Endpoint(Generic[RowT]):
    """The ASGI application of one path, with the row of each method."""

    def __init__(self, surface: Surface[RowT], methods: Mapping[str, RowT]) -> None:
        self._surface = surface
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        row = self._methods.get(scope["method"])
        client = scope.get("client")
        started = perf_counter()
        context = RequestContext(ids.new("REQ"), canonical_address(client[0]) if client else None)
        # Never reset: the server runs each request in a task of its own, with a context of its own.
        current_request.set(context)
        operation = row.operation if row else "none"
        with tracing.span(f"{self._surface.name} {operation}", {"request_id": context.request_id}) as span:
            request = Request(scope, receive)
            response = await self._respond(row, request)
            if span is not None:
                span.set_attribute("http.response.status_code", response.status_code)
        response.raw_headers.append((b"x-request-id", context.request_id.encode()))
        if response.status_code >= 400 and is_unread(request, scope):
            response.headers["Connection"] = "close"
        # Before it is sent: how fast the receiver reads says nothing about the server.
        metrics.count_request(self._surface.name, operation, response.status_code, perf_counter() - started)
        # A long answer is streamed; each of its statements has a deadline of its own.
        with within(None):
            await response(scope, receive, _without_body(send) if scope["method"] == "HEAD" else send)

    async def _respond(self, row: RowT | None, request: Request) -> Response:
        try:
            if row is None:
                raise errors.MethodNotAllowed(tuple(self._methods))
            if not row.has_deadline:
                with within(None):
                    return await self._surface.answer(row, request)
            async with asyncio.timeout(_seconds_left()):
                return await self._surface.answer(row, request)
        except TimeoutError:
            error = errors.Unavailable(detail="deadline")
            self._log_refusal(error, row)
            return self._surface.refuse(error, row)
        except errors.CoatcheckError as error:
            if isinstance(error, errors.UserMoving) and FOLLOWS in request.scope:
                raise
            self._log_refusal(error, row)
            # With nonces, the first request of every client is refused (RFC 9449 8).
            if isinstance(error, errors.Unauthenticated) and not isinstance(error, errors.DPoPNonceRequired):
                metrics.FAILED_AUTHENTICATIONS.labels(self._surface.name).inc()
            return self._surface.refuse(await throttled(error, request.scope), row)
        except psycopg.DataError as error:
            # Text that PostgreSQL cannot store, such as a NUL character in a path. Logged all the same: a value that
            # this program computed wrongly looks alike to the caller.
            refusal = errors.InvalidRequest(detail=f"{type(error).__name__} at {_place_of(error)}")
            self._log_refusal(refusal, row)
            return self._surface.refuse(refusal, row)
        except Exception as error:  # noqa: BLE001 (an unknown exception must not disclose its message)
            self._log_failure(error, row)
            return self._surface.refuse(errors.CoatcheckError(), row)

    def _log_refusal(self, error: errors.CoatcheckError, row: RowT | None) -> None:
        if error.detail or status_of(error) >= 500:
            log.warning(
                "request.refused",
                surface=self._surface.name,
                operation=row.operation if row else None,
                request_id=current_request.get().request_id,
                error=type(error).__name__,
                detail=error.detail,
            )

    def _log_failure(self, error: Exception, row: RowT | None) -> None:
        """Logs only the type and the line of the error, because its message and its traceback may contain secrets."""
        log.error(
            "request.failed",
            surface=self._surface.name,
            operation=row.operation if row else None,
            request_id=current_request.get().request_id,
            error=type(error).__name__,
            place=_place_of(error),
        )


def _place_of(error: Exception) -> str:
    """The file and the line that raised the error."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{place.filename}:{place.lineno}"


def _seconds_left() -> float | None:
    """How long the request may wait for anything else than the database."""
    left = seconds_left()
    return None if left is None else left + DEADLINE_MARGIN


def _without_body(send: Send) -> Send:
    """Sends the head of an answer alone."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
