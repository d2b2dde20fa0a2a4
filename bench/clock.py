"""Measures how long a sandbox's clock takes to move: every member is aggregated on every day of the way.

python -m bench.clock --members 50 --days 400
"""

import argparse
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench.start import descendants
from coatcheck.testing.sandbox import running

SETTLE = timedelta(days=2)
"""The first daily aggregation of a member reads more than those that follow."""


def cpu_seconds() -> dict[str, float]:
    """The CPU time so far of the processes that this one has started: PostgreSQL's, and the others."""
    ticks = os.sysconf("SC_CLK_TCK")
    sums = {"PostgreSQL": 0.0, "Coatcheck": 0.0}
    for pid in descendants(os.getpid())[1:]:
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition(" (")[2].rpartition(") ")
        except FileNotFoundError:
            continue  # it has ended
        user, system = rest.split()[11:13]
        sums["PostgreSQL" if name.startswith("postgres") else "Coatcheck"] += (
            int(user) + int(system)
        ) / ticks
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--days", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running(Path(directory) / "sandbox") as sandbox:
        for _ in range(given.members):
            sandbox.connect()
        sandbox.clock.advance(SETTLE)
        before, began = cpu_seconds(), time.perf_counter()
        ran = sandbox.clock.advance(timedelta(days=given.days))
        seconds, after = time.perf_counter() - began, cpu_seconds()
    print(
        f"{given.members} members, {given.days} days: {seconds:.1f} s, {ran['jobs']} jobs, {ran['events']} events"
    )
    print(f"for one job: {1000 * seconds / ran['jobs']:.2f} ms")
    for name, spent in after.items():
        print(f"CPU time of {name} for one job: {1000 * (spent - before[name]) / ran['jobs']:.2f} ms")


if __name__ == "__main__":
    main()
