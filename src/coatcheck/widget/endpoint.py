"""The handling of requests to the widget's API: body, transaction, session, handler, response."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coatcheck import errors
from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.http.bodies import BodyReader
from coatcheck.http.compression import COMPRESSED
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.errors import headers_of, message_of, nearest, status_of
from coatcheck.http.headers import Policy, page_headers
from coatcheck.members.oauth_windows import SignInPlace
from coatcheck.widget.request import Prepared, SentFile, WidgetRequest
from coatcheck.widget.schemas import Answer, ErrorAnswer, Problem

PREFIX = "/md/api"
SESSION = "x-widget-session"
MAX_BODY_BYTES = 64 * 1024
HEADERS = page_headers(Policy.DATA)
TYPES: Mapping[type[errors.CoatcheckError], str] = MappingProxyType(
    {
        errors.JobNotSupported: "job_not_supported",
        errors.InstitutionRefused: "institution_refused",
        errors.InvalidRequest: "invalid_request",
        errors.InvalidToken: "session_over",
        errors.ConsentRequired: "consent_required",
        errors.UserDisabled: "user_disabled",
        errors.NotFound: "not_found",
        errors.MethodNotAllowed: "method_not_allowed",
        errors.DuplicateMember: "duplicate_member",
        errors.DuplicateMicroDeposit: "duplicate_micro_deposit",
        errors.JobRunning: "job_running",
        errors.ConstraintNotMet: "constraint_not_met",
        errors.Conflict: "conflict",
        errors.UnreadableFile: "unreadable_file",
        errors.TooLarge: "content_too_large",
        errors.EncodedBody: "unsupported_media_type",
        errors.RequestTimeout: "request_timeout",
        errors.TooManyRequests: "too_many_requests",
        errors.Unavailable: "unavailable",
    }
)

Handler: TypeAlias = Callable[[WidgetRequest], Awaitable[Answer | None]]
SignsInAt: TypeAlias = Callable[[WidgetRequest], Awaitable[SignInPlace | None]]
"""Where the sign-in page is that the request opens; None for none."""
FileOf: TypeAlias = Callable[[WidgetRequest], Awaitable[SentFile]]


@dataclass(frozen=True, slots=True)
class WidgetRoute:
    """One row of the table of routes."""

    method: str
    path: str
    """Below `/md/api`."""
    handler: Handler
    status: int = 200
    has_deadline: bool = True
    signs_in_at: SignsInAt | None = None
    """Runs first. The institution that it names is asked outside of any transaction, before the handler runs."""
    file_of: FileOf | None = None
    """Runs first. The file that it returns is read outside of any transaction, before the handler runs."""
    max_body_bytes: int = MAX_BODY_BYTES
    body_deadline: float | None = None
    """The seconds in which the body must arrive. None: the setting `body_deadline`."""

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"


def api_routes(services: Services, table: tuple[WidgetRoute, ...]) -> list[Route]:
    """The table as Starlette routes, one for each path."""
    return routes(
        Surface[WidgetRoute]("widget", partial(_answer, services), _refuse, answers_head=False),
        table,
        prefix=PREFIX,
        middleware=COMPRESSED,
    )


async def _answer(services: Services, route: WidgetRoute, request: Request) -> Response:
    reader = BodyReader(request, route.max_body_bytes, route.body_deadline)
    if not await reader.read_arrived():
        # A page without a session must not occupy memory and time with a body that is still to come.
        async with services.db.connection() as connection:
            await services.widget_sessions.find(connection, request.headers.get(SESSION, ""))
    # Before the transaction: a slow client must not occupy a database connection.
    body = await reader.read()
    read = partial(_read, services, request, body)
    prepared = Prepared()
    if route.signs_in_at is not None:
        async with services.db.connection() as connection:
            place = await route.signs_in_at(await read(connection))
        prepared = Prepared(window=await services.oauth.prepare_window(place) if place else None)
    if route.file_of is not None:
        async with services.db.connection() as connection:
            sent = await route.file_of(await read(connection))
        prepared = Prepared(file=await services.imports.read(sent.user, sent.data, sent.mapping))
    # It looks the session up again: it can end while an institution answers or a file is read.
    async with services.db.transaction() as connection:
        answer = await route.handler(await read(connection, prepared))
    if answer is None:
        return Response(status_code=204, headers=HEADERS)
    return _json(route.status, answer)


async def _read(
    services: Services,
    request: Request,
    body: bytes,
    connection: Connection,
    prepared: Prepared | None = None,
) -> WidgetRequest:
    """The request as a handler sees it.

    Raises:
        InvalidToken: it has no valid session.
    """
    return WidgetRequest(
        services=services,
        connection=connection,
        session=await services.widget_sessions.find(connection, request.headers.get(SESSION, "")),
        path=request.path_params,
        query=request.query_params,
        content_type=request.headers.get("content-type", ""),
        body=body,
        prepared=prepared or Prepared(),
    )


def _refuse(error: errors.CoatcheckError, _route: WidgetRoute | None) -> Response:
    problem = Problem(message=message_of(error), type=nearest(TYPES, error, "internal_error"))
    answer = ErrorAnswer(error=problem, guid=_existing(error))
    if isinstance(error, errors.UnreadableFile):
        answer = ErrorAnswer(error=problem, line=error.line, element=error.element, columns=error.columns)
    response = _json(status_of(error), answer)
    response.headers.update(headers_of(error))
    return response


def _existing(error: errors.CoatcheckError) -> str | None:
    """The guid of the object that exists already, which is the user's own."""
    match error:
        case errors.DuplicateMember():
            return error.member_guid
        case errors.DuplicateMicroDeposit():
            return error.guid
        case _:
            return None


def _json(status: int, answer: Answer) -> Response:
    return Response(msgspec.json.encode(answer), status, HEADERS, "application/json; charset=utf-8")
