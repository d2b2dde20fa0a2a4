"""Handles a request to the API: version, authentication, transaction, handler, response."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from coatcheck import errors
from coatcheck.api.request import ApiRequest
from coatcheck.api.routes.route import Route
from coatcheck.api.routes.table import ROUTES
from coatcheck.api.versions import Version, choose
from coatcheck.app import Services
from coatcheck.db.database import NO_CONNECTION, Connection
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.grants.secrets import Kind
from coatcheck.http.authentication import basic, refuse_token_in_form
from coatcheck.http.bodies import BodyReader, is_form
from coatcheck.http.encoding import encode
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.envelope import response_to
from coatcheck.http.headers import NO_STORE
from coatcheck.http.key_use import USED_KEY
from coatcheck.http.request import BasicCredentials, CompleteResponse
from coatcheck.http.route import Caller
from coatcheck.http.sender_proofs import read_token
from coatcheck.members.oauth_windows import PreparedWindow
from coatcheck.model.clients import Client

MAX_BODY_BYTES = 256 * 1024
KEYS = {Caller.CLIENT: Kind.CLIENT_KEY, Caller.PROCESSOR: Kind.PROCESSOR_KEY}


def api_routes(services: Services, table: Iterable[Route] = ROUTES) -> list[StarletteRoute]:
    """The table as Starlette routes, one for each path, in the table's order."""
    return routes(Surface[Route]("api", partial(_answer, services), _refuse), table)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request for a path that no surface serves."""
    await response_to(errors.NotFound())(scope, receive, send)


async def _answer(services: Services, route: Route, request: Request) -> Response:
    headers = request.headers
    # Several headers mean the same as one with all their values (RFC 9110 5.3).
    version, media_type = choose(", ".join(headers.getlist("accept")), headers.get("accept-version"))
    # An endpoint of one version does not exist in the other.
    if version not in route.versions:
        raise errors.NotFound
    answer = await _handle(services, route, version, request)
    if answer.chunks is not None:
        return StreamingResponse(answer.chunks, answer.status, NO_STORE, media_type)
    own = {**NO_STORE, **dict(answer.headers)}
    if answer.status == 204:
        return Response(status_code=204, headers=own)
    return Response(answer.body, answer.status, own, answer.media_type or media_type)


@dataclass(slots=True)
class _Incoming:
    """A request whose body and credentials were read; nothing is verified yet."""

    services: Services
    route: Route
    version: Version
    request: Request
    body: bytes = field(repr=False)
    presented: PresentedToken | None
    credentials: BasicCredentials | None

    async def authenticated(self, connection: Connection, window: PreparedWindow | None = None) -> ApiRequest:
        """The request as a handler sees it.

        Raises:
            InvalidClient: the route is for clients, and the caller is none.
        """
        client = None
        if self.route.caller is Caller.CLIENT and self.credentials is not None:
            client = await self.services.api_keys.client(
                connection, self.credentials.id, self.credentials.api_key
            )
        return self.unverified(connection, client, window)

    def unverified(
        self,
        connection: Connection = NO_CONNECTION,
        client: Client | None = None,
        window: PreparedWindow | None = None,
    ) -> ApiRequest:
        """The request for a handler whose own statement verifies the caller."""
        return ApiRequest(
            services=self.services,
            version=self.version,
            connection=connection,
            path=self.request.path_params,
            query_string=self.request.scope["query_string"],
            headers=self.request.headers,
            body=self.body,
            client_or_none=client,
            bearer_or_none=self.presented,
            basic_or_none=self.credentials,
            prepared_window=window,
        )


async def _handle(services: Services, route: Route, version: Version, request: Request) -> CompleteResponse:
    reader = BodyReader(request, MAX_BODY_BYTES)
    authorization = request.headers.getlist("authorization")
    presented = credentials = None
    # Before a connection is taken from the pool: malformed credentials must not use one.
    match route.caller:
        case Caller.TOKEN:
            # Before the header is missed: a caller that knows RFC 6750 2.2 sends none.
            if is_form(request.headers) and await reader.read_arrived():
                refuse_token_in_form(await reader.read())
            presented = read_token(services, request)
        case Caller.PROCESSOR | Caller.CLIENT:
            credentials = basic(authorization, KEYS[route.caller])
            request.scope[USED_KEY] = credentials.api_key
    if not await reader.read_arrived() and credentials is not None:
        # A caller that is not authenticated must not occupy memory and time with a body that is still to come.
        await _authenticate(services, route.caller, credentials)
    incoming = _Incoming(services, route, version, request, await reader.read(), presented, credentials)
    if not route.needs_connection:
        return _complete(route, await _without_connection(incoming))
    window = None
    if route.signs_in_at is not None:
        async with services.db.connection() as connection:
            place = await route.signs_in_at(await incoming.authenticated(connection))
        window = await services.oauth.prepare_window(place) if place else None
    open_: Callable[..., AbstractAsyncContextManager[Connection]] = (
        services.db.transaction if route.runs_in_transaction else services.db.connection
    )
    if presented is not None:
        # Before the transaction: what the handler refuses is rolled back, and the proof stays used.
        await services.access.mark_proof(presented)
    # Slow requests of clients must not keep processors from redeeming their codes, which expire.
    async with open_(is_reserved=route.caller is Caller.PROCESSOR) as connection:
        answer = await route.handler(await incoming.authenticated(connection, window))
    return _complete(route, answer)


async def _without_connection(incoming: _Incoming) -> Struct | CompleteResponse | None:
    """The answer of a handler whose own statement verifies the caller."""
    try:
        return await incoming.route.handler(incoming.unverified())
    except errors.InvalidRequest:
        # Raised before that statement. A caller that is not authenticated is told so first, as on every other route.
        if incoming.route.caller is Caller.CLIENT and incoming.credentials is not None:
            await _authenticate(incoming.services, Caller.CLIENT, incoming.credentials)
        raise


async def _authenticate(services: Services, caller: Caller, credentials: BasicCredentials) -> None:
    is_processor = caller is Caller.PROCESSOR
    verify = services.api_keys.processor if is_processor else services.api_keys.client
    async with services.db.connection(is_reserved=is_processor) as connection:
        await verify(connection, credentials.id, credentials.api_key)


def _complete(route: Route, answer: Struct | CompleteResponse | None) -> CompleteResponse:
    match answer:
        case None:
            return CompleteResponse(204)
        case CompleteResponse():
            return answer
    return CompleteResponse(route.status, encode(answer))


def _refuse(error: errors.CoatcheckError, route: Route | None) -> Response:
    return route.refuse(error) if route else response_to(error)
