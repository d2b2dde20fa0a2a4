"""A sandbox in the background: it is ready when the command returns, and any command reaches it by its directory."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from coatcheck.cli.data_directory import read_credentials
from coatcheck.cli.directory_lock import holder
from coatcheck.cli.exit_codes import ExitCode
from tests.processes import free_port


def coatcheck(*arguments, **settings):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    return subprocess.run(
        [sys.executable, "-m", "coatcheck.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment | settings,
    )


def runs(directory):
    return holder(directory / "postgres") is not None


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The directory of a sandbox that runs in the background."""
    directory = tmp_path_factory.mktemp("background") / "sandbox"
    if os.geteuid() == 0:
        directory.parent.chmod(0o711)
    started = coatcheck("sandbox", "--detach", "--port", 0, "--data-dir", directory, "--seed", 7)
    assert started.returncode == 0, started.stderr
    assert started.stdout.endswith("ready\n")
    yield directory
    verified = coatcheck("audit", "verify", "--data-dir", directory)
    coatcheck("stop", "--data-dir", directory)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_it_is_ready_when_the_command_returns(directory):
    credentials = read_credentials(directory)
    answer = httpx.get(f"{credentials.base_url}/ready", trust_env=False, timeout=60)
    assert answer.status_code == 200


def test_waiting_for_one_that_runs_returns_its_credentials(directory):
    waited = coatcheck("sandbox", "--wait", "--data-dir", directory, "--json")
    assert waited.returncode == 0
    printed = json.loads(waited.stdout)
    assert printed["is_ready"] is True
    assert printed["base_url"] == read_credentials(directory).base_url
    assert json.loads((directory / "credentials.json").read_text()).items() <= printed.items()


def test_a_second_one_on_the_directory_does_not_start_and_the_reason_is_printed(directory):
    second = coatcheck("sandbox", "--detach", "--port", 0, "--data-dir", directory)
    assert second.returncode == ExitCode.CONFIGURATION
    assert "Another process uses" in second.stderr
    assert "Traceback" not in second.stderr
    assert runs(directory)


def test_a_start_that_fails_has_the_exit_code_and_the_reason_and_leaves_nothing_running(directory, tmp_path):
    port = read_credentials(directory).base_url.rsplit(":", 1)[1]
    failed = coatcheck("sandbox", "--wait", "--port", port, "--data-dir", tmp_path / "d")
    assert failed.returncode == ExitCode.CONFIGURATION
    assert failed.stdout == ""
    assert f"port {port}" in failed.stderr
    assert not runs(tmp_path / "d")


def test_the_clock_is_shown_and_moved(directory):
    before = json.loads(coatcheck("clock", "--data-dir", directory, "--json").stdout)
    moved = coatcheck("clock", "advance", "61d", "--data-dir", directory, "--json")
    assert json.loads(moved.stdout)["offset_seconds"] == before["offset_seconds"] + 61 * 86400
    assert {"jobs", "events", "expired_tokens"} <= json.loads(moved.stdout).keys()
    back = coatcheck("clock", "set", "2020-01-01T00:00:00Z", "--data-dir", directory)
    assert (back.returncode, back.stderr) == (ExitCode.REFUSED, "coatcheck: The clock only moves forward.\n")
    wrong = coatcheck("clock", "advance", "soon", "--data-dir", directory)
    assert wrong.returncode == ExitCode.USAGE
    assert coatcheck("clock", "show", "61d", "--data-dir", directory).returncode == ExitCode.USAGE


@pytest.mark.parametrize("command", ["client list", "processor list", "keys list-signing", "doctor"])
def test_the_commands_of_an_operator_find_the_sandbox_by_its_directory(directory, command):
    answer = coatcheck(*command.split(), "--data-dir", directory, "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    if command == "client list":
        assert [client["client_id"] for client in found] == [read_credentials(directory).client_id]


def test_a_directory_that_is_not_that_of_a_sandbox_is_one_sentence(tmp_path):
    for command in ("client list", "clock", "doctor"):
        answer = coatcheck(*command.split(), "--data-dir", tmp_path)
        assert answer.returncode in {ExitCode.CONFIGURATION, ExitCode.UNHEALTHY}
        assert "is not the directory of a sandbox" in answer.stderr + answer.stdout
        assert "Traceback" not in answer.stderr


@pytest.mark.faults
def test_it_survives_its_terminal_and_is_stopped_by_the_command(tmp_path):
    directory = tmp_path / "d"
    started = coatcheck("sandbox", "--wait", "--port", 0, "--data-dir", directory)
    assert started.returncode == 0, started.stderr
    process = holder(directory / "postgres")
    assert os.getsid(process) != os.getsid(0)
    stopped = coatcheck("stop", "--data-dir", directory, "--json")
    assert json.loads(stopped.stdout)["stopped"] is True
    assert not runs(directory)
    again = coatcheck("stop", "--data-dir", directory)
    assert (again.returncode, again.stdout) == (0, f"No sandbox runs on {directory}.\n")
    assert coatcheck("clock", "--data-dir", directory).returncode == ExitCode.NOT_RUNNING


@pytest.mark.faults
def test_an_interrupted_start_leaves_nothing_running(tmp_path):
    directory = tmp_path / "d"
    # A shell that starts the tests in the background ignores SIGINT, and child processes inherit that.
    inherited = signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "coatcheck.cli",
            "sandbox",
            "--detach",
            "--port",
            "0",
            "--data-dir",
            directory,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    signal.signal(signal.SIGINT, inherited)
    deadline = time.monotonic() + 30
    while not runs(directory) and time.monotonic() < deadline:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == ExitCode.INTERRUPTED
    assert not runs(directory)


class Receiver(BaseHTTPRequestHandler):
    received = threading.Event()

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        type(self).received.set()

    def log_message(self, *arguments):
        pass


@pytest.mark.faults
@pytest.mark.slow
def test_webhooks_go_to_an_address_of_this_machine(tmp_path):
    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{receiver.server_port}/webhooks"
        try:
            started = coatcheck(
                "sandbox",
                "--detach",
                "--port",
                free_port(),
                "--data-dir",
                tmp_path / "d",
                "--webhooks-to",
                url,
            )
            assert started.returncode == 0, started.stderr
            credentials = read_credentials(tmp_path / "d")
            assert credentials.webhook_secret.startswith("whsec_")
            answer = httpx.post(
                f"{credentials.base_url}/coatcheck/sandbox/connections",
                auth=(credentials.client_id, credentials.client_api_key),
                json={"connection": {}},
                timeout=30,
                trust_env=False,
            )
            assert answer.status_code in {200, 201}, answer.text
            assert Receiver.received.wait(60)
        finally:
            coatcheck("stop", "--data-dir", tmp_path / "d")
            receiver.shutdown()
