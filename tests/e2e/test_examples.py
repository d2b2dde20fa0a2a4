"""The example projects and their test suites, as a stranger runs them: in a directory of their own, without network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guides import ROOT

OFFLINE = Path(__file__).parent / "offline"


def run(*command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        check=False,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(OFFLINE)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("name", ["fintech", "processor"])
def test_the_suite_of_the_example_passes_without_network(name: str, tmp_path: Path) -> None:
    project = shutil.copytree(ROOT / "examples" / name, tmp_path / name)
    done = run(
        "-m", "pytest", "-q", "-p", "no:randomly", "--basetemp", str(tmp_path / "pytest"), directory=project
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.com"])
def test_the_network_is_off_in_those_suites(host: str, tmp_path: Path) -> None:
    done = run(
        "-c", f"import socket; socket.create_connection(({host!r}, 443), timeout=5)", directory=tmp_path
    )
    assert f"OSError: The network is off: {host}" in done.stderr


def test_the_fixtures_are_listed_with_what_they_do(tmp_path: Path) -> None:
    listed = run(
        "-m", "pytest", "--fixtures", "-q", "--basetemp", str(tmp_path / "pytest"), directory=tmp_path
    ).stdout
    for name in ("coatcheck_server", "coatcheck", "coatcheck_webhooks", "coatcheck_processor_webhooks"):
        described = listed.partition(f"{name} ")[2].splitlines()[1]
        assert described.strip(), name


def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path) -> None:
    program = "from pathlib import Path; from coatcheck.testing.sandbox import running; "
    program += "running(Path('sandbox'), seed=-1).__enter__()"
    printed = run("-c", program, directory=tmp_path).stderr
    assert "SandboxFailed" in printed
    assert "--seed" in printed


@pytest.mark.parametrize("seed", ["-1", "many"])
def test_a_wrong_seed_is_one_sentence(seed: str, tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(coatcheck): pass\n")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\ncoatcheck_seed = {seed}\n")
    printed = run("-m", "pytest", "-q", "--basetemp", str(tmp_path / "pytest"), directory=tmp_path).stdout
    assert f"coatcheck_seed must be a whole number from 0, and not '{seed}'." in printed
    assert "ValueError" not in printed
