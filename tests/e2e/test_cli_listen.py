"""`coatcheck listen` and `coatcheck trigger` on a running sandbox."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from standardwebhooks import Webhook

from coatcheck.cli.exit_codes import ExitCode
from coatcheck.cli.trigger import CAUSES

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}


def command(directory, *arguments):
    return [sys.executable, "-m", "coatcheck.cli", *arguments, "--data-dir", str(directory)]


def coatcheck(directory, *arguments):
    return subprocess.run(
        command(directory, *arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=ENVIRONMENT,
    )


@pytest.fixture
def directory(sandbox_credentials):
    return sandbox_credentials.parent


@pytest.fixture
def receiver():
    """A server that keeps the requests, and answers 202 to the first and 500 to the others."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((dict(self.headers.items()), body))
            self.send_response(202 if len(received) == 1 else 500)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hooks", received
    server.shutdown()
    server.server_close()


def listening(directory, *arguments):
    process = subprocess.Popen(
        command(directory, "listen", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "Listening. Stop with Ctrl-C.\n"
    return process


def test_events_are_shown_filtered_and_forwarded_signed_with_the_status_of_the_answer(directory, receiver):
    url, received = receiver
    process = listening(directory, "--forward-to", url, "--events", "user.*", "--limit", "2", "--json")
    secret = process.stderr.readline().removeprefix("Signing secret: ").strip()
    triggered = coatcheck(directory, "trigger", "user.deleted", "--json")
    assert json.loads(triggered.stdout) == {"type": "user.deleted", "caused": True, "examples": 0}
    shown = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
    assert [(each["type"], each["answer"]) for each in shown] == [
        ("user.created", "202"),
        ("user.deleted", "500"),
    ]
    for (headers, body), event in zip(received, shown, strict=True):
        forwarded = Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
        assert forwarded == {name: value for name, value in event.items() if name != "answer"}
    assert process.returncode == 0


@pytest.mark.parametrize(
    "event_type",
    [
        pytest.param(event_type, marks=() if number % 6 == 0 else pytest.mark.slow)
        for number, event_type in enumerate(sorted(CAUSES))
    ],
)
def test_a_triggered_event_is_really_announced(directory, event_type):
    process = listening(directory, "--events", event_type, "--limit", "1")
    answer = coatcheck(directory, "trigger", event_type)
    assert answer.stdout == f"Caused {event_type}.\n", answer.stderr
    assert event_type in process.communicate(timeout=60)[0]


def test_what_cannot_be_caused_needs_an_endpoint_and_an_unknown_type_is_refused(directory):
    for event_type, words in (
        ("token.expired", "webhook endpoint"),
        ("token.unknown", "TYPE must be one of"),
    ):
        answer = coatcheck(directory, "trigger", event_type)
        assert answer.returncode == ExitCode.USAGE
        assert words in answer.stderr


@pytest.mark.parametrize("events", ["token.revokd", "tokens.*", "user.*,", ""])
def test_listening_to_a_type_that_does_not_exist_is_refused_with_those_that_do(directory, events):
    answer = coatcheck(directory, "listen", "--events", events)
    assert answer.returncode == ExitCode.USAGE
    assert f"--events: {events.rpartition(',')[2]!r} is none of *, " in " ".join(answer.stderr.split())


@pytest.mark.slow
def test_listening_goes_on_when_the_clock_moves_by_more_than_a_month(directory):
    coatcheck(directory, "trigger", "user.created")
    process = listening(directory, "--events", "user.deleted", "--limit", "1")
    coatcheck(directory, "clock", "advance", "32d")
    coatcheck(directory, "trigger", "user.deleted")
    shown, errors = process.communicate(timeout=60)
    assert "user.deleted" in shown, errors


def test_listening_to_no_sandbox_is_one_sentence(tmp_path):
    answer = coatcheck(tmp_path, "listen")
    assert answer.returncode == ExitCode.CONFIGURATION
    assert "Traceback" not in answer.stderr
