"""The deadline of each request: the setting `request_deadline`."""

from datetime import timedelta

from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.deadline import within


class RequestDeadline:
    """Sets the deadline of each request. The database and `http.endpoint` keep it."""

    def __init__(self, app: ASGIApp, duration: timedelta) -> None:
        self._app = app
        self._duration = duration

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with within(self._duration):
            await self._app(scope, receive, send)
