"""Handles a request to the management API: authentication, strict query, body, transaction, handler, response."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as StarletteRoute

from coatcheck.app import Services
from coatcheck.errors import CoatcheckError, InvalidRequest
from coatcheck.grants.secrets import Kind
from coatcheck.http.authentication import basic
from coatcheck.http.bodies import read_body
from coatcheck.http.decoding import StrictSchema, parse
from coatcheck.http.encoding import JSON, encode
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.envelope import response_to
from coatcheck.http.headers import NO_STORE
from coatcheck.http.key_use import USED_KEY
from coatcheck.http.request import CompleteResponse
from coatcheck.http.route import Caller
from coatcheck.management.request import ManagementRequest
from coatcheck.management.routes.route import Route
from coatcheck.management.routes.table import ROUTES
from coatcheck.model.clients import Client, Processor


class NoFields(StrictSchema, frozen=True, kw_only=True):
    """The body of an endpoint that takes none: a field in it would be meant for something else."""


KEYS = {Caller.CLIENT: (Kind.CLIENT_KEY,), Caller.CLIENT_OR_PROCESSOR: (Kind.CLIENT_KEY, Kind.PROCESSOR_KEY)}


def management_routes(services: Services, table: Iterable[Route] = ROUTES) -> list[StarletteRoute]:
    """The table as Starlette routes, one for each path, in the table's order."""
    return routes(Surface[Route]("management", partial(_answer, services), _refuse), table)


async def _answer(services: Services, route: Route, request: Request) -> Response:
    # First, and without the body: a caller that is not authenticated must not occupy memory or a transaction.
    caller = await _authenticate(services, route, request)
    body = await read_body(request, route.max_body_bytes, route.body_deadline)
    open_: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext
    if route.needs_connection:
        open_ = services.db.transaction if route.runs_in_transaction else services.db.connection
    async with open_() as connection:
        incoming = ManagementRequest(
            services=services,
            connection=connection,
            path=request.path_params,
            query_string=request.scope["query_string"],
            headers=request.headers,
            body=body,
            client_or_none=caller if isinstance(caller, Client) else None,
            processor_or_none=caller if isinstance(caller, Processor) else None,
        )
        _refuse_unknown_parameters(route, incoming)
        if route.body is None and body:
            parse(body, NoFields)
        answer = await route.handler(incoming)
    match answer:
        case None:
            return Response(status_code=204, headers=NO_STORE)
        case CompleteResponse():
            headers = {**NO_STORE, **dict(answer.headers)}
            if answer.chunks is not None:
                return StreamingResponse(answer.chunks, answer.status, headers, answer.media_type or JSON)
            return Response(answer.body, answer.status, headers, answer.media_type or JSON)
    return Response(encode(answer), route.status, NO_STORE, JSON)


async def _authenticate(services: Services, route: Route, request: Request) -> Client | Processor | None:
    """The client or the processor of the request's HTTP Basic credentials; None for a route that anyone may call.

    Raises:
        InvalidClient: they are missing or wrong, or of a kind of caller that the route does not serve.
    """
    if route.caller is Caller.ANYONE:
        return None
    credentials = basic(request.headers.getlist("authorization"), *KEYS[route.caller])
    request.scope[USED_KEY] = credentials.api_key
    async with services.db.connection() as connection:
        if credentials.kind is Kind.PROCESSOR_KEY:
            return await services.api_keys.processor(connection, credentials.id, credentials.api_key)
        return await services.api_keys.client(connection, credentials.id, credentials.api_key)


def _refuse_unknown_parameters(route: Route, request: ManagementRequest) -> None:
    """A misspelt filter would select more than its author meant.

    Raises:
        InvalidRequest: a query parameter is not one of the route's, or is repeated.
    """
    known = {parameter.name for parameter in route.query}
    names = [name for name, _ in request.query]
    if unknown := next((name for name in names if name not in known), None):
        expected = f"Its parameters are {', '.join(sorted(known))}." if known else "It has no parameters."
        raise InvalidRequest(f"The query parameter `{unknown[:100]}` is unknown. {expected}")
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise InvalidRequest(f"The query parameter `{repeated}` is repeated.")


def _refuse(error: CoatcheckError, route: Route | None) -> Response:
    return route.refuse(error) if route else response_to(error)
