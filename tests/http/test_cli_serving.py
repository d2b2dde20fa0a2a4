"""The two processes of an installation: they serve, they work, and they stop on a signal."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from coatcheck.cli.exit_codes import ExitCode

IDLE_MEGABYTES = 120
STOP = 10
"""Seconds."""


@contextmanager
def process(command, url, master_key, *arguments):
    """The process and the line with which its log says that it has started."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    settings = {
        "COATCHECK_DATABASE_URL": url,
        "COATCHECK_MASTER_KEY": master_key,
        "COATCHECK_CONNECTORS": "sandbox",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "coatcheck.cli", command, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment | settings,
    ) as running:
        try:
            lines = map(json.loads, running.stderr)
            yield (
                running,
                next(line for line in lines if line["event"] in {"server.started", "worker.started"}),
            )
        finally:
            running.kill()


def stopped(running, number):
    began = time.monotonic()
    running.send_signal(number)
    assert running.wait(STOP) == 0
    return time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_and_stops_at_once_when_idle(own_url, master_key, number):
    with process("serve", own_url, master_key, "--port", "0") as (running, said):
        address = f"http://{said['host']}:{said['port']}"
        with httpx.Client(base_url=address, trust_env=False) as client:
            assert client.get("/health").status_code == 200
            assert client.get("/users").status_code == 401
            assert stopped(running, number) < 3  # the client's idle connection does not hold it


def test_an_idle_server_is_small(own_url, master_key):
    with process("serve", own_url, master_key, "--port", "0") as (running, said):
        httpx.get(f"http://{said['host']}:{said['port']}/health", trust_env=False)
        kilobytes = subprocess.check_output(["ps", "-o", "rss=", "-p", str(running.pid)], text=True)
        assert int(kilobytes) < IDLE_MEGABYTES * 1024


def test_a_port_that_is_taken_is_refused_before_anything_else(own_url, master_key, own_operator):
    with process("serve", own_url, master_key, "--port", "0") as (_, said):
        answer = own_operator("serve", "--port", str(said["port"]))
        assert answer.code == ExitCode.CONFIGURATION
        assert "Choose another with --port" in answer.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_doctor_sees_a_worker_and_a_signal_stops_it(own_url, master_key, own_operator, number):
    def outcome():
        findings = json.loads(own_operator("doctor", "--json").out)
        return next(finding["status"] for finding in findings if finding["check"] == "worker")

    with process("work", own_url, master_key) as (running, _):
        deadline = time.monotonic() + 10
        while outcome() != "ok":
            assert time.monotonic() < deadline
        assert stopped(running, number) < STOP
    assert outcome() == "fail"
