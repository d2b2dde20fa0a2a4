"""In a sandbox with a seed: what a request makes follows from the seed and from its caller."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.http.throttling import credentials
from coatcheck.seeding import Seeding


class SeededRequests:
    """Gives every caller the guids and secrets of its own, by the id that it names. It is not verified yet."""

    def __init__(self, app: ASGIApp, seeding: Seeding) -> None:
        self._app = app
        self._seeding = seeding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _ = credentials(Headers(scope=scope))
        with self._seeding.caller(name):
            await self._app(scope, receive, send)
