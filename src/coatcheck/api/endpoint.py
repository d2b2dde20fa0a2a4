"""The API's one door: version -> caller -> transaction -> handler -> reply."""

import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager

import psycopg
import structlog
from starlette.datastructures import Headers
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from coatcheck import errors
from coatcheck.api.authentication import basic, bearer
from coatcheck.api.errors import response_to
from coatcheck.api.presenter import Presenter
from coatcheck.api.request import ApiRequest, ApiResponse
from coatcheck.api.routes import ROUTES, Caller, Route
from coatcheck.api.versions import choose
from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.grants.secrets import Kind

MAX_BODY_BYTES = 256 * 1024
CHALLENGES = {Caller.CLIENT: "Basic", Caller.PROCESSOR: "Basic", Caller.TOKEN: "Bearer"}
KEYS = {Caller.CLIENT: Kind.CLIENT_KEY, Caller.PROCESSOR: Kind.PROCESSOR_KEY}
JSON = "application/json; charset=utf-8"

log = structlog.get_logger(__name__)


def api_routes(services: Services, table: Iterable[Route] = ROUTES) -> list[StarletteRoute]:
    """The table as Starlette routes, one for each path, in the table's order."""
    ordered: dict[str, dict[str, Route]] = {}
    for route in table:
        ordered.setdefault(route.path, {})[route.method] = route
    return [StarletteRoute(path, Operation(services, methods)) for path, methods in ordered.items()]


class NotHere:
    """The answer for a path that is not in the table."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _send(send, response_to(errors.NotFound()), JSON)


class Operation:
    """One path of the table, with the handler of each method."""

    def __init__(self, services: Services, methods: Mapping[str, Route]) -> None:
        self._services = services
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        route = self._methods.get(scope["method"])
        media_type = JSON
        try:
            if route is None:
                raise errors.MethodNotAllowed(tuple(self._methods))
            presenter, media_type = choose(headers.get("accept"), headers.get("accept-version"))
            if presenter.version not in route.versions:
                raise errors.NotFound
            body = await _read_body(headers, receive)
            response = await self._handle(route, presenter, scope, headers, body)
        except errors.CoatcheckError as error:
            if not isinstance(error, errors.Refusal) or error.detail:
                log.warning(
                    "request.refused",
                    operation=route.operation if route else None,
                    error=type(error).__name__,
                    detail=error.detail,
                )
            response = response_to(error, challenges=CHALLENGES.get(route.caller) if route else None)
        except psycopg.DataError:
            # Text that PostgreSQL cannot keep, such as a NUL character in a path.
            response = response_to(errors.InvalidRequest())
        except Exception as error:  # noqa: BLE001 (the last net: an unknown failure says nothing to the caller)
            # Its name and place only: a message or a traceback's locals may hold what must not be logged.
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error(  # noqa: TRY400
                "request.failed",
                operation=route.operation if route else None,
                error=type(error).__name__,
                place=f"{place.filename}:{place.lineno}",
            )
            response = response_to(errors.CoatcheckError())
        await _send(send, response, media_type)

    async def _handle(
        self, route: Route, presenter: Presenter, scope: Scope, headers: Headers, body: bytes
    ) -> ApiResponse:
        services = self._services
        authorization = headers.getlist("authorization")
        presented = credentials = client = None
        match route.caller:
            case Caller.TOKEN:
                presented = services.issuer.present(bearer(authorization, scope["query_string"]))
            case Caller.PROCESSOR | Caller.CLIENT:
                credentials = basic(authorization, KEYS[route.caller])
        open_: Callable[[], AbstractAsyncContextManager[Connection]] = (
            services.db.transaction if route.in_transaction else services.db.connection
        )
        async with open_() as connection:
            if route.caller is Caller.CLIENT and credentials is not None:
                client = await services.api_keys.client(connection, credentials.id, credentials.api_key)
            request = ApiRequest(
                services=services,
                presenter=presenter,
                connection=connection,
                path=scope["path_params"],
                query_string=scope["query_string"],
                headers=headers,
                body=body,
                client_or_none=client,
                bearer_or_none=presented,
                basic_or_none=credentials,
            )
            answer = await route.handler(request)
        return answer if isinstance(answer, ApiResponse) else ApiResponse(route.status, answer)


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """The body, counted while it comes in, whatever Content-Length says."""
    declared = headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise errors.TooLarge
    if declared is None and "transfer-encoding" not in headers:
        return b""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.InvalidRequest("The request ended early.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise errors.TooLarge
        if not message.get("more_body", False):
            return bytes(body)


async def _send(send: Send, response: ApiResponse, media_type: str) -> None:
    headers = [
        (b"content-length", str(len(response.body)).encode()),
        (b"cache-control", b"no-store"),
        (b"pragma", b"no-cache"),
        (b"x-content-type-options", b"nosniff"),
        *((name.lower().encode(), value.encode("latin-1")) for name, value in response.headers),
    ]
    if response.status != 204:
        headers.append((b"content-type", (response.media_type or media_type).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body if response.status != 204 else b""})
