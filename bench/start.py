"""How long a sandbox and the commands take to start, and how much memory an idle sandbox takes.

    .venv/bin/python -m bench.start

A first start creates the database, a second one finds it. Memory is the proportional set size (PSS) of all processes of
the sandbox, PostgreSQL's too: memory that processes share counts once. Linux only, on a machine that does nothing else.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

RUNS = 5
IDLE_SECONDS = 20
"""Until memory is measured."""
COMMANDS = (
    ["--version"],
    ["--help"],
    ["client", "list", "--help"],
    ["stop", "--data-dir", "/nonexistent"],
)
COATCHECK = [sys.executable, "-m", "coatcheck.cli"]


@contextmanager
def sandbox(directory: Path) -> Iterator[tuple[float, int]]:
    """Yields how many seconds the start took, and the id of the process."""
    started = time.monotonic()
    with subprocess.Popen(
        [*COATCHECK, "sandbox", "--port", "0", "--data-dir", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line == "ready\n" for line in process.stdout)
        yield time.monotonic() - started, process.pid
        process.terminate()


def descendants(pid: int) -> Sequence[int]:
    """The process and all that it started."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            continue  # it has ended
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def megabytes(pid: int) -> float:
    match = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) / 1024


def seconds_of(arguments: Sequence[str]) -> float:
    started = time.monotonic()
    subprocess.run([*COATCHECK, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started


def main() -> None:
    for arguments in COMMANDS:
        median = statistics.median(seconds_of(arguments) for _ in range(RUNS))
        print(f"coatcheck {' '.join(arguments):<32} {median:.2f} s")
    first, second = [], []
    for number in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="coatcheck-bench-") as parent:
            os.chmod(parent, 0o711)  # noqa: PTH101 (as root, PostgreSQL runs as another user)
            with sandbox(Path(parent) / "sandbox") as (seconds, _):
                first.append(seconds)
            with sandbox(Path(parent) / "sandbox") as (seconds, pid):
                second.append(seconds)
                if number == RUNS - 1:
                    time.sleep(IDLE_SECONDS)
                    memory = [megabytes(each) for each in descendants(pid)]
    print(f"sandbox, first start                       {statistics.median(first):.2f} s (limit 4)")
    print(f"sandbox, second start                      {statistics.median(second):.2f} s (limit 2)")
    print(f"idle sandbox, {len(memory)} processes                 {sum(memory):.0f} MB (limit 130)")
    print(f"  of these coatcheck                       {memory[0]:.0f} MB")


if __name__ == "__main__":
    main()
