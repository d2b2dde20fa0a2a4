"""Changes the code of a package in one place at a time, with mutmut, and runs the tests that reach the place.

python -m tests.mutants                                     # every package: what no earlier run has tried
python -m tests.mutants grants                              # this package
python -m tests.mutants grants --survivors                  # the changes that survived, each in a process of its own
python -m tests.mutants grants 'coatcheck.grants.scope.*'   # these, again
python -m tests.mutants grants --sample 200                 # 200 of them, by chance; --seed 2 draws others
python -m tests.mutants grants --survivors --seconds 300    # with more of the tests that reach each
python -m tests.mutants grants --survivors --tests 'FILE FILE'   # with these tests
python -m tests.mutants results                             # numbers only

Each package has a directory of its own in `mutants/`, with its configuration and its results: mutmut runs one
selection of tests for a directory, and forgets its results when the selection changes.

This module is a pytest plugin too. mutmut passes every test that reaches a change, sorted by duration: thousands for
what each request calls, and a database is created whenever the file changes. The plugin selects the closest ones, file
by file.

mutmut switches a change on in a copy of a process that has run the tests. What a module computed when it was imported,
or keeps in a cache, is not computed again there. So what survives is tried again, in a process for each change. Of a
function that thousands of tests reach, the selection can miss the one that is about the changed line. So the second
time, each package names its files of tests.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from itertools import chain
from pathlib import Path

import hypothesis
import pytest

from tests.databases import postgres

ROOT = Path(__file__).parent.parent
DIRECTORY = ROOT / "mutants"
ALONE = "alone.json"
MUTMUT = str(Path(sys.executable).parent / "mutmut")
SECONDS_PER_TEST = 60
"""A test that takes longer hangs."""
SECONDS_PER_CHANGE = 20
"""So long do the tests of a change take if none fails; a run of all packages ends in a night."""
SETUP_OF_FILE, SETUP_OF_TEST = 0.5, 0.1
"""Seconds that the durations that mutmut records do not contain."""


@dataclass(frozen=True)
class Package:
    code: str
    """The files that are changed, as globs below `src/coatcheck`."""
    tests: str
    """The files of `tests/unit` and `tests/http` whose tests count, without their prefix `test_`."""
    again: str = ""
    """Those by which what survived is tried again. Without any, a selection for three times as many seconds."""


PACKAGES = {
    "grants": Package(
        "grants/*.py",
        "grants_* oauth_* management* portal* api_access api_disclosures api_processors api_scopes "
        "authorization_disclosures cells_move cli_grants cli_processor_security cli_receipts dashboard_exports "
        "dashboard_overview directory_processor_security events failed_authentications list_scoping long_token_list "
        "selected_accounts signatures simplefin widget_session",
    ),
    "vault": Package(
        "vault/*.py crypto.py",
        "vault_* crypto sign* cli_audit cli_doctor cli_grants cli_keys api_accounts api_disclosures api_users "
        "dashboard_exports directory directory_attestations grants_access grants_fdx grants_partitions grants_receipts "
        "list_scoping management members_ingest portal readiness",
        "vault_* crypto list_scoping audit_export",
    ),
    "audit": Package(
        "audit/*.py",
        "audit_* cli_audit cli_doctor cli_logs dashboard_client dashboard_exports dashboard_operator database_roles "
        "directory events_delivery failed_authentications grants_audit signing_keys",
        "audit_journal audit_url audit_sealing audit_export audit_verify audit_prune events_delivery "
        "webhook_endpoints dashboard_exports",
    ),
    "members": Package(
        "members/status.py members/sync.py",
        "members_* api_members tracing",
        "members_runs members_sync members_status",
    ),
    "jobs": Package(
        "jobs/*.py", "jobs_* members_jobs members_claims members_connect events_delivery readiness tracing"
    ),
    "http": Package(
        "http/*.py",
        "http_* api_access api_processors api_query api_versions allowed_networks cells cli_server dashboard_exports "
        "dashboard_overview every_answer events management* oauth_return oauth_sender_constraints oauth_server "
        "openapi portal rate_limits readiness redirect_urls request_bodies sandbox_faults schemas_* scope_matrix "
        "spellings_of_requests statement_files text throttling widget_languages widget_page widget_session "
        "widget_statement_files",
        "http_* openapi spellings_of_requests request_bodies api_access readiness simplefin widget_page cli_server "
        "cells portal sandbox_faults schemas_decoding scope_matrix statement_files",
    ),
}

CONFIGURATION = """\
[tool.mutmut]
source_paths = ["src"]
only_mutate = {only_mutate}
# uvicorn calls an application to see whether it is one.
do_not_mutate = ["src/coatcheck/http/head_limits.py", "src/coatcheck/http/key_use.py"]
pytest_add_cli_args_test_selection = ["tests/unit", "tests/http"]
pytest_add_cli_args = {arguments}
also_copy = ["README.md", "bench", "docs"]
timeout_multiplier = 1000.0
timeout_constant = 1000.0
use_git_change_detection = false
"""
GENERATE = """\
from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
copy_src_dir()
copy_also_copy_files()
create_mutants(1)
"""
DISABLED_PLUGINS = ("randomly", "xdist", "cacheprovider", "unraisableexception")
# uvicorn takes the application of these tests for a factory, because mutmut has changed the type of its methods.
DESELECTED = "not trailer"
ARGUMENTS = [
    *("-p", "tests.mutants", "-k", DESELECTED),
    *(word for plugin in DISABLED_PLUGINS for word in ("-p", f"no:{plugin}")),
]


def pytest_configure(config: pytest.Config) -> None:
    """Selects the tests of a change, and for the run without a change those that some change will need."""
    hypothesis.settings.register_profile(
        "mutants",
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),  # nobody reads the smallest example
    )
    hypothesis.settings.load_profile("mutants")
    change = os.environ.get("MUTANT_UNDER_TEST", "not mutmut")
    if "__mutmut_" in change:
        named = os.environ.get("TESTS_OF_CHANGE", "").split()
        config.args = named or Statistics.load().tests_of(change.rpartition("__mutmut_")[0])
    elif not change:
        statistics = Statistics.load()
        config.args = sorted({test for each in statistics.tests for test in statistics.tests_of(each)})


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


@dataclass(frozen=True)
class Statistics:
    """What mutmut recorded when it ran every test once."""

    tests: dict[str, list[str]]
    """The tests that reach each function."""
    durations: dict[str, float]
    reach: Counter[str]
    """The number of functions that each test reaches."""
    in_module: Counter[tuple[str, str]]
    """The number of functions of a module that each test reaches, by module and test."""

    @classmethod
    @cache  # mutmut starts a process for each change as a copy of the one that ran without a change
    def load(cls) -> "Statistics":
        recorded = json.loads(Path("mutmut-stats.json").read_text())
        tests = recorded["tests_by_mangled_function_name"]
        reached = [(function, test) for function, each in tests.items() for test in each]
        return cls(
            tests,
            recorded["duration_by_test"],
            Counter(test for _, test in reached),
            Counter((module_of(function), test) for function, test in reached),
        )

    def tests_of(self, function: str) -> list[str]:
        """The closest tests that reach the function, as many as fit in the seconds, file by file."""
        module, left = module_of(function), float(os.environ["SECONDS_PER_CHANGE"])
        # Those that fail early reach few functions, those that use the result reach many of the module.
        # pytest escapes the backslash of an id again whenever it collects in the same process, and finds no such test.
        found = [test for test in self._reaching(function) if "\\" not in test]
        narrow = sorted(found, key=lambda test: (self.reach[test], self.durations[test], test))
        deep = sorted(narrow, key=lambda test: -self.in_module[module, test])
        files: dict[str, list[str]] = {}
        for test in dict.fromkeys(chain.from_iterable(zip(deep, narrow, strict=True))):
            file = test.partition("::")[0]
            left -= self.durations[test] + SETUP_OF_TEST + (file not in files) * SETUP_OF_FILE
            if left > 0 or not files:
                files.setdefault(file, []).append(test)
        return [test for tests in files.values() for test in tests]

    def _reaching(self, function: str) -> list[str]:
        """The tests that reach the function, or its module if it runs only when the module is imported."""
        module = module_of(function)
        return self.tests.get(function) or [test for each, test in self.in_module if each == module]


def files_of(tests: str) -> str:
    """The files that the names of a package's tests stand for, separated by spaces."""
    folders = (ROOT / "tests" / "unit", ROOT / "tests" / "http")
    found = [
        file
        for name in tests.split()
        for folder in folders
        for file in sorted(folder.glob(f"test_{name}.py"))
    ]
    return " ".join(file.relative_to(ROOT).as_posix() for file in found)


def module_of(function: str) -> str:
    return function.rpartition(".")[0]


def prepared(name: str) -> Path:
    """The directory of the package, with what mutmut copies from it."""
    package, directory = PACKAGES[name], DIRECTORY / name
    directory.mkdir(parents=True, exist_ok=True)
    for entry in ("src", "docs", "README.md"):
        if not (directory / entry).exists():
            (directory / entry).symlink_to(ROOT / entry)
    for folder in ("bench", "tests"):  # some tests fill the database as the benchmark does
        shutil.rmtree(directory / folder, ignore_errors=True)
        # What npm installed is 300 MB, which mutmut would copy each time.
        ignored = shutil.ignore_patterns("node_modules", "__pycache__")
        shutil.copytree(ROOT / folder, directory / folder, ignore=ignored)
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
    alone = results_alone(directory)
    command = [MUTMUT, "results", "--all", "true"]
    answer = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    for line in answer.stdout.splitlines():
        name, _, result = line.strip().rpartition(": ")
        yield name, alone.get(name, result)


def results_alone(directory: Path) -> dict[str, str]:
    """The results of the changes that were tried in a process of their own."""
    file = directory / ALONE
    return json.loads(file.read_text()) if file.exists() else {}


def run_alone(directory: Path, environment: dict[str, str], change: str) -> tuple[str, str]:
    """Runs the tests of a change in a process of their own, and returns the change with its result."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *ARGUMENTS],
        cwd=directory / "mutants",
        env={**environment, "MUTANT_UNDER_TEST": change, "PYTHONPATH": "src"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    result = {0: "survived", int(pytest.ExitCode.NO_TESTS_COLLECTED): "no tests"}
    return change, result.get(done.returncode, "timeout" if done.returncode < 0 else "killed")


def run_each_alone(directory: Path, environment: dict[str, str], changes: list[str], processes: int) -> None:
    # The tests that were written since mutmut copied them.
    shutil.copytree(directory / "tests", directory / "mutants" / "tests", dirs_exist_ok=True)
    with ThreadPoolExecutor(processes) as pool:
        for change, result in pool.map(partial(run_alone, directory, environment), changes):
            print(f"{result}: {change}", flush=True)
            (directory / ALONE).write_text(json.dumps({**results_alone(directory), change: result}))


def summary(found: Iterable[str]) -> str:
    number = Counter(found)
    tried = number.total() - number["not checked"]
    killed = number["killed"] + number["timeout"]
    return f"{number.total()} changes, {tried} tried, {killed} killed ({killed / max(tried, 1):.1%}): {dict(number)}"


def survivors(found: Iterable[tuple[str, str]]) -> list[str]:
    return [name for name, result in found if result not in {"killed", "timeout", "not checked"}]


def sample(found: Iterable[tuple[str, str]], options: argparse.Namespace) -> dict[str, str]:
    """The names and the results of the changes that `--sample` and `--seed` draw: the same ones each time."""
    number = dict(sorted(found))
    drawn = random.Random(options.seed).sample(list(number), min(options.sample, len(number)))
    return {name: number[name] for name in drawn}


def selected(directory: Path, options: argparse.Namespace) -> list[str] | None:
    """The names or patterns of the changes to try, [] for all that no run has tried, and None for no change."""
    if not options.survivors and not options.sample:
        return list(options.changes)
    if options.survivors:
        patterns = options.changes or ["*"]
        found = survivors(results(directory))
        return [each for each in found if any(fnmatchcase(each, pattern) for pattern in patterns)] or None
    subprocess.run([sys.executable, "-c", GENERATE], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    drawn = sample(results(directory), options)
    return [name for name, result in drawn.items() if result == "not checked"] or None


def run(name: str, options: argparse.Namespace) -> int:
    directory = prepared(name)
    # Found out before: pytest ends with the same code if a change breaks what it imports first.
    if missing := [file for file in options.tests.split() if not (directory / file).is_file()]:
        sys.exit(f"There is no {missing[0]}.")
    if (changes := selected(directory, options)) is None:
        return 0
    command = [MUTMUT, "run", "--max-children", str(options.processes), *changes]
    with postgres() as url:
        environment = {**os.environ, "TEST_SERVER_URL": url, "SECONDS_PER_CHANGE": str(options.seconds)}
        code = 0
        if not options.survivors:
            code = subprocess.run(command, cwd=directory, env=environment, check=False).returncode
            tried = results_alone(directory)
            changes = [each for each in survivors(results(directory)) if each not in tried]
        environment["SECONDS_PER_CHANGE"] = str(3 * options.seconds)
        environment["TESTS_OF_CHANGE"] = options.tests or files_of(PACKAGES[name].again)
        run_each_alone(directory, environment, changes, options.processes)
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
    parser.add_argument("--survivors", action="store_true", help="again, each in a process of its own")
    parser.add_argument("--sample", type=int, help="the number of changes to draw from those of each package")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS_PER_CHANGE, help="of tests for each change")
    parser.add_argument(
        "--tests", default="", help="with --survivors: files of tests, in place of a selection"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    codes = [run(each, options) for each in PACKAGES if options.package in {each, "all"}]
    for each in PACKAGES:
        if (DIRECTORY / each).exists():
            found = list(results(DIRECTORY / each))
            print(f"{each}: {summary(result for _, result in found)}")
            if options.sample:
                print(f"{each}, sample: {summary(sample(found, options).values())}")
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
