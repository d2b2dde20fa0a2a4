"""The limits of a request's head. They are checked after the server has read the head (docs/decisions/0011)."""

from datetime import timedelta

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.http.bodies import DEADLINE, DEFAULT_DEADLINE

MAX_HEAD_BYTES = 64 * 1024
"""Path, query string, header names and values together."""
MAX_URL_BYTES = 16 * 1024
"""Path and query string."""
MAX_HEADERS = 100


class HeadLimits:
    """Refuses a head above a limit, and one without exactly one Host; passes on every other request.

    414 for the URL, 431 for the rest (RFC 6585 5), 400 for the Host (RFC 9112 3.2). The connection is closed.
    """

    def __init__(self, app: ASGIApp, body_deadline: timedelta = timedelta(seconds=DEFAULT_DEADLINE)) -> None:
        self._app = app
        self._body_deadline = body_deadline.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A copy: the server adds the trailers of a chunked body to its list when they arrive. Those that arrive
        # together with the head cannot be told from headers here; a proxy drops them.
        headers = scope["headers"] = list(scope["headers"])
        refused = _refusal(scope, headers)
        if refused is None:
            scope[DEADLINE] = self._body_deadline
            await self._app(scope, receive, send)
            return
        status, text = refused
        # Closed, because the body of the refused request has not been read.
        await PlainTextResponse(text, status, {"Connection": "close"})(scope, receive, send)


def _refusal(scope: Scope, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    """The status and the text of the refusal; None if the head is within the limits."""
    url = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    if url > MAX_URL_BYTES:
        return 414, "The URL is too long."
    size, hosts = url, 0
    for name, value in headers:
        size += len(name) + len(value)
        hosts += name == b"host"
    if len(headers) > MAX_HEADERS or size > MAX_HEAD_BYTES:
        return 431, "The head of the request is too large."
    # HTTP/1.0 has no Host.
    if hosts > 1 or (hosts == 0 and scope.get("http_version") != "1.0"):
        return 400, "The request must have exactly one Host header."
    return None
