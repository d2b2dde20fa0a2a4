"""Handles a request to the SimpleFIN server."""

from collections.abc import Iterable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from coatcheck.app import Services
from coatcheck.db.database import NO_CONNECTION
from coatcheck.errors import CoatcheckError
from coatcheck.http.encoding import JSON, encode
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.headers import NO_STORE
from coatcheck.http.request import CompleteResponse
from coatcheck.http.route import Caller
from coatcheck.http.throttling import credentials
from coatcheck.simplefin.errors import simplefin_error
from coatcheck.simplefin.request import SimplefinRequest
from coatcheck.simplefin.routes import ROUTES, Route


def simplefin_routes(services: Services, table: Iterable[Route] = ROUTES) -> list[StarletteRoute]:
    """The table as Starlette routes, one for each path, in the table's order."""
    return routes(Surface[Route]("simplefin", partial(_answer, services), _refuse), table)


async def _answer(services: Services, route: Route, request: Request) -> Response:
    # The body of a claim is empty, whatever is sent.
    access_guid, app_key = credentials(request.headers) if route.caller is Caller.APP else ("", "")
    incoming = partial(
        SimplefinRequest,
        services=services,
        path=request.path_params,
        query_string=request.scope["query_string"],
        headers=request.headers,
        body=b"",
        access_guid=access_guid,
        app_key=app_key,
    )
    if route.runs_in_transaction:
        # A claim is an exchange: slow requests of clients must not keep it from a connection.
        async with services.db.transaction(is_reserved=True) as connection:
            answer = await route.handler(incoming(connection=connection))
    else:
        # The reads are coalesced, and take connections of their own.
        answer = await route.handler(incoming(connection=NO_CONNECTION))
    if isinstance(answer, CompleteResponse):
        return Response(answer.body, answer.status, {**NO_STORE, **dict(answer.headers)}, answer.media_type)
    return Response(encode(answer), route.status, NO_STORE, JSON)


def _refuse(error: CoatcheckError, route: Route | None) -> Response:
    return route.refuse(error) if route else simplefin_error(error)
