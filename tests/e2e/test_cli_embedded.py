"""The embedded database keeps its data, has one owner, and is stopped in every case."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from coatcheck.cli import embedded
from coatcheck.errors import ConfigurationError

OWNER = """
import signal, sys, time
from pathlib import Path
from coatcheck.cli import embedded
# A shell that starts the tests in the background ignores SIGINT, and child processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded.database(Path(sys.argv[1]), durable=False) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def stored_rows(url):
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS stored (number int)")
        connection.execute("INSERT INTO stored VALUES (1)")
        return connection.execute("SELECT count(*) FROM stored").fetchone()[0]


def owner_process(directory):
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return process, process.stdout.readline().strip()


def test_a_directory_keeps_its_data_and_no_server_runs_in_between(tmp_path):
    directory = tmp_path / "postgres"
    with embedded.database(directory, durable=False) as url:
        assert stored_rows(url) == 1
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    with embedded.database(directory, durable=False) as url:
        assert stored_rows(url) == 2


def test_one_directory_has_one_owner(tmp_path):
    with (
        embedded.database(tmp_path / "postgres", durable=False),
        pytest.raises(ConfigurationError, match="Another process uses"),
        embedded.database(tmp_path / "postgres", durable=False),
    ):
        pass


def test_a_killed_owner_leaves_a_server_that_the_next_one_takes_over_and_stops(tmp_path):
    directory = tmp_path / "postgres"
    process, url = owner_process(directory)
    try:
        assert stored_rows(url) == 1
        process.kill()
        process.wait(10)
        assert stored_rows(url) == 2  # it still runs without its owner
        with embedded.database(directory, durable=False) as again:
            assert stored_rows(again) == 3
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
    finally:
        process.kill()
        process.stdout.close()


def test_a_stop_with_connected_clients_ends_within_its_time_limits(tmp_path):
    with embedded.database(tmp_path / "postgres", durable=False) as url:
        client = psycopg.connect(url)
        client.execute("CREATE TABLE busy (number int)")  # an open transaction that will not end by itself
        started = time.monotonic()
    assert time.monotonic() - started < embedded.FAST_STOP + embedded.IMMEDIATE_STOP
    client.close()


def test_a_path_too_long_for_a_socket_works(tmp_path):
    directory = tmp_path / ("deep" * 30) / "postgres"
    with embedded.database(directory, durable=False) as url:
        assert stored_rows(url) == 1


def test_a_killed_owner_of_a_long_path_leaves_no_directory_after_the_next_run(tmp_path):
    directory = tmp_path / ("deep" * 30) / "postgres"
    process, url = owner_process(directory)
    process.kill()
    process.wait(10)
    process.stdout.close()
    private = Path(parse_qs(urlsplit(url).query)["host"][0])
    assert private.parent == Path("/tmp")
    assert private.exists()
    with embedded.server(directory) as server:
        assert server.sockets == private
        assert stored_rows(server.url) == 1
    assert not private.exists()


def test_a_server_that_was_killed_is_started_again_on_its_data(tmp_path):
    with embedded.server(tmp_path / "postgres") as server:
        assert not server.start_again()
        assert stored_rows(server.url) == 1
        kill(server)
        assert any(server.start_again() for _ in range(100_000))  # it ends a moment after the signal
        assert stored_rows(server.url) == 2


def kill(server):
    os.kill(int((server.directory / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_no_permission_above_the_data_directory_is_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "SYSTEM_DIRECTORY", tmp_path / "var")
    closed = tmp_path / "closed"
    directory = closed / "data" / "postgres"
    directory.parent.mkdir(parents=True)
    closed.chmod(0o700)
    with embedded.database(directory, durable=False) as url:
        assert stored_rows(url) == 1
    with embedded.database(directory, durable=False) as url:
        assert stored_rows(url) == 2
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    directory.unlink()  # without its link the data is new, because its keys are lost
    with embedded.database(directory, durable=False) as url:
        assert stored_rows(url) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_programs_that_the_system_user_cannot_reach_are_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "SYSTEM_DIRECTORY", tmp_path / "var")
    closed = tmp_path / "closed"
    installed = embedded.program("postgres").parents[1]
    package = installed.parent
    for part in (installed, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.relative_to(package.parent), symlinks=True)
    closed.chmod(0o700)
    programs = closed / installed.relative_to(package.parent) / "bin"
    monkeypatch.setattr(embedded, "installed_programs", lambda: programs)
    embedded.program.cache_clear()
    try:
        with embedded.database(tmp_path / "postgres", durable=False) as url:
            assert stored_rows(url) == 1
        assert embedded.program("postgres").is_relative_to(tmp_path / "var")
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        embedded.program.cache_clear()


def test_an_interrupted_creation_is_repeated(tmp_path):
    half_made = tmp_path / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("half")
    with embedded.database(tmp_path / "postgres", durable=False) as url:
        assert stored_rows(url) == 1


def test_a_server_that_cannot_start_names_its_log(tmp_path):
    directory = tmp_path / "postgres"
    with embedded.database(directory, durable=False):
        pass
    (directory / "postgresql.conf").write_text("no_such_setting = on")
    with (
        pytest.raises(ConfigurationError, match="log"),
        embedded.database(directory, durable=False),
    ):
        pass


def test_without_the_wheel_the_error_names_the_versions_of_python_that_have_it(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "PACKAGE", "not_installed")
    with pytest.raises(ConfigurationError, match=r"3\.13"), embedded.database(Path(tmp_path) / "postgres"):
        pass


def test_an_interrupted_owner_stops_the_server(tmp_path):
    process, url = owner_process(tmp_path / "postgres")
    with process.stdout:
        process.send_signal(signal.SIGINT)
        process.wait(10)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
