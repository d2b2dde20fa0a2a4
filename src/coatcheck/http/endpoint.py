"""How every surface handles a request: route by method, size limits, errors, and the last resort.

routes(surface, table) -> one Starlette route for each path
request -> method -> surface.answer -> response
|-> a CoatcheckError -> surface.refuse -> response
`-> anything else    -> logged by name and place, refused as 500
"""

import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import psycopg
import structlog
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from coatcheck import errors
from coatcheck.http.errors import status_of

log = structlog.get_logger(__name__)


class Row(Protocol):
    """One row of a surface's table of routes."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def operation(self) -> str:
        """Its name in the log."""


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True)
class Surface(Generic[RowT]):
    """What one surface adds to the handling that all share."""

    name: str
    """In the log."""
    answer: Callable[[RowT, Request], Awaitable[Response]]
    """Answers a request. It raises a `CoatcheckError` to refuse it."""
    refuse: Callable[[errors.CoatcheckError, RowT | None], Response]
    """The response to an error; the row is None where the path does not take the method."""


def routes(
    surface: Surface[RowT], table: Iterable[RowT], *, prefix: str = "", middleware: Sequence[Middleware] = ()
) -> list[Route]:
    """The table as Starlette routes below `prefix`, one for each path, in the table's order."""
    paths: dict[str, dict[str, RowT]] = {}
    for row in table:
        paths.setdefault(row.path, {})[row.method] = row
    return [
        Route(prefix + path, Endpoint(surface, methods), middleware=middleware)
        for path, methods in paths.items()
    ]


class Endpoint(Generic[RowT]):
    """The ASGI application of one path, with the row of each method."""

    def __init__(self, surface: Surface[RowT], methods: Mapping[str, RowT]) -> None:
        self._surface = surface
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        row = self._methods.get(scope["method"])
        try:
            if row is None:
                raise errors.MethodNotAllowed(tuple(self._methods))
            response = await self._surface.answer(row, Request(scope, receive))
        except errors.CoatcheckError as error:
            self._log_refusal(error, row)
            response = self._surface.refuse(error, row)
        except psycopg.DataError:
            # Text that PostgreSQL cannot store, such as a NUL character in a path.
            response = self._surface.refuse(errors.InvalidRequest(), row)
        except Exception as error:  # noqa: BLE001 (the last resort: an unknown failure discloses nothing)
            self._log_failure(error, row)
            response = self._surface.refuse(errors.CoatcheckError(), row)
        await response(scope, receive, send)

    def _log_refusal(self, error: errors.CoatcheckError, row: RowT | None) -> None:
        if error.detail or status_of(error) >= 500:
            log.warning(
                "request.refused",
                surface=self._surface.name,
                operation=row.operation if row else None,
                error=type(error).__name__,
                detail=error.detail,
            )

    def _log_failure(self, error: Exception, row: RowT | None) -> None:
        """Logs the error's type and place only: its message and a traceback's locals may hold secrets."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error(
            "request.failed",
            surface=self._surface.name,
            operation=row.operation if row else None,
            error=type(error).__name__,
            place=f"{place.filename}:{place.lineno}",
        )


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The request's body. What arrives is counted, whatever Content-Length says.

    Raises:
        TooLarge: it has more than `max_bytes`.
        InvalidRequest: the client closed the connection before its end.
    """
    declared = request.headers.get("content-length")
    if (
        declared is not None
        and declared.isascii()
        and declared.isdecimal()
        and int(declared[:20]) > max_bytes
    ):
        raise errors.TooLarge
    if declared is None and "transfer-encoding" not in request.headers:
        return b""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise errors.TooLarge
    except ClientDisconnect:
        raise errors.InvalidRequest("The request ended early.") from None
    return bytes(body)
