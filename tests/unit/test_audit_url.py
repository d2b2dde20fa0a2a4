"""The newest checkpoint is posted to a URL, and again when the receiver failed."""

from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from structlog.testing import capture_logs

from coatcheck.app import build
from coatcheck.audit.checkpoints import parse
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.worker_services import build_worker
from tests.sealed_log import fill

pytestmark = pytest.mark.own_database


class Receiver(ThreadingHTTPServer):
    """Answers the given statuses in turn, then 204."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = [*statuses]
        self.received: list[tuple[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.received.append((self.headers["Content-Type"], body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(500) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_the_newest_checkpoint_is_posted_until_it_was_received(
    settings: Settings, clock: MovableClock, receiver: Receiver
) -> None:
    url = f"http://127.0.0.1:{receiver.server_port}/checkpoints"
    async with build(replace(settings, audit_checkpoint_url=url), clock) as services:
        worker = build_worker(services)
        await fill(services, 10)
        with capture_logs() as logged:
            while not receiver.received:
                await worker.seal()
        refused = [each for each in logged if each["event"] == "audit.not_published"]
        assert [each["error"] for each in refused] == ["HTTPStatusError"]
        for _ in range(3):
            await worker.publisher.publish()
    (kind, first), (_, second) = receiver.received
    assert kind == "text/plain; charset=utf-8"
    assert first == second
    assert parse(first).size == 10
