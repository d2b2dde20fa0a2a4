"""`coatcheck sandbox`: a directory has one process and keeps its data, and the process stops within 10 seconds."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from coatcheck.cli.data_directory import read_credentials, stored_seed
from coatcheck.cli.embedded import database
from coatcheck.cli.exit_codes import ExitCode
from coatcheck.errors import ConfigurationError
from tests.api_client import connecting
from tests.processes import TIMEOUT_SECONDS

STOP = 10
"""Seconds that a stop may take, database included."""
PLACE = {"base_url": "", "database_url": ""}
"""What depends on where a sandbox runs."""


def socket_of(directory):
    """The directory of the socket, which is another one if the path is too long for a socket."""
    try:
        return (directory / "postgres" / "postmaster.pid").read_text().splitlines()[4]
    except (FileNotFoundError, IndexError):
        return str(directory / "postgres")  # no server runs, or it is starting


class Sandbox:
    def __init__(self, directory, *arguments, **settings):
        self.directory = directory
        self.errors = (directory.parent / f"{directory.name}.err").open("w+")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
        # Tests that run below `nohup` ignore the signal, and the process would inherit that.
        inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "coatcheck.cli",
                "sandbox",
                "--port",
                "0",
                "--data-dir",
                directory,
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment | {"COATCHECK_LOG_LEVEL": "DEBUG", **settings},
        )
        signal.signal(signal.SIGHUP, inherited)
        self.printed = []
        for line in self.process.stdout:
            self.printed.append(line)
            if line == "ready\n":
                break
        else:
            self.process.wait(TIMEOUT_SECONDS)

    def stderr_text(self):
        self.errors.seek(0)
        return self.errors.read()

    @property
    def credentials(self):
        assert self.printed[-1:] == ["ready\n"], self.stderr_text()
        return json.loads((self.directory / "credentials.json").read_text())

    def client(self):
        given = self.credentials
        return httpx.Client(
            base_url=given["base_url"],
            auth=(given["client_id"], given["client_api_key"]),
            trust_env=False,
            timeout=TIMEOUT_SECONDS,
        )

    def rows(self, statement):
        """Executes a statement on its database and returns the rows."""
        with psycopg.connect(
            host=socket_of(self.directory), user="postgres", dbname="postgres"
        ) as connection:
            return connection.execute(statement).fetchall()

    def stop(self, number=signal.SIGTERM):
        """Stops it and returns how many seconds that took."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(STOP + 5)
        return time.monotonic() - started

    def close(self):
        if self.process.poll() is None:
            self.stop()
        self.process.stdout.close()
        self.errors.close()


@contextmanager
def sandbox(directory, *arguments, **settings):
    running = Sandbox(directory, *arguments, **settings)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """One running sandbox with a seed, for the tests that change nothing."""
    directory = tmp_path_factory.mktemp("sandbox")
    if os.geteuid() == 0:
        directory.chmod(0o711)  # as in the fixture `reachable_directories`
    with sandbox(directory / "seeded", "--seed", "7") as running:
        yield running


def database_answers(directory):
    try:
        psycopg.connect(host=socket_of(directory), user="postgres", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def test_it_answers_when_it_prints_ready_and_prints_its_credentials(seeded):
    given = seeded.credentials
    assert (
        httpx.get(f"{given['base_url']}/health", trust_env=False, timeout=TIMEOUT_SECONDS).status_code == 200
    )
    text = "".join(seeded.printed)
    for word in (given["base_url"], given["client_id"], given["client_api_key"]):
        assert word in text
    with seeded.client() as client:
        assert client.get("/users").status_code == 200


def test_only_the_owner_can_read_its_credentials(seeded):
    for name in ("credentials.json", "master.key"):
        assert (seeded.directory / name).stat().st_mode & 0o777 == 0o600


def test_its_credentials_name_a_client_and_two_processors_that_may_redeem_its_codes(seeded):
    given = seeded.credentials
    assert list(given) == [
        "base_url", "client_id", "client_api_key", "processors", "database_url", "webhook_endpoint",
        "webhook_secret",
    ]  # fmt: skip
    assert [list(processor) for processor in given["processors"]] == [["processor_id", "api_key", "name"]] * 2
    for processor in given["processors"]:
        answer = httpx.post(
            f"{given['base_url']}/token?grant_type=authorization_code&code=none",
            auth=(processor["processor_id"], processor["api_key"]),
            trust_env=False,
            timeout=TIMEOUT_SECONDS,
        )
        assert answer.json()["error"]["type"] == "invalid_grant"  # the processor is known, the code is not


def test_a_second_one_on_the_same_directory_is_refused(seeded):
    with sandbox(seeded.directory) as second:
        assert second.process.returncode == ExitCode.CONFIGURATION
        assert "Another process uses" in second.stderr_text()


def test_a_port_in_use_is_refused_with_one_sentence_and_creates_no_files(seeded, tmp_path):
    port = seeded.credentials["base_url"].rsplit(":", 1)[1]
    with sandbox(tmp_path / "other", "--port", port) as second:
        assert second.process.returncode == ExitCode.CONFIGURATION
        assert re.search(rf"Cannot listen on .* port {port}: .*--port", second.stderr_text())
    assert not (tmp_path / "other").exists()


def test_another_seed_on_the_same_directory_is_refused(tmp_path):
    (tmp_path / "seed").write_text("7")
    assert stored_seed(tmp_path, None) == stored_seed(tmp_path, 7) == 7
    with pytest.raises(ConfigurationError, match="--seed 7"):
        stored_seed(tmp_path, 8)


def test_its_logs_at_debug_contain_no_secret(seeded):
    given = seeded.credentials
    with seeded.client() as client:
        client.post("/users", json={"user": {"id": "secretive"}})
    logged = seeded.stderr_text()
    for secret in (given["client_api_key"], *(processor["api_key"] for processor in given["processors"])):
        assert secret not in logged
    assert not re.search(r"c[a-z]{2}_\w{8}", logged)


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"processors": [{"a": 1}]}'])
def test_credentials_that_cannot_be_read_are_one_sentence(tmp_path, content):
    (tmp_path / "credentials.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"credentials\.json cannot be read"):
        read_credentials(tmp_path)


def test_a_seed_that_is_no_number_or_a_directory_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "seed").write_text("seven")
    with pytest.raises(ConfigurationError, match="contains no seed"):
        stored_seed(tmp_path, None)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        stored_seed(tmp_path / "seed", None)


@pytest.mark.faults
def test_with_json_it_prints_one_line_when_it_is_ready(tmp_path):
    command = [
        sys.executable,
        "-m",
        "coatcheck.cli",
        "sandbox",
        "--port",
        "0",
        "--data-dir",
        tmp_path,
        "--json",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            printed = json.loads(process.stdout.readline())
            assert (
                httpx.get(
                    f"{printed['base_url']}/health", trust_env=False, timeout=TIMEOUT_SECONDS
                ).status_code
                == 200
            )
        finally:
            process.terminate()
        assert process.stdout.read() == ""
    assert printed.pop("is_ready") is True
    file = printed.pop("credentials_file")
    assert printed.pop("documentation") == f"{printed['base_url']}/docs"
    assert json.loads(Path(file).read_text()) == printed


@pytest.mark.faults
def test_a_second_run_has_the_same_data_and_credentials_at_a_new_address(tmp_path):
    with sandbox(tmp_path / "d") as first:
        before = first.credentials
        with first.client() as client:
            user = client.post("/users", json={"user": {"id": "ann"}}).json()["user"]
        assert first.stop() < STOP
        assert first.process.returncode == 0
        assert not database_answers(first.directory)
    with sandbox(tmp_path / "d") as second:
        after = second.credentials
        assert after | PLACE == before | PLACE
        with second.client() as client:
            assert client.get(f"/users/{user['guid']}").json()["user"] == user
        assert second.stop(signal.SIGINT) < STOP
        assert not database_answers(second.directory)


@pytest.mark.faults
@pytest.mark.slow
def test_a_seed_fixes_the_credentials_on_every_machine_and_without_one_they_are_random(seeded, tmp_path):
    with sandbox(tmp_path / "seven", "--seed", "7") as same:
        assert same.credentials | PLACE == seeded.credentials | PLACE
    with sandbox(tmp_path / "random") as other:
        assert other.credentials["client_api_key"] != seeded.credentials["client_api_key"]
        assert other.credentials["client_id"] != seeded.credentials["client_id"]


@pytest.mark.faults
def test_it_makes_the_world_of_a_file_and_writes_its_keys(tmp_path):
    file = tmp_path / "world.yaml"
    file.write_text(
        "version: 1\nprocessors:\n- name: Payments Inc\nclients:\n- name: Sandbox client\n"
        "  users:\n  - id: alice\n    members:\n    - login: alice\n"
    )
    with sandbox(tmp_path / "data", "--world", str(file)) as running:
        with running.client() as client:
            (user,) = client.get("/users").json()["users"]
        made = json.loads((tmp_path / "data" / "world.json").read_text())["world"]
        assert (tmp_path / "data" / "world.json").stat().st_mode & 0o777 == 0o600
    assert made["clients"][0]["users"][0]["guid"] == user["guid"]
    assert made["clients"][0]["users"][0]["members"][0]["connection_status"] == "CONNECTED"
    assert made["clients"][0]["api_key"] is None
    assert made["processors"][0]["api_key"]


def test_a_stop_releases_the_running_job(tmp_path):
    with sandbox(tmp_path / "d") as running:
        with running.client() as client:
            user = client.post("/users", json={"user": {"metadata": "a test's"}}).json()["user"]["guid"]
            client.post(f"/users/{user}/members", json=connecting(login="mxuser+slow=60"))
            while running.rows("SELECT state FROM member_job") != [("running",)]:
                time.sleep(0.05)
        assert running.stop() < STOP
    with database(running.directory / "postgres") as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT state FROM member_job").fetchall() == [("queued",)]


@pytest.mark.faults
def test_the_first_rows_of_a_new_sandbox_have_their_partition(tmp_path):
    with sandbox(tmp_path / "d") as running:
        assert running.credentials
        assert running.rows("SELECT count(*) FROM audit_event_rest") == [(0,)]


@pytest.mark.faults
def test_after_a_kill_it_starts_again_with_its_data_and_stops_in_time(tmp_path):
    with sandbox(tmp_path / "d") as killed:
        before = killed.credentials
        killed.process.kill()
        killed.process.wait(TIMEOUT_SECONDS)
    with sandbox(tmp_path / "d") as again:
        assert again.credentials | PLACE == before | PLACE
        assert again.stop() < STOP
        assert not database_answers(again.directory)


@pytest.mark.faults
@pytest.mark.slow
def test_a_database_that_is_killed_is_started_again_and_meanwhile_no_answer_is_another_than_503(tmp_path):
    with sandbox(tmp_path / "d") as running, running.client() as client:
        file = running.directory / "postgres" / "postmaster.pid"
        pid = file.read_text().splitlines()[0]
        os.kill(int(pid), signal.SIGKILL)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        statuses = set()
        while time.monotonic() < deadline:
            answer = client.post("/users", json={"user": {"metadata": "x"}})
            statuses.add(answer.status_code)
            assert answer.status_code == 200 or "retry-after" in answer.headers
            # Backends answer on for a moment after their postmaster is gone.
            if answer.status_code == 200 and "was started again" in running.stderr_text():
                break
        assert statuses <= {200, 503}
        assert file.read_text().splitlines()[0] != pid
        assert "was started again" in running.stderr_text()


@pytest.mark.faults
def test_a_closed_terminal_stops_it_and_its_database(tmp_path):
    with sandbox(tmp_path / "d") as running:
        assert running.stop(signal.SIGHUP) < STOP
        assert running.process.returncode == 0
        assert not database_answers(running.directory)


@pytest.mark.faults
@pytest.mark.slow
def test_a_ttl_of_ten_years_starts_fast(tmp_path):
    with sandbox(tmp_path / "d", COATCHECK_TOKEN_TTL=str(10 * 365 * 86400)) as running:
        assert running.credentials
        ((partitions,),) = running.rows(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'access_token'::regclass"
        )
        assert partitions < 100  # of 522


@contextmanager
def starting(directory):
    """A sandbox whose `ready` nobody waits for. If it does not stop after the block, the test shows where it stands."""
    command = [sys.executable, "-X", "faulthandler", "-m", "coatcheck.cli", "sandbox"]
    with (directory.parent / "output").open("w+") as output:
        process = subprocess.Popen(
            [*command, "--port", "0", "--data-dir", directory], stdout=output, stderr=output
        )
        try:
            yield process
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait(STOP)
            output.seek(0)
            pytest.fail(output.read())
        finally:
            process.kill()
            process.wait()


@pytest.mark.faults
def test_a_stop_while_it_migrates_leaves_no_process_and_the_next_start_migrates_the_rest(tmp_path):
    directory = tmp_path / "d"
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with starting(directory) as process:
        while not database_answers(directory) and time.monotonic() < deadline:
            assert process.poll() is None
        process.terminate()
    assert process.returncode == ExitCode.INTERRUPTED
    assert not database_answers(directory)
    with sandbox(directory) as running, running.client() as client:
        assert client.get("/users").status_code == 200
