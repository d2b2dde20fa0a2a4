"""`coatcheck bench` measures a sandbox, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = [sys.executable, "-m", "coatcheck.cli", "bench", "--requests", "10"]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BENCH, *arguments], capture_output=True, text=True, check=False)


def test_it_measures_each_kind_of_request(sandbox_credentials: Path) -> None:
    done = bench("--json", "--data-dir", str(sandbox_credentials.parent))
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["requests"] for row in rows] == [
        "exchange",
        "account numbers",
        "balances",
        "transactions",
        "code",
    ]
    assert all(row["per_second"] > 0 and row["p99_ms"] >= row["p50_ms"] for row in rows)


def test_a_directory_without_a_sandbox_is_refused(tmp_path: Path) -> None:
    done = bench("--data-dir", str(tmp_path))
    assert done.returncode != 0
    assert "is not the directory of a sandbox" in done.stderr
