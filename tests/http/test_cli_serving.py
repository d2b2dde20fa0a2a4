"""The processes `coatcheck serve` and `coatcheck work`: they start, and they stop on a signal."""

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
from coatcheck.events.claims import PER_OWNER
from tests.member_setup import PATIENCE

IDLE_MEGABYTES = 120
STOP = 15
"""Seconds. If a connection that is idle delayed the stop of `serve`, it would take twenty."""


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
                next(each for each in lines if each["event"] in {"server.started", "worker.started"}),
            )
        finally:
            running.kill()


def assert_stops(running, number):
    running.send_signal(number)
    assert running.wait(STOP) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_and_stops_at_once_when_idle(own_url, master_key, number):
    with process("serve", own_url, master_key, "--port", "0") as (running, line):
        address = f"http://{line['host']}:{line['port']}"
        with httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE) as client:
            assert client.get("/health").status_code == 200
            assert client.get("/users").status_code == 401
            # The client's idle connection does not delay the stop.
            assert_stops(running, number)


def test_a_process_has_threads_for_more_look_ups_than_one_receiver_can_hold_up():
    script = """
import asyncio, os
from coatcheck.cli import runtime

async def threads():
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    return len(os.listdir("/proc/self/task"))

print(runtime.run(threads()))
"""
    environment = {name: value for name, value in os.environ.items() if name != "UV_THREADPOOL_SIZE"}
    found = subprocess.check_output([sys.executable, "-c", script], text=True, env=environment)
    # libuv gives half of its threads to look-ups.
    assert int(found) // 2 > PER_OWNER


def test_an_idle_server_uses_less_than_120_mb(own_url, master_key):
    with process("serve", own_url, master_key, "--port", "0") as (running, line):
        httpx.get(f"http://{line['host']}:{line['port']}/health", trust_env=False, timeout=PATIENCE)
        kilobytes = subprocess.check_output(["ps", "-o", "rss=", "-p", str(running.pid)], text=True)
        assert int(kilobytes) < IDLE_MEGABYTES * 1024


def test_a_port_in_use_is_a_configuration_error(own_url, master_key, own_operator):
    with process("serve", own_url, master_key, "--port", "0") as (_, line):
        answer = own_operator("serve", "--port", str(line["port"]))
        assert answer.code == ExitCode.CONFIGURATION
        assert "Choose another with --port" in answer.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_doctor_sees_a_worker_and_a_signal_stops_it(own_url, master_key, own_operator, number):
    def worker_status():
        findings = json.loads(own_operator("doctor", "--json").out)
        return next(finding["status"] for finding in findings if finding["check"] == "worker")

    with process("work", own_url, master_key) as (running, _):
        deadline = time.monotonic() + PATIENCE
        while worker_status() != "ok":
            assert time.monotonic() < deadline
        assert_stops(running, number)
    assert worker_status() == "fail"
