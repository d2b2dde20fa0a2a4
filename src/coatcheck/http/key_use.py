"""Notes the use of API keys, after the answer: each key at most once an hour in each process."""

from datetime import datetime, timedelta

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coatcheck.clock import Clock
from coatcheck.grants.key_uses import KeyUses

USED_KEY = "coatcheck.used_key"
"""The key of the ASGI scope under which an endpoint leaves the API key that its route requires."""
INTERVAL = timedelta(hours=1)
MAX_NOTED = 10_000


class KeyUseNotes:
    def __init__(self, app: ASGIApp, clock: Clock, uses: KeyUses) -> None:
        self._app = app
        self._clock = clock
        self._uses = uses
        # By a hash: no key is kept.
        self._noted: dict[int, datetime] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, noting)
        # A refusal may have come before the key was verified. A success came after.
        if 200 <= status < 400 and (api_key := scope.get(USED_KEY)) is not None:
            await self._note(api_key)

    async def _note(self, api_key: str) -> None:
        now, key = self._clock.now(), hash(api_key)
        noted = self._noted.get(key)
        if noted is not None and now - noted < INTERVAL:
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        # Before it is recorded: the next request with the key must not record it too.
        self._noted[key] = now
        if not await self._uses.record(api_key):
            self._noted.pop(key, None)
