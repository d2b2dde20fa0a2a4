"""Compares the pinned dependencies with the database of known vulnerabilities.

python -m tests.audit

It fails if one is known to be vulnerable. Without access to the database it cannot compare, and says so.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCKS = ("runtime.txt", "dev.txt")
NOT_COMPARED = "The database of vulnerabilities does not answer: the dependencies were NOT compared with it."


def report(found: list[dict[str, object]]) -> tuple[int, list[str]]:
    """The exit code, and what to print about the answer of pip-audit."""
    compared = [each for each in found if "vulns" in each]
    if not compared:
        return 0, [NOT_COMPARED]
    lines = [
        f"{each['name']} {each['version']}: {issue['id']}, fixed in {', '.join(issue['fix_versions']) or 'no version'}"
        for each in compared
        for issue in each["vulns"]  # type: ignore[attr-defined]
    ]
    missing = len(found) - len(compared)
    note = f"; {missing} are not in it" if missing else ""
    return bool(lines), [*lines, f"{len(compared)} dependencies were compared{note}."]


def main() -> int:
    exit_code = 0
    for lock in LOCKS:
        done = subprocess.run(
            [Path(sys.executable).parent / "pip-audit", "--requirement", f"requirements/{lock}",
             "--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        try:
            found = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError):
            found = []
        failed, lines = report(found)
        exit_code |= failed
        print(f"requirements/{lock}:", *lines, sep="\n  ")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
