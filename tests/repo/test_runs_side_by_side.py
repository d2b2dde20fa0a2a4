"""Several runs of the tests on one machine do not disturb each other."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guides import ROOT

CHOOSING = """
from itertools import count
from tests import processes
processes._ports = count(5)
print(processes.free_port(), flush=True)
input()
"""


def test_two_processes_choose_different_ports_before_anything_listens() -> None:
    command = [sys.executable, "-c", CHOOSING]
    with (
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one,
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as two,
    ):
        outputs = (one.stdout, two.stdout)
        ports = [int(output.readline()) for output in outputs if output is not None]
        for process in (one, two):
            process.communicate(b"\n")
    assert ports[0] != ports[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root runs PostgreSQL as another user.")
def test_another_run_of_pytest_does_not_close_the_directories_of_this_one(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(tmp_path): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "test_one.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert " passed" in done.stdout, done.stdout
    assert [
        str(each) for each in (tmp_path, *tmp_path.parents) if not each.stat().st_mode & stat.S_IXOTH
    ] == []
