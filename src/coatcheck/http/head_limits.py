"""The limits of a request's head. They are checked after the server has read the head (docs/decisions/0011)."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_HEAD_BYTES = 64 * 1024
"""Path, query string, header names and values together."""
MAX_HEADERS = 100


class HeadLimits:
    """Answers 431 to a head above a limit (RFC 6585 5), and closes the connection; passes on every other request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(scope["headers"]) <= MAX_HEADERS and _size(scope) <= MAX_HEAD_BYTES:
            await self._app(scope, receive, send)
            return
        # Closed, because the body of the refused request has not been read.
        refusal = PlainTextResponse("The head of the request is too large.", 431, {"Connection": "close"})
        await refusal(scope, receive, send)


def _size(scope: Scope) -> int:
    """The bytes of the head, without separators."""
    path = scope.get("raw_path") or scope["path"].encode()
    return (
        len(path)
        + len(scope["query_string"])
        + sum(len(name) + len(value) for name, value in scope["headers"])
    )
