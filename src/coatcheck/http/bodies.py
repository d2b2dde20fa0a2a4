"""Reads the body of a request: counted, by a deadline, and after the authentication if it has not arrived yet."""

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import Scope

from coatcheck import errors
from coatcheck.deadline import remaining

FORM = "application/x-www-form-urlencoded"
DEADLINE = "coatcheck.body_deadline"
"""The key of the ASGI scope with the seconds in which a body must arrive."""
DEFAULT_DEADLINE = 10.0
WAS_READ = "coatcheck.body_was_read"
"""The key of the ASGI scope that is set once the body has been read to its end."""


class BodyReader:
    """Reads a body once. What has been received is counted, because Content-Length can be missing or wrong.

    Raises:
        TooLarge: the request declares more than `max_bytes`.
        EncodedBody: the body is compressed: a small one could become a large one.
    """

    def __init__(self, request: Request, max_bytes: int, deadline: float | None = None) -> None:
        self._request = request
        self._deadline = request.scope.get(DEADLINE, DEFAULT_DEADLINE) if deadline is None else deadline
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._is_complete = not has_body(request)
        if not self._is_complete:
            self._check_head(request)

    def _check_head(self, request: Request) -> None:
        if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise errors.EncodedBody
        # Python refuses to convert numbers of more than 4,300 digits, so only the first 20 are converted.
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdecimal() and int(declared[:20]) > self._max_bytes:
            raise errors.TooLarge

    async def read_arrived(self) -> bool:
        """Reads what has arrived with the head, without waiting. Returns whether that is the whole body."""
        # A client that sends `Expect: 100-continue` waits for an answer to the head; reading would invite the body.
        if not self._is_complete and "expect" not in self._request.headers:
            try:
                # What is buffered is returned before the timeout takes effect; a wait for more is ended by it at once.
                async with asyncio.timeout(0):
                    await self._receive()
            except TimeoutError:
                return False
        return self._is_complete

    async def read(self) -> bytes:
        """The body.

        Raises:
            TooLarge: it has more than `max_bytes`.
            RequestTimeout: it has not arrived by the deadline.
            InvalidRequest: the client closed the connection before its end.
        """
        if not self._is_complete:
            try:
                async with asyncio.timeout(remaining(self._deadline)):
                    await self._receive()
            except TimeoutError:
                raise errors.RequestTimeout from None
        return bytes(self._body)

    async def _receive(self) -> None:
        while not self._is_complete:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise errors.InvalidRequest("The request ended early.")
            self._body += message.get("body", b"")
            if len(self._body) > self._max_bytes:
                raise errors.TooLarge
            self._is_complete = not message.get("more_body", False)
        self._request.scope[WAS_READ] = True


async def read_body(request: Request, max_bytes: int, deadline: float | None = None) -> bytes:
    """The body of a request whose caller is authenticated, or needs no authentication. Raises as `BodyReader`.

    Args:
        request: the request.
        max_bytes: the limit.
        deadline: the seconds in which it must arrive. None: the setting `body_deadline`.
    """
    return await BodyReader(request, max_bytes, deadline).read()


def has_body(request: Request) -> bool:
    """Whether a body follows the head. Without either header there is none (RFC 9112 6.3)."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether the body is a form, as a browser and an OAuth client send it."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def is_unread(request: Request, scope: Scope) -> bool:
    """Whether a part of the body may still arrive, so that the connection must end with the answer."""
    return WAS_READ not in scope and has_body(request)
