"""Receives webhooks on this machine, verifies their signatures, and lets a test wait for one."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

PATIENCE = timedelta(seconds=30)
"""Only a test that fails waits so long: one process of a busy machine may get little of it."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it arrived. The fields are those of the payload."""

    guid: str
    type: str
    occurred_at: str
    due_at: str
    sequence: int
    object: str
    data: Mapping[str, Any]


class WebhookInbox:
    """A receiver on a free port of this machine. Use it in a `with` block.

    Attributes:
        url: where it receives.
        secret: the signing secret of the endpoint. Set it before the first event arrives: what it does not verify is
            answered with 401 and not kept.
        status: the HTTP status with which it answers. Another one than 200 is a receiver in trouble.
        events: what arrived, in the order of arrival. An event that is delivered twice is kept twice.
    """

    def __init__(self) -> None:
        self.secret = ""
        self.status = 200
        self.events: list[Event] = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def of_type(self, event_type: str) -> list[Event]:
        return [event for event in self.events if event.type == event_type]

    def wait_for(
        self,
        event_type: str,
        *,
        about: str | None = None,
        patience: timedelta = PATIENCE,
    ) -> Event:
        """The first event of a type, or the first about an object. Waits for it if it has not arrived.

        Raises:
            AssertionError: it did not arrive in time. The message lists what did.
        """
        deadline = time.monotonic() + patience.total_seconds()
        with self._arrived:
            while True:
                for event in self.events:
                    if event.type == event_type and about in {None, event.object}:
                        return event
                if not self._arrived.wait(deadline - time.monotonic()):
                    arrived = ", ".join(event.type for event in self.events) or "nothing"
                    raise AssertionError(
                        f"No {event_type} arrived within {patience}. What arrived: {arrived}."
                    )

    def _receive(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            Webhook(self.secret).verify(body, headers)
        except (WebhookVerificationError, ValueError):
            return 401
        payload = json.loads(body)
        with self._arrived:
            self.events.append(Event(**{each.name: payload[each.name] for each in fields(Event)}))
            self._arrived.notify_all()
        return self.status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receive = self._receive

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.send_response(
                    receive(body, {name.lower(): value for name, value in self.headers.items()})
                )
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
                """Prints nothing: pytest shows what a test prints."""

        return Handler
