"""Measures what a test suite waits for: the start of its sandbox, and a world for each test.

    python bench/worlds.py

A world is what the fixture `coatcheck` and one `connect` give: an emptied sandbox with a new connected member, its
numbers and owners read.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from coatcheck.testing.sandbox import Sandbox, running

WORLDS = 200


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def world(sandbox: Sandbox) -> None:
    sandbox.reset()
    sandbox.connect()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        for start in ("cold", "warm"):
            began = time.perf_counter()
            with running(Path(directory)) as sandbox:
                print(f"{start} start: {time.perf_counter() - began:.2f} s")
                if start == "warm":
                    worlds = [milliseconds(lambda: world(sandbox)) for _ in range(WORLDS)]
                    tokens = [milliseconds(sandbox.token) for _ in range(20)]
                    for name, times in (("world", worlds), ("connection and token", tokens)):
                        print(f"{name}: median {statistics.median(times):.1f} ms of {len(times)}")


if __name__ == "__main__":
    main()
