"""Handles a request to the OAuth endpoints."""

from collections.abc import Iterable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from coatcheck import errors
from coatcheck.app import Services
from coatcheck.db.database import NO_CONNECTION
from coatcheck.grants.client_certificates import read_certificate
from coatcheck.grants.processor_authentication import PresentedKey
from coatcheck.http.bodies import read_body
from coatcheck.http.client_certificates import client_certificate
from coatcheck.http.encoding import JSON, encode
from coatcheck.http.endpoint import Surface, routes
from coatcheck.http.headers import NO_STORE
from coatcheck.http.key_use import USED_KEY
from coatcheck.http.request import CompleteResponse
from coatcheck.http.route import Caller
from coatcheck.http.sender_proofs import read_proof
from coatcheck.oauth_server.client_authentication import read_presented
from coatcheck.oauth_server.errors import oauth_error
from coatcheck.oauth_server.request import OAuthRequest, read_form
from coatcheck.oauth_server.routes import ROUTES, Route

MAX_BODY_BYTES = 64 * 1024


def oauth_routes(services: Services, table: Iterable[Route] = ROUTES) -> list[StarletteRoute]:
    """The table as Starlette routes, one for each path, in the table's order."""
    return routes(Surface[Route]("oauth_server", partial(_answer, services), _refuse), table)


async def _answer(services: Services, route: Route, request: Request) -> Response:
    incoming = await _read(services, route, request)
    if route.needs_connection:
        # Slow requests of clients must not keep processors from redeeming their codes, which expire.
        async with services.db.connection(is_reserved=True) as connection:
            answer = await route.handler(incoming(connection=connection))
    else:
        answer = await route.handler(incoming(connection=NO_CONNECTION))
    if isinstance(answer, CompleteResponse):
        headers = {**NO_STORE, **dict(answer.headers)}
        # JSON also without a body: simple-oauth2 refuses the answer to a revocation otherwise.
        return Response(answer.body, answer.status, headers, answer.media_type or JSON)
    return Response(encode(answer), route.status, NO_STORE, JSON)


async def _read(services: Services, route: Route, request: Request) -> partial[OAuthRequest]:
    """The request, which lacks only its connection: what is malformed must not use one."""
    body = await read_body(request, MAX_BODY_BYTES)
    endpoint = f"{services.settings.base_url}{route.path}"
    incoming = partial(
        OAuthRequest,
        services=services,
        path=request.path_params,
        query_string=request.scope["query_string"],
        headers=request.headers,
        body=body,
        endpoint=endpoint,
    )
    if route.caller is Caller.ANYONE:
        return partial(incoming, form={})
    form = read_form(request, body)
    pem = client_certificate(request.scope)
    certificate = read_certificate(pem) if pem else None
    presented = read_presented(request.headers.getlist("authorization"), form, certificate)
    if isinstance(presented, PresentedKey):
        request.scope[USED_KEY] = presented.api_key
    return partial(
        incoming,
        form=form,
        certificate=certificate,
        presented_or_none=presented,
        proof=read_proof(services, request, endpoint) if route.reads_proof else None,
    )


def _refuse(error: errors.CoatcheckError, _route: Route | None) -> Response:
    return oauth_error(error)
