"""The last requests that a sandbox answered, in memory, for its inspector page."""

import re
import time
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coatcheck.clock import Clock
from coatcheck.http.throttling import credentials

SIZE = 200
INSPECTOR = "coatcheck-inspector"
"""The header of the page's own requests, which are not logged."""
PAGE = frozenset({"/", "/inspector.css", "/inspector.js"})
"""The page itself, which is not logged either."""
LONGEST_PATH = 300

_SECRET = re.compile(r"\b(c[a-z]{2}_)\w+")


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    at: datetime
    method: str
    path: str
    """Without the query, which may contain a code, and with secrets cut off."""
    status: int
    milliseconds: int
    caller: str | None
    """The id in its HTTP Basic credentials, which may be wrong."""


class RequestLog:
    """The newest requests."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=SIZE)

    @property
    def newest_first(self) -> Sequence[LoggedRequest]:
        return list(reversed(self._requests))

    def add(self, request: LoggedRequest) -> None:
        self._requests.append(request)


current_log: ContextVar[RequestLog] = ContextVar("current_log")
"""The log of the application that handles the request."""


class RequestLogging:
    """The application with a log of its requests, which `current_log` has in each request."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._log = RequestLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        current_log.set(self._log)
        headers = Headers(scope=scope)
        if INSPECTOR in headers or scope["path"] in PAGE:
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            self._log.add(
                LoggedRequest(
                    at=self._clock.now(),
                    method=scope["method"],
                    path=_SECRET.sub(r"\1...", scope["path"][:LONGEST_PATH]),
                    status=status,
                    milliseconds=round((time.perf_counter() - started) * 1000),
                    caller=credentials(headers)[0] or None,
                )
            )
