"""The web process: every face on one port, and the rules of the wire below them.

Access is not logged: a query string may hold a code. What a request led to is in the audit log.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httptools
import uvicorn
from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from coatcheck.api.documentation import page_routes
from coatcheck.api.endpoint import api_routes, not_found
from coatcheck.app import Services
from coatcheck.errors import ConfigurationError
from coatcheck.widget.app import widget_routes

__all__ = ["create_app", "listen", "serve"]

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; the parser itself would keep any amount."""
HEAD_TIMEOUT = timedelta(seconds=10)
"""For the head of a request to arrive."""
KEEP_ALIVE = timedelta(seconds=75)
"""An idle connection's life; longer than what proxies and client pools keep theirs, so that they close first."""
BACKLOG = 2048


def create_app(services: Services) -> ASGIApp:
    """The API at the root with its description, what end users see, and each bank's own pages below `/banks/<name>`."""
    banks: Sequence[BaseRoute] = [
        Mount(f"/banks/{connector.name}", app=connector.site)
        for connector in services.registry.connectors
        if connector.site is not None
    ]
    routes = [*api_routes(services), *page_routes(services), *widget_routes(services), *banks]
    return Router(routes, redirect_slashes=False, default=not_found)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes any free one.

    Raises:
        ConfigurationError: somebody else has the port, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"There is no address {host} to listen on: {error.strerror}.") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port."
        ) from error
    bound.setblocking(False)
    return bound


async def serve(
    app: ASGIApp, bound: socket.socket, stop: asyncio.Event, *, grace: timedelta, trusted_proxies: str = ""
) -> None:
    """Serves on `bound` until `stop`, then lets running requests end for at most `grace`.

    Args:
        app: what answers.
        bound: from `listen`; closed at the end.
        stop: set by whoever owns the process and its signals.
        grace: whole seconds.
        trusted_proxies: addresses whose X-Forwarded-For and -Proto are believed; nobody's by default.
    """
    config = uvicorn.Config(
        app,
        http=_GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies,
        backlog=BACKLOG,
        timeout_keep_alive=int(KEEP_ALIVE.total_seconds()),
        timeout_graceful_shutdown=int(grace.total_seconds()),
    )
    await _Server(config, stop).serve(sockets=[bound])


class _Server(uvicorn.Server):
    """Stops by an event; the process's signals are its owner's, who may have a worker to stop as well."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _GuardedProtocol(HttpToolsProtocol):
    """Hangs up on a request whose head is too long or too slow (slowloris)."""

    _in_head = True
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began_before = self._in_head
        super().data_received(data)
        if began_before and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._end_wait()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            raise httptools.HttpParserError("head too long")  # answered with 400 by whoever feeds the parser
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_TIMEOUT.total_seconds(), self.transport.close)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
