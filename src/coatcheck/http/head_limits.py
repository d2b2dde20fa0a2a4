"""The limits of a request's head. They are checked after the server has read the head (docs/decisions/0011)."""

from collections.abc import Callable
from datetime import timedelta

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.errors import CoatcheckError, HeadTooLarge, InvalidRequest, UrlTooLong
from coatcheck.http.bodies import DEADLINE, DEFAULT_DEADLINE
from coatcheck.http.envelope import response_to

MAX_HEAD_BYTES = 64 * 1024
"""Path, query string, header names and values together."""
MAX_URL_BYTES = 16 * 1024
"""Path and query string."""
MAX_HEADERS = 100

Refuse = Callable[[CoatcheckError, str], Response]
"""The response to an error, in the format of the surface that serves the path."""


class HeadLimits:
    """Refuses a head above a limit, and one without exactly one Host; passes on every other request.

    414 for the URL, 431 for the rest (RFC 6585 5), 400 for the Host (RFC 9112 3.2). The connection is closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        body_deadline: timedelta = timedelta(seconds=DEFAULT_DEADLINE),
        refuse: Refuse = lambda error, _: response_to(error),
    ) -> None:
        self._app = app
        self._body_deadline = body_deadline.total_seconds()
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A copy: the server adds the trailers of a chunked body to its list when they arrive. Those that arrive
        # together with the head cannot be told from headers here; a proxy drops them.
        headers = scope["headers"] = list(scope["headers"])
        refused = _refusal(scope, headers)
        if refused is None:
            scope[DEADLINE] = self._body_deadline
            await self._app(scope, receive, send)
            return
        response = self._refuse(refused, scope["path"])
        # Closed, because the body of the refused request has not been read.
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


def _refusal(scope: Scope, headers: list[tuple[bytes, bytes]]) -> CoatcheckError | None:
    """Why the request is refused; None if the head is within the limits."""
    url = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    if url > MAX_URL_BYTES:
        return UrlTooLong()
    size, hosts = url, 0
    for name, value in headers:
        size += len(name) + len(value)
        hosts += name == b"host"
    if len(headers) > MAX_HEADERS or size > MAX_HEAD_BYTES:
        return HeadTooLarge()
    # HTTP/1.0 has no Host.
    if hosts > 1 or (hosts == 0 and scope.get("http_version") != "1.0"):
        return InvalidRequest("The request must have exactly one Host header.")
    return None
