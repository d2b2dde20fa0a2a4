"""The lock files, the wheel, the targets of make, compose.yaml and the container image."""

import hashlib
import json
import os
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from coatcheck.config import names

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"(?P<name>[a-z0-9-]+)(\[[a-z,]+\])?==[^ ]+")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(lock):
    return {
        match["name"]
        for match in map(PIN.match, (ROOT / "requirements" / lock).read_text().splitlines())
        if match
    }


def names_of(requirements):
    return {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in requirements}


def test_no_symbolic_link_is_tracked():
    """One that leads out of the tree stops `make setup` in every other clone."""
    listed = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert listed
    assert [line for line in listed if line.startswith("120000")] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_dependency_is_pinned_with_its_hashes_and_names_no_registry(lock):
    entries = re.sub(r" \\\n", "", lock.read_text()).splitlines()
    assert entries
    for entry in entries:
        assert PIN.match(entry), entry
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry, entry


@pytest.mark.parametrize(
    "lock", sorted(ROOT.glob("tests/*/package-lock.json")), ids=lambda lock: lock.parent.name
)
def test_every_package_from_npm_is_pinned_with_its_hash_and_names_no_registry(lock):
    packages = json.loads(lock.read_text())["packages"]
    declared = packages.pop("")["devDependencies"]
    assert declared
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
    assert all(re.fullmatch(r"(npm:[a-z-]+@)?\d+\.\d+\.\d+", version) for version in declared.values())


def test_the_lock_files_pin_every_declared_dependency():
    assert names_of(PROJECT["dependencies"]) <= pinned("runtime.txt") <= pinned("dev.txt")
    assert names_of(PROJECT["optional-dependencies"]["dev"]) <= pinned("dev.txt")
    assert pinned("build.txt") <= pinned("dev.txt")
    assert "mx-platform-python" in pinned("sdk.txt")


def test_a_package_has_one_version_in_all_lock_files():
    versions = {}
    for lock in ("runtime.txt", "dev.txt", "build.txt"):
        for line in (ROOT / "requirements" / lock).read_text().splitlines():
            if match := PIN.match(line):
                versions.setdefault(match["name"], set()).add(match[0])
    assert [found for found in versions.values() if len(found) > 1] == []


def test_the_licence_is_apache_2_word_for_word():
    text = (ROOT / "LICENSE").read_bytes()
    assert (
        hashlib.sha256(text).hexdigest() == "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"
    )
    assert PROJECT["license"] == "Apache-2.0"


def test_the_wheel_contains_every_file_of_the_package(tmp_path):
    built = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
    package = ROOT / "src" / "coatcheck"
    ours = {
        f"coatcheck/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_continuous_integration_runs_make_check_and_depends_on_no_host():
    run = ROOT / ".ci" / "run"
    assert os.access(run, os.X_OK)
    assert "set -euo pipefail" in run.read_text()
    assert "make check" in run.read_text()
    assert not (ROOT / ".github").exists()
    assert not (ROOT / ".gitlab-ci.yml").exists()


def test_make_help_names_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    help_text = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[1] for line in help_text.splitlines()] == targets


def test_make_without_a_usable_python_says_what_to_install(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").touch()
    refused = subprocess.run(
        ["make", ".venv/ready", "PYTHON="], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "python3-venv" in refused.stderr


@pytest.mark.parametrize(("exit_code", "is_ready"), [(0, True), (1, False)])
def test_setup_prints_a_dot_for_each_package_and_reports_a_failure(tmp_path, exit_code, is_ready):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "sdk.txt").touch()
    pip = tmp_path / ".venv-sdk" / "bin" / "python"
    pip.parent.mkdir(parents=True)
    lines = (
        "Looking in indexes: elsewhere\nCollecting one\n  Downloading one\nCollecting two\nInstalling both"
    )
    pip.write_text(f"#!/bin/sh\nprintf '{lines}\n'\nexit {exit_code}\n")
    pip.chmod(0o755)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    done = subprocess.run(
        ["make", ".venv-sdk/ready"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[1:] == [".. unpacking"]
    assert (done.returncode == 0, (tmp_path / ".venv-sdk" / "ready").exists()) == (is_ready, is_ready)


def test_make_secrets_creates_the_files_of_compose_that_only_their_owner_can_read(tmp_path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    subprocess.run(["make", "secrets"], cwd=tmp_path, capture_output=True, check=True)
    secrets = yaml.safe_load((ROOT / "compose.yaml").read_text())["secrets"]
    for secret in secrets.values():
        file = tmp_path / secret["file"]
        assert file.stat().st_mode & 0o077 == 0
    password = (tmp_path / "secrets" / "database_password").read_text()
    assert len(password) == 48
    assert (tmp_path / "secrets" / "pgpass").read_text() == f"*:*:*:*:{password}\n"
    assert re.fullmatch(r"mk-1:[A-Za-z0-9+/]{43}=\n", (tmp_path / "secrets" / "master_key").read_text())
    assert subprocess.run(["make", "secrets"], cwd=tmp_path, capture_output=True, check=False).returncode == 2


def test_compose_runs_postgres_one_migration_serve_and_work_with_secrets_from_files():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert list(services) == ["postgres", "migrate", "serve", "work"]
    for name in ("serve", "work"):
        assert services[name]["command"] == [name]
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["migrate"]["restart"] == "no"
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"].startswith("/run/secrets/")
    for service in services.values():
        for value in service["environment"].values():
            assert not re.search(r"://[^/@]*:[^/@]*@", value), "a password in a URL"
    assert all(port.startswith("127.0.0.1:") for port in services["serve"]["ports"])


def test_every_setting_in_compose_exists():
    given = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["serve"]["environment"]
    assert {name.removeprefix("COATCHECK_").lower() for name in given} <= set(names())


def test_the_image_runs_as_an_unprivileged_user_with_hashed_dependencies():
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile.rsplit("FROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "pip" not in final
    for line in dockerfile.splitlines():
        if "pip install" in line:
            assert "--require-hashes" in line or "--no-index" in line
