"""Handles a request to the API: version, authentication, transaction, handler, response."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from coatcheck import errors
from coatcheck.api.authentication import basic, bearer
from coatcheck.api.errors import response_to
from coatcheck.api.request import ApiRequest, ApiResponse
from coatcheck.api.routes.route import Caller, Route
from coatcheck.api.routes.table import ROUTES
from coatcheck.api.schemas.encoding import encode
from coatcheck.api.versions import Version, choose
from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.grants.secrets import Kind
from coatcheck.http.endpoint import Surface, read_body, routes
from coatcheck.http.headers import NO_STORE

MAX_BODY_BYTES = 256 * 1024
CHALLENGES = {Caller.CLIENT: "Basic", Caller.PROCESSOR: "Basic", Caller.TOKEN: "Bearer"}
KEYS = {Caller.CLIENT: Kind.CLIENT_KEY, Caller.PROCESSOR: Kind.PROCESSOR_KEY}


def api_routes(services: Services, table: Iterable[Route] = ROUTES) -> list[StarletteRoute]:
    """The table as Starlette routes, one for each path, in the table's order."""
    return routes(Surface[Route]("api", partial(_answer, services), _refuse), table)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request for a path that no surface serves."""
    await response_to(errors.NotFound())(scope, receive, send)


async def _answer(services: Services, route: Route, request: Request) -> Response:
    version, media_type = choose(request.headers.get("accept"), request.headers.get("accept-version"))
    if version not in route.versions:
        raise errors.NotFound
    answer = await _handle(services, route, version, request)
    headers = {**NO_STORE, **dict(answer.headers)}
    if answer.status == 204:
        return Response(status_code=204, headers={**headers, "Content-Length": "0"})
    return Response(answer.body, answer.status, headers, answer.media_type or media_type)


async def _handle(services: Services, route: Route, version: Version, request: Request) -> ApiResponse:
    body = await read_body(request, MAX_BODY_BYTES)
    authorization = request.headers.getlist("authorization")
    presented = credentials = client = None
    # Before a connection is taken from the pool: malformed credentials must not use one.
    match route.caller:
        case Caller.TOKEN:
            presented = services.access.parse_token(bearer(authorization, request.scope["query_string"]))
        case Caller.PROCESSOR | Caller.CLIENT:
            credentials = basic(authorization, KEYS[route.caller])
    open_: Callable[[], AbstractAsyncContextManager[Connection]] = (
        services.db.transaction if route.runs_in_transaction else services.db.connection
    )
    async with open_() as connection:
        if route.caller is Caller.CLIENT and credentials is not None:
            client = await services.api_keys.client(connection, credentials.id, credentials.api_key)
        answer = await route.handler(
            ApiRequest(
                services=services,
                version=version,
                connection=connection,
                path=request.path_params,
                query_string=request.scope["query_string"],
                headers=request.headers,
                body=body,
                client_or_none=client,
                bearer_or_none=presented,
                basic_or_none=credentials,
            )
        )
    match answer:
        case None:
            return ApiResponse(204)
        case ApiResponse():
            return answer
    return ApiResponse(route.status, encode(answer))


def _refuse(error: errors.CoatcheckError, route: Route | None) -> Response:
    return response_to(error, challenges=CHALLENGES.get(route.caller) if route else None)
