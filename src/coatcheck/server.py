"""The web process: every surface on one port.

Requests are not logged: a query string may contain a code. The audit log has what a request changed.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from typing import Any, cast

import uvicorn
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from coatcheck.api.endpoint import api_routes, not_found
from coatcheck.api.routes import table as api
from coatcheck.app import Services, build
from coatcheck.audit.failures import FailedAuthentications
from coatcheck.cells.cell import Cell
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.dashboard.app import dashboard_routes
from coatcheck.errors import CoatcheckError
from coatcheck.http.cell_routing import CellRouting, ServedCell
from coatcheck.http.client_certificates import ClientCertificates, parse_networks
from coatcheck.http.design import design_route
from coatcheck.http.documentation import page_routes
from coatcheck.http.envelope import error_response, response_to
from coatcheck.http.head_limits import HeadLimits
from coatcheck.http.key_use import KeyUseNotes
from coatcheck.http.listening import BACKLOG
from coatcheck.http.openapi import AnyGroup
from coatcheck.http.request_deadline import RequestDeadline
from coatcheck.http.route import Group
from coatcheck.http.seeded_requests import SeededRequests
from coatcheck.http.throttling import Throttling
from coatcheck.http.trailers import ForwardedTrailers
from coatcheck.management.endpoint import management_routes
from coatcheck.management.routes import table as management
from coatcheck.management.routes.route import Route
from coatcheck.oauth_server import routes as oauth_server
from coatcheck.oauth_server.endpoint import oauth_routes
from coatcheck.oauth_server.errors import oauth_error, oauth_error_of_status
from coatcheck.portal.app import portal_routes
from coatcheck.simplefin import routes as simplefin
from coatcheck.simplefin.endpoint import simplefin_routes
from coatcheck.simplefin.errors import ROOT as SIMPLEFIN
from coatcheck.simplefin.errors import error_at, error_of_status
from coatcheck.vault.keys import read_keyring
from coatcheck.vault.master_keys import MasterKeys
from coatcheck.widget.app import widget_routes

__all__ = ["behind_proxies", "create_app", "headers_of_all", "serve"]

KEEP_ALIVE = timedelta(seconds=75)
"""How long an idle connection stays open. Longer than in proxies and client pools: a client that closes first never
sends a request into a connection that the server is closing."""

GROUPS: tuple[AnyGroup, ...] = (*api.GROUPS, *oauth_server.GROUPS, *simplefin.GROUPS, *management.GROUPS)
"""The endpoints that the OpenAPI document and the reference list, of all surfaces."""

OAUTH_PATHS = frozenset(route.path for route in oauth_server.ROUTES)


def sandbox_groups(settings: Settings) -> Sequence[Group[Route]]:
    """The endpoints of a sandbox; none in production, which does not load the emulator either."""
    if not settings.sandbox:
        return ()
    return (import_module("coatcheck.management.routes.sandbox").SANDBOX,)


def create_app(services: Services, of_cells: Mapping[str, Services] | None = None) -> ASGIApp:
    """Every surface, the documentation, and the pages of each connector below `/banks/<name>`.

    Args:
        services: of the cell that answers.
        of_cells: those of all cells, by their digits. None: there is one.
    """
    banks: Sequence[BaseRoute] = [
        Mount(f"/banks/{connector.name}", app=pages)
        for connector in services.registry.connectors
        if (pages := connector.pages) is not None
    ]
    sandbox = sandbox_groups(services.settings)
    routes = [
        *api_routes(services),
        *management_routes(
            services, [*management.ROUTES, *(route for group in sandbox for route in group.routes)]
        ),
        *oauth_routes(services),
        *simplefin_routes(services),
        *page_routes(services, (*GROUPS, *sandbox)),
        design_route(),
        *widget_routes(services),
        *portal_routes(services, of_cells or {services.settings.cell: services}),
        *dashboard_routes(services),
        *banks,
        *_inspector(services.settings),
        *_fdx_bank(services),
    ]
    # A redirect to the path with a slash would have the query string in it, which may contain a code.
    router = Router(routes, redirect_slashes=False, default=not_found)
    # The deadline is outermost: it counts from the arrival. The head is limited before the throttle reads it.
    failures = FailedAuthentications(services.clock, services.db, services.journal)
    throttled = Throttling(router, services.rate_limits, failures, _error_of)
    limited = HeadLimits(throttled, services.settings.body_deadline, _error_of)
    app: ASGIApp = RequestDeadline(limited, services.settings.request_deadline)
    app = KeyUseNotes(app, services.clock, services.key_uses)
    if services.seeding.has_seed:
        app = SeededRequests(app, services.seeding)
    return _of_sandbox(app, services.clock) if services.settings.sandbox else app


@asynccontextmanager
async def open_app(services: Services) -> AsyncIterator[ASGIApp]:
    """The application of these services and, if the settings name other cells, of those.

    Raises:
        As `app.build`, for each of the other cells.
    """
    settings = services.settings
    if not settings.cells:
        yield create_app(services)
        return
    async with AsyncExitStack() as stack:
        of_cells = {settings.cell: services}
        for digit, url in settings.cells.items():
            of_cell = replace(settings, cell=digit, database_url=url, cells={})
            of_cells[digit] = await stack.enter_async_context(build(of_cell, services.clock))
        async with services.db.connection() as connection:
            keyring = await read_keyring(connection, MasterKeys.load(settings))
        served = {
            digit: ServedCell(Cell(digit, each.db), create_app(each, of_cells))
            for digit, each in of_cells.items()
        }
        yield CellRouting(served, keyring.hash_key, body_seconds=settings.body_deadline.total_seconds())


def _fdx_bank(services: Services) -> Sequence[BaseRoute]:
    """The FDX bank of a sandbox; no routes in production, which does not load the emulator either."""
    if not services.settings.sandbox:
        return ()
    routes: Sequence[BaseRoute] = import_module("coatcheck.emulator.fdx_bank.app").fdx_bank_routes(services)
    return routes


def _inspector(settings: Settings) -> Sequence[BaseRoute]:
    """The page of a sandbox at `/`."""
    if not settings.sandbox:
        return ()
    routes: Sequence[BaseRoute] = import_module("coatcheck.emulator.inspector_page").inspector_routes()
    return routes


def _of_sandbox(app: ASGIApp, clock: Clock) -> ASGIApp:
    """The application of a sandbox, which answers with the faults that a client orders, and logs its requests."""
    emulator = import_module("coatcheck.emulator.faults")
    faults = emulator.Faults((route.method, route.path) for group in GROUPS for route in group.routes)
    request_log = import_module("coatcheck.emulator.request_log")
    logged: ASGIApp = request_log.RequestLogging(emulator.FaultInjection(app, faults, _fault_at), clock)
    return logged


def _fault_at(path: str, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """The response to a request that a sandbox answers with an error that was ordered."""
    if path.startswith(f"{SIMPLEFIN}/"):
        return error_of_status(path, status, message, headers)
    format_ = oauth_error_of_status if path in OAUTH_PATHS else error_response
    return format_(status, message, headers)


def _error_of(error: CoatcheckError, path: str) -> Response:
    """The response to a request that is refused before it reaches its surface."""
    if path.startswith(f"{SIMPLEFIN}/"):
        return error_at(error, path)
    return oauth_error(error) if path in OAUTH_PATHS else response_to(error)


def behind_proxies(app: ASGIApp, trusted_proxies: str, *, reads_certificates: bool) -> ASGIApp:
    """The application as it sees requests that proxies forward.

    Args:
        app: the application.
        trusted_proxies: addresses and networks, separated by commas, whose X-Forwarded-For and -Proto headers are
            trusted.
        reads_certificates: whether their Client-Cert header is trusted too.

    Raises:
        ConfigurationError: `trusted_proxies` is not a list of addresses and networks.
    """
    networks = parse_networks(trusted_proxies)
    if networks:
        # The two frameworks have types of their own for the same interface.
        app = cast("ASGIApp", ProxyHeadersMiddleware(cast("Any", app), trusted_proxies))
    # Outside of them: it must see the address of the proxy, which the headers replace.
    app = ClientCertificates(app, networks if reads_certificates else ())
    return ForwardedTrailers(app, _error_of, reads_certificates=reads_certificates) if networks else app


def headers_of_all(settings: Settings) -> Sequence[tuple[str, str]]:
    """The headers of every answer, whatever answers it."""
    if not settings.hsts_max_age:
        return []
    return [("Strict-Transport-Security", f"max-age={int(settings.hsts_max_age.total_seconds())}")]


async def serve(
    app: ASGIApp,
    bound: socket.socket,
    stop: asyncio.Event,
    *,
    grace: timedelta,
    headers: Sequence[tuple[str, str]] = (),
) -> None:
    """Serves on `bound` until `stop` or a signal, then waits at most `grace` for running requests to end.

    In the main thread, uvicorn handles SIGINT and SIGTERM, and raises them again after it has stopped.

    Args:
        app: the application.
        bound: from `listen`; closed at the end.
        stop: the event that stops the server.
        grace: whole seconds.
        headers: of every answer.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=list(headers),
            # `behind_proxies` reads them, inside of `ClientCertificates`.
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=int(KEEP_ALIVE.total_seconds()),
            timeout_graceful_shutdown=int(grace.total_seconds()),
        )
    )
    stopping = asyncio.create_task(_stop(server, stop))
    try:
        await server.serve(sockets=[bound])
    finally:
        stopping.cancel()


async def _stop(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
