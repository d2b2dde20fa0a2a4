"""The one door of the page's questions: session -> transaction -> handler -> answer."""

import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import msgspec
import psycopg
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from coatcheck import errors
from coatcheck.app import Services
from coatcheck.widget.compression import compressed
from coatcheck.widget.request import WidgetRequest
from coatcheck.widget.schemas import Answer, Problem, Refused

PREFIX = "/md/api"
SESSION = "x-widget-session"
MAX_BODY_BYTES = 64 * 1024
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)
TYPES: Mapping[type[errors.CoatcheckError], tuple[int, str]] = MappingProxyType(
    {
        errors.JobNotSupported: (400, "job_not_supported"),
        errors.InvalidRequest: (400, "invalid_request"),
        errors.InvalidToken: (401, "session_over"),
        errors.ConsentRequired: (403, "consent_required"),
        errors.UserDisabled: (403, "user_disabled"),
        errors.NotFound: (404, "not_found"),
        errors.MethodNotAllowed: (405, "method_not_allowed"),
        errors.DuplicateMember: (409, "duplicate_member"),
        errors.DuplicateMicroDeposit: (409, "duplicate_micro_deposit"),
        errors.JobRunning: (409, "job_running"),
        errors.ConstraintNotMet: (409, "constraint_not_met"),
        errors.Conflict: (409, "conflict"),
        errors.TooLarge: (413, "content_too_large"),
        errors.TooManyRequests: (429, "too_many_requests"),
        errors.Unavailable: (503, "unavailable"),
    }
)
INTERNAL = (500, "internal_error")

Handler: TypeAlias = Callable[[WidgetRequest], Awaitable[Answer | None]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WidgetRoute:
    """One row of the table of routes."""

    method: str
    path: str
    handler: Handler
    status: int = 200


def api_routes(services: Services, table: tuple[WidgetRoute, ...]) -> list[BaseRoute]:
    """The table as Starlette routes, one for each path; what is not in it is nowhere."""
    paths: dict[str, dict[str, WidgetRoute]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method] = route
    return [Route(PREFIX + path, _Operation(services, methods)) for path, methods in paths.items()]


class _Operation:
    """One path of the table, with the handler of each method."""

    def __init__(self, services: Services, methods: Mapping[str, WidgetRoute]) -> None:
        self._services = services
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        route = self._methods.get(request.method)
        try:
            if route is None:
                raise errors.MethodNotAllowed(tuple(self._methods))
            answer = await self._ask(route, request)
        except errors.CoatcheckError as error:
            return _refusal(error)
        except psycopg.DataError:
            # Text that PostgreSQL cannot keep, such as a NUL character.
            return _refusal(errors.InvalidRequest())
        except Exception as error:  # noqa: BLE001 (the last net: an unknown failure says nothing to the page)
            # Its name and place only: a message or a traceback's locals may hold what was entered.
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error(  # noqa: TRY400
                "widget.failed",
                path=route.path if route else None,
                error=type(error).__name__,
                place=f"{place.filename}:{place.lineno}",
            )
            return _refusal(errors.CoatcheckError())
        if answer is None:
            return Response(status_code=204, headers=HEADERS)
        return compressed(request, _json(route.status, answer))

    async def _ask(self, route: WidgetRoute, request: Request) -> Answer | None:
        body = await _read_body(request)
        async with self._services.db.transaction() as connection:
            session = await self._services.widget_sessions.find(connection, request.headers.get(SESSION, ""))
            visit = WidgetRequest(
                services=self._services,
                connection=connection,
                session=session,
                path=request.path_params,
                query=request.query_params,
                body=body,
            )
            return await route.handler(visit)


async def _read_body(request: Request) -> bytes:
    """The body, counted while it comes in, whatever Content-Length says."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise errors.TooLarge
    except ClientDisconnect:
        raise errors.InvalidRequest("The request ended early.") from None
    return bytes(body)


def _refusal(error: errors.CoatcheckError) -> Response:
    status, kind = next((TYPES[cls] for cls in type(error).__mro__ if cls in TYPES), INTERNAL)
    if status >= 500:
        log.warning("widget.refused", error=type(error).__name__, detail=error.detail)
    problem = Problem(
        message="Something went wrong on our side." if status == 500 else error.problem, type=kind
    )
    response = _json(status, Refused(error=problem, guid=_existing(error)))
    match error:
        case errors.TooManyRequests() | errors.Unavailable():
            response.headers["Retry-After"] = str(max(1, int(error.retry_after.total_seconds())))
        case errors.MethodNotAllowed():
            response.headers["Allow"] = ", ".join(error.allowed)
    return response


def _existing(error: errors.CoatcheckError) -> str | None:
    """The guid of what stands in the way, which is the user's own."""
    match error:
        case errors.DuplicateMember():
            return error.member_guid
        case errors.DuplicateMicroDeposit():
            return error.guid
        case _:
            return None


def _json(status: int, answer: Answer) -> Response:
    return Response(msgspec.json.encode(answer), status, HEADERS, "application/json; charset=utf-8")
