"""A sandbox starts in any directory and environment, or says in one sentence why not. There is never a traceback."""

import ctypes
import json
import os
import resource
import subprocess
import sys

import httpx
import pytest

from coatcheck.cli import data_directory
from coatcheck.cli.data_directory import read_credentials
from coatcheck.cli.exit_codes import ExitCode


def coatcheck(*arguments, preexec_fn=None, **settings):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    return subprocess.run(
        [sys.executable, "-m", "coatcheck.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env=environment | settings,
        preexec_fn=preexec_fn,
    )


def works(directory, **settings):
    """Starts a sandbox on the directory, calls it, runs an operator's command on it, and stops it."""
    started = coatcheck("sandbox", "--detach", "--port", 0, "--data-dir", directory, **settings)
    try:
        assert started.returncode == 0, started.stderr
        credentials = read_credentials(directory)
        answer = httpx.get(
            f"{credentials.base_url}/users",
            auth=(credentials.client_id, credentials.client_api_key),
            trust_env=False,
            timeout=60,
        )
        assert answer.status_code == 200
        listed = coatcheck("client", "list", "--data-dir", directory, "--json", **settings)
        assert listed.returncode == 0, listed.stderr
        assert [client["client_id"] for client in json.loads(listed.stdout)] == [credentials.client_id]
    finally:
        stopped = coatcheck("stop", "--data-dir", directory, **settings)
    assert stopped.stdout == "Stopped.\n", stopped.stderr


def is_one_sentence(answer, code=ExitCode.CONFIGURATION):
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    (line,) = answer.stderr.splitlines()
    assert line.startswith("coatcheck: ")
    return line


NAMES = {
    "spaces": "my own sandbox",
    "percent": "100% sure",
    "ampersand": "you & me",
    "long": "deep" * 30,
    "comma": "a,b",
    "apostrophe": "it's",
    "dollar": "$HOME $(touch never)",
    "double quotes": 'a "quoted" name',
    "backslash and backtick": "a\\b `touch never`",
    "unicode": "данные-日本-é",
    "hash and question mark": "what?#1",
    "leading hyphen": "-rf",
    "glob": "*[a]",
}


QUICK = {"spaces"}
"""What every run of the suite tries. `make slow` tries every name."""


@pytest.mark.faults
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, id=id, marks=() if id in QUICK else pytest.mark.slow) for id, name in NAMES.items()],
)
def test_a_sandbox_and_the_commands_of_an_operator_work_in_a_directory_with_an_odd_name(tmp_path, name):
    works(tmp_path / name)
    assert not list(tmp_path.rglob("never"))


@pytest.mark.parametrize("name", ["two\nlines", "tab\t", "\x1b[31m"])
def test_a_control_character_in_the_name_is_one_sentence(tmp_path, name):
    answer = coatcheck("sandbox", "--port", 0, "--data-dir", tmp_path / name)
    assert "must not contain a line break" in is_one_sentence(answer)


ENVIRONMENTS = {
    "a service that does not exist": {"PGSERVICE": "production"},
    "options of another server": {"PGOPTIONS": "-c search_path=nowhere -c default_transaction_read_only=on"},
    "another host and port": {"PGHOST": "db.example", "PGPORT": "6432", "PGHOSTADDR": "203.0.113.1"},
    "another user and database": {"PGUSER": "nobody", "PGDATABASE": "none", "PGPASSWORD": "swordfish"},
    "encryption that a socket does not have": {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/no/such/file"},
    "a password file that is a directory": {"PGPASSFILE": "/"},
    "a required authentication": {"PGREQUIREAUTH": "scram-sha-256", "PGCHANNELBINDING": "require"},
    "a read-only target": {"PGTARGETSESSIONATTRS": "standby"},
    "another encoding and format": {
        "PGCLIENTENCODING": "LATIN1",
        "PGDATESTYLE": "German",
        "PGTZ": "Asia/Tokyo",
    },
    "another data directory": {"PGDATA": "/no/such/directory"},
}


@pytest.mark.faults
@pytest.mark.slow
def test_the_variables_of_libpq_change_nothing(tmp_path):
    works(tmp_path / "d", **{name: value for each in ENVIRONMENTS.values() for name, value in each.items()})


@pytest.mark.faults
@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
@pytest.mark.slow
def test_each_variable_of_libpq_changes_nothing(tmp_path, environment):
    works(tmp_path / "d", **environment)


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"processors": [{"a": 1}]}', "null"])
@pytest.mark.parametrize("command", ["client list", "clock"])
def test_broken_credentials_are_one_sentence(tmp_path, content, command):
    (tmp_path / "credentials.json").write_text(content)
    answer = coatcheck(*command.split(), "--data-dir", tmp_path)
    assert "Delete it: the next start creates new credentials." in is_one_sentence(answer)


@pytest.mark.faults
@pytest.mark.slow
def test_a_sandbox_does_not_start_with_broken_credentials_and_says_which_file_to_delete(tmp_path):
    directory = tmp_path / "d"
    directory.mkdir()
    if os.geteuid() == 0:
        directory.chmod(0o711)
    (directory / "credentials.json").write_text("{")
    answer = coatcheck("sandbox", "--detach", "--port", 0, "--data-dir", directory)
    assert f"{directory}/credentials.json cannot be read" in is_one_sentence(answer)
    (directory / "credentials.json").unlink()
    works(directory)


@pytest.mark.parametrize(
    "command", ["sandbox --port 0", "sandbox --detach --port 0", "sandbox --wait --port 0"]
)
def test_a_data_directory_that_is_a_file_or_below_one_is_one_sentence(tmp_path, command):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        answer = coatcheck(*command.split(), "--data-dir", path)
        assert "Choose another --data-dir." in is_one_sentence(answer)


@pytest.mark.parametrize("path", ["~nobody-here/sandbox", "/proc/sandbox", "/sys/sandbox"])
@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_place_that_cannot_be_written_is_one_sentence(path, detach):
    assert "--data-dir" in is_one_sentence(coatcheck("sandbox", "--port", 0, "--data-dir", path, *detach))


def as_another_user():
    """Root may enter any directory, unless it gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize(
    "command", ["sandbox --port 0", "sandbox --detach --port 0", "client list", "clock", "doctor", "stop"]
)
def test_a_directory_of_another_user_is_one_sentence(tmp_path, command):
    directory = tmp_path / "of another"
    directory.mkdir(mode=0)
    answer = coatcheck(*command.split(), "--data-dir", directory, preexec_fn=as_another_user)
    if command == "doctor":
        assert answer.returncode == ExitCode.UNHEALTHY
        assert "Permission denied" in answer.stdout
        assert answer.stderr == ""
    elif command == "stop":
        assert "belongs to another user" in is_one_sentence(answer, ExitCode.FAILED)
    else:
        assert "Permission denied" in is_one_sentence(answer)


def test_a_read_only_directory_is_one_sentence(tmp_path):
    directory = tmp_path / "d"
    directory.mkdir(mode=0o500)
    answer = coatcheck("sandbox", "--port", 0, "--data-dir", directory, preexec_fn=as_another_user)
    assert "Choose another --data-dir." in is_one_sentence(answer)


def without_space():
    """Writing more than 64 kB to a file fails, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_full_disk_is_one_sentence(tmp_path, detach):
    answer = coatcheck(
        "sandbox", "--port", 0, "--data-dir", tmp_path / "d", *detach, preexec_fn=without_space
    )
    line = is_one_sentence(answer)
    assert "The embedded database cannot start (initdb:" in line
    assert not (tmp_path / "d" / data_directory.DATABASE / "PG_VERSION").exists()
