"""Responses compressed with gzip for the clients that accept it.

A compressed response that contains a secret and text from an attacker discloses the secret byte by byte (BREACH). Only
surfaces whose responses never contain both use it: the token in their forms is masked anew in each page. The API does
not, because it returns codes and tokens.
"""

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.http.negotiation import accepted

MIN_BYTES = 256
"""Smaller responses are not compressed."""
LEVEL = 6


class Compression:
    """Starlette's GZipMiddleware. It ignores weights: for `gzip;q=0`, Accept-Encoding is removed here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = GZipMiddleware(app, minimum_size=MIN_BYTES, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "gzip" not in accepted(Headers(scope=scope).get("accept-encoding")):
            others = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
            scope = {**scope, "headers": others}
        await self._app(scope, receive, send)


COMPRESSED = (Middleware(Compression),)
"""For a Starlette `Route`."""
