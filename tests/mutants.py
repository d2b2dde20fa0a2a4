"""Changes the code of a package in one place at a time, with mutmut, and runs the tests that reach the place.

python -m tests.mutants                                     # every package: what no earlier run has tried
python -m tests.mutants grants                              # this package
python -m tests.mutants grants --survivors                  # the changes that survived, again
python -m tests.mutants grants 'coatcheck.grants.scope.*'   # these, again
python -m tests.mutants grants '*[37]'                      # a sample: changes have numbers
python -m tests.mutants results                             # numbers only

Each package has a directory of its own in `mutants/`, with its configuration and its results: mutmut runs one
selection of tests for a directory, and forgets its results when the selection changes. This module is a pytest plugin
too: mutmut passes the tests sorted by duration, and a database is created for each change of the file.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from tests.databases import postgres

ROOT = Path(__file__).parent.parent
DIRECTORY = ROOT / "mutants"
MUTMUT = Path(sys.executable).parent / "mutmut"
SECONDS_PER_TEST = 60


@dataclass(frozen=True)
class Package:
    code: str
    """The files that are changed, as globs below `src/coatcheck`."""
    tests: str
    """The files of `tests/unit` and `tests/http` whose tests count, without their prefix `test_`."""


PACKAGES = {
    "grants": Package(
        "grants/*.py",
        "grants_* oauth_* management* api_access api_disclosures api_processors api_scopes authorization_disclosures "
        "cli_grants cli_processor_security cli_receipts directory_processor_security failed_authentications "
        "list_scoping long_token_list signatures widget_session",
    ),
    "vault": Package(
        "vault/*.py crypto.py",
        "vault_* crypto sign* cli_doctor cli_keys api_accounts api_disclosures api_users directory "
        "directory_attestations grants_access grants_fdx grants_partitions grants_receipts list_scoping members_ingest",
    ),
    "audit": Package(
        "audit/*.py",
        "audit_* cli_audit cli_doctor cli_logs database_roles failed_authentications grants_audit signing_keys",
    ),
    "members": Package("members/status.py members/sync.py", "members_* api_members tracing"),
    "jobs": Package(
        "jobs/*.py", "jobs_* members_jobs members_claims members_connect events_delivery readiness tracing"
    ),
    "http": Package(
        "http/*.py",
        "http_* api_access api_processors api_query api_versions allowed_networks cli_server every_answer management "
        "oauth_sender_constraints oauth_server openapi rate_limits readiness redirect_urls request_bodies schemas_* "
        "throttling text widget_page widget_session",
    ),
}

CONFIGURATION = """\
[tool.mutmut]
source_paths = ["src"]
only_mutate = {only_mutate}
do_not_mutate = ["src/coatcheck/http/head_limits.py"]  # uvicorn calls an application to see whether it is one
pytest_add_cli_args_test_selection = ["tests/unit", "tests/http"]
pytest_add_cli_args = {arguments}
also_copy = ["README.md", "docs"]
timeout_multiplier = 1000.0
timeout_constant = 1000.0
use_git_change_detection = false
"""
DISABLED_PLUGINS = ("randomly", "xdist", "cacheprovider", "unraisableexception")
ARGUMENTS = ["-p", "tests.mutants", *(word for plugin in DISABLED_PLUGINS for word in ("-p", f"no:{plugin}"))]


def pytest_configure() -> None:
    hypothesis.settings.register_profile(
        "mutants", max_examples=20, deadline=None, derandomize=True, database=None
    )
    hypothesis.settings.load_profile("mutants")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Ends the process when a test hangs on a change.

    mutmut's own timers outlive the process that they watch, and would end another one that got its id.
    """
    if "__mutmut_" in os.environ.get("MUTANT_UNDER_TEST", ""):
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGXCPU))
        signal.alarm(SECONDS_PER_TEST)
    yield
    signal.alarm(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests by file, those without HTTP first, and keeps mutmut's order of the files and in each file."""
    order: dict[Path, int] = {}
    for item in items:
        order.setdefault(item.path, len(order))
    items.sort(key=lambda item: ("http" in item.path.parts, order[item.path]))


def prepared(name: str) -> Path:
    """The directory of the package, with links to what mutmut copies from it."""
    package, directory = PACKAGES[name], DIRECTORY / name
    directory.mkdir(parents=True, exist_ok=True)
    for entry in ("src", "tests", "docs", "README.md"):
        if not (directory / entry).exists():
            (directory / entry).symlink_to(ROOT / entry)
    project = (ROOT / "pyproject.toml").read_text()
    files = " ".join(f"test_{tests}.py" for tests in package.tests.split())
    (directory / "pyproject.toml").write_text(
        f"{project}\n"
        + CONFIGURATION.format(
            only_mutate=[f"src/coatcheck/{files}" for files in package.code.split()],
            arguments=[*ARGUMENTS, "-o", f"python_files={files}"],
        )
    )
    return directory


def results(directory: Path) -> Iterator[tuple[str, str]]:
    """The name and the result of each change: 'killed', 'survived', 'timeout', 'no tests' or 'not checked'."""
    command = [MUTMUT, "results", "--all", "true"]
    answer = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    for line in answer.stdout.splitlines():
        name, _, result = line.strip().rpartition(": ")
        yield name, result


def summary(directory: Path) -> str:
    number = Counter(result for _, result in results(directory))
    tried = number.total() - number["not checked"]
    killed = number["killed"] + number["timeout"]
    return f"{number.total()} changes, {tried} tried, {killed} killed ({killed / max(tried, 1):.1%}): {dict(number)}"


def survivors(directory: Path) -> list[str]:
    return [name for name, result in results(directory) if result not in {"killed", "timeout", "not checked"}]


def run(name: str, options: argparse.Namespace) -> int:
    directory = prepared(name)
    changes = survivors(directory) if options.survivors else options.changes
    if options.survivors and not changes:
        return 0
    command = [MUTMUT, "run", "--max-children", str(options.processes), *changes]
    with postgres() as url:
        code = subprocess.run(
            command, cwd=directory, env={**os.environ, "TEST_SERVER_URL": url}, check=False
        ).returncode
    if code < 0:
        print(f"mutmut was ended by {signal.Signals(-code).name}. Run it again: it continues.")
    for change, result in results(directory):
        if result not in {"killed", "not checked"}:
            print(f"{result}: {change}")
    return code


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("package", nargs="?", default="all", choices=[*PACKAGES, "all", "results"])
    parser.add_argument("changes", nargs="*", help="names of changes, with * for any characters")
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    codes = [run(each, options) for each in PACKAGES if options.package in {each, "all"}]
    for each in PACKAGES:
        if (DIRECTORY / each).exists():
            print(f"{each}: {summary(DIRECTORY / each)}")
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
