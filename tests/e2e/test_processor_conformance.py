"""`coatcheck conformance processor` finds nothing in the example processor, and each bug that is planted in it."""

import asyncio
import contextlib
import importlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coatcheck.cli.exit_codes import ExitCode
from coatcheck.testing.processor_conformance import CASES, Outcome, run_case
from coatcheck.testing.processor_trial import Processor, Trial
from coatcheck.testing.sandbox import Sandbox, running
from tests.guides import ROOT

BUGS = {
    "NoIdempotencyKey": "lost_answer",
    "IgnoresRevocation": "revoked",
    "Remembering": "changed_numbers",
    "IntegerNumbers": "leading_zeros",
    "FloatNumbers": "seventeen_digits",
    "IgnoresClosing": "closed_account",
    "ShortTimeout": "slow",
    "NoBackoff": "too_many_requests",
    "Once": "duplicate_webhook",
    "InOrderOfArrival": "reordered_webhook",
    "IgnoresExpiry": "expired",
    "OwnClock": "clock_skew",
}
Serve = Callable[[str | None], str]
"""Serves the processor, with a bug or without, and returns its address."""


@pytest.fixture(scope="module")
def faulty() -> Iterator[ModuleType]:
    paths = [str(ROOT / "examples" / "processor"), str(ROOT / "tests" / "e2e")]
    sys.path[:0] = paths
    yield importlib.import_module("faulty_processors")
    for path in paths:
        sys.path.remove(path)


@pytest.fixture
def serve(coatcheck: Sandbox, faulty: ModuleType) -> Iterator[Serve]:
    with contextlib.ExitStack() as running:

        def start(bug: str | None) -> str:
            bound = running.enter_context(socket.create_server(("127.0.0.1", 0)))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            secret = running.enter_context(_endpoint(coatcheck, f"{url}/webhooks"))
            running.enter_context(_served(_app(coatcheck, faulty, bug, secret), bound))
            return url

        yield start


@contextlib.contextmanager
def _endpoint(coatcheck: Sandbox, url: str) -> Iterator[str]:
    """A webhook endpoint of the processor while the block runs. Yields its secret."""
    with coatcheck.processor() as owner:
        wanted = {"webhook_endpoint": {"url": url, "events": ["*"]}}
        created = owner.post("/coatcheck/webhook_endpoints", json=wanted).raise_for_status().json()
        yield created["webhook_endpoint"]["secret"]
        owner.delete(f"/coatcheck/webhook_endpoints/{created['webhook_endpoint']['guid']}").raise_for_status()


def _app(coatcheck: Sandbox, faulty: ModuleType, bug: str | None, secret: str) -> Starlette:
    key = coatcheck.processors[0]
    calls, processor = faulty.Coatcheck, faulty.Processor
    if bug is not None:
        planted = getattr(faulty, bug)
        calls, processor = (planted, processor) if issubclass(planted, calls) else (calls, planted)
    client = httpx.AsyncClient(base_url=coatcheck.base_url, trust_env=False, timeout=20)
    return faulty.processor.application(
        processor(calls(client, key.processor_id, key.api_key), secret), client
    )


@contextlib.contextmanager
def _served(app: Starlette, bound: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield
    server.should_exit = True
    thread.join()


def run(coatcheck: Sandbox, url: str, name: str) -> tuple[Outcome, str]:
    (case,) = (case for case in CASES if case.name == name)
    with coatcheck.processor() as owner, contextlib.closing(Processor(url)) as under_test:
        result = run_case(Trial(coatcheck, under_test, owner), case)
    return result.outcome, result.found


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_the_right_processor_passes(coatcheck: Sandbox, serve: Serve, name: str) -> None:
    assert run(coatcheck, serve(None), name) == (Outcome.PASSED, "")


@pytest.mark.parametrize(("bug", "name"), BUGS.items())
def test_a_bug_is_found(coatcheck: Sandbox, serve: Serve, bug: str, name: str) -> None:
    outcome, found = run(coatcheck, serve(bug), name)
    assert outcome is Outcome.FAILED
    assert found


def test_every_case_finds_a_bug() -> None:
    assert sorted(BUGS.values()) == sorted(case.name for case in CASES)


def test_a_processor_that_does_not_answer_fails(coatcheck: Sandbox) -> None:
    assert run(coatcheck, "http://127.0.0.1:1", "revoked") == (
        Outcome.FAILED,
        "POST accounts got no answer: ConnectError.",
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a sandbox that runs."""
    path = tmp_path_factory.mktemp("sandbox")
    with running(path):
        yield path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coatcheck.cli", "conformance", "processor", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def broken() -> Iterator[str]:
    """The address of a processor without the routes."""
    with socket.create_server(("127.0.0.1", 0)) as bound, _served(Starlette(), bound):
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_the_command_reports_what_failed_and_its_exit_code_says_so(
    directory: Path, broken: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    done = command(
        "--url", broken, "--data-dir", str(directory), "--only", "revoked", "--html", str(page), "--json"
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (reported,) = json.loads(done.stdout)
    assert (reported["case"], reported["outcome"]) == ("revoked", "failed")
    assert reported["found"] == "It refused a valid code with 404."
    assert "0 of 1 cases passed" in page.read_text()
    assert reported["found"] in page.read_text()


def test_a_processor_that_does_not_run_is_one_sentence(directory: Path) -> None:
    done = command("--url", "http://127.0.0.1:1", "--data-dir", str(directory))
    assert done.returncode == ExitCode.NOT_RUNNING
    assert done.stderr.startswith("coatcheck: Nothing answers at http://127.0.0.1:1. ")
    assert done.stdout == ""


def test_a_report_that_cannot_be_written_is_still_printed(
    directory: Path, broken: str, tmp_path: Path
) -> None:
    page = str(tmp_path / "missing" / "report.html")
    done = command(
        "--url", broken, "--data-dir", str(directory), "--only", "revoked", "--html", page, "--json"
    )  # fmt: skip
    assert json.loads(done.stdout)[0]["outcome"] == "failed"
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:9000", "ftp://processor", "http://", "http://[::1", ""])
def test_what_is_no_web_address_is_refused_before_the_run(directory: Path, url: str) -> None:
    done = command("--url", url, "--data-dir", str(directory))
    assert done.returncode == ExitCode.USAGE
    assert "--url must be an http or https URL." in done.stderr


def test_a_sandbox_that_does_not_run_is_one_sentence(directory: Path, broken: str, tmp_path: Path) -> None:
    credentials = json.loads((directory / "credentials.json").read_text())
    (tmp_path / "credentials.json").write_text(json.dumps(credentials | {"base_url": "http://127.0.0.1:1"}))
    done = command("--url", broken, "--data-dir", str(tmp_path))
    assert done.returncode == ExitCode.NOT_RUNNING
    assert done.stderr.startswith("coatcheck: No sandbox answers at ")
    assert "Traceback" not in done.stderr


def test_an_answer_without_an_id_fails_the_case(coatcheck: Sandbox) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        async def answer(_request: Request) -> Response:
            return JSONResponse(["no id"])

        app = Starlette(routes=[Route("/accounts", answer, methods=["POST"])])
        with _served(app, bound):
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            for name in ("lost_answer", "revoked"):
                assert run(coatcheck, url, name) == (Outcome.FAILED, "Its answer to a code has no `id`.")


def test_an_unknown_case_is_refused_with_a_list_of_the_cases(directory: Path) -> None:
    done = command("--url", "http://127.0.0.1:1", "--data-dir", str(directory), "--only", "unknown")
    assert done.returncode not in {0, 1}
    assert "There is no case unknown. The cases are lost_answer, revoked," in done.stderr
