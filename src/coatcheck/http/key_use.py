"""Notes the use of API keys, after the answer: each key at most once an hour in each process."""

from datetime import datetime, timedelta

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coatcheck.clock import Clock
from coatcheck.grants.key_uses import KeyUses
from coatcheck.http.throttling import credentials_of

USED_KEY = "coatcheck.used_key"
"""The key of the ASGI scope under which an endpoint leaves the API key of a form."""
INTERVAL = timedelta(hours=1)
MAX_NOTED = 10_000
NOT_AUTHENTICATED = frozenset({401, 429})


class KeyUseNotes:
    def __init__(self, app: ASGIApp, clock: Clock, uses: KeyUses) -> None:
        self._app = app
        self._clock = clock
        self._uses = uses
        # By a hash of what the request contains: no key is kept, and one that is noted is not parsed again.
        self._noted: dict[int, datetime] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if header and header[:6].lower() != b"basic ":
            await self._app(scope, receive, send)
            return
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, noting)
        is_authenticated = 200 <= status < 500 and status not in NOT_AUTHENTICATED
        if is_authenticated and (header or USED_KEY in scope):
            await self._note(header, scope.get(USED_KEY))

    async def _note(self, header: bytes, of_form: str | None) -> None:
        now, key = self._clock.now(), hash(header or of_form)
        noted = self._noted.get(key)
        if noted is not None and now - noted < INTERVAL:
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted[key] = now
        _, api_key = credentials_of(header.decode("latin-1")) if header else ("", of_form or "")
        await self._uses.record(api_key)
