"""Refuses a request in which a trailer could pass for a header that a proxy added.

The server adds the trailers of a chunked body to the headers, and here they cannot be told apart. HAProxy, for example,
replaces the headers that a caller sends, and forwards the caller's trailers as they are.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.errors import InvalidRequest
from coatcheck.http.client_certificates import HEADER
from coatcheck.http.head_limits import Refuse

FORWARDED_FOR = b"x-forwarded-for"
SEND_LENGTH = "This request needs a Content-Length. It may not be chunked."


class ForwardedTrailers:
    """Passes on every request but a chunked one with a client certificate, or with two `X-Forwarded-For`."""

    def __init__(self, app: ASGIApp, refuse: Refuse, *, reads_certificates: bool) -> None:
        self._app = app
        self._refuse = refuse
        self._reads_certificates = reads_certificates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = [name for name, _ in scope["headers"]]
        if b"transfer-encoding" not in names or not self._is_ambiguous(names):
            await self._app(scope, receive, send)
            return
        response = self._refuse(InvalidRequest(SEND_LENGTH), scope["path"])
        # Closed, because the body of the refused request has not been read.
        response.headers["Connection"] = "close"
        await response(scope, receive, send)

    def _is_ambiguous(self, names: list[bytes]) -> bool:
        # One certificate is enough: whether the proxy sent it or only forwarded it is not known. One address is not:
        # a proxy that sends none lets callers choose it by a header, too.
        has_certificate = self._reads_certificates and HEADER in names
        return has_certificate or names.count(FORWARDED_FOR) > 1
