"""A PgBouncer in front of the test database, with the settings of `docs/how-to/pgbouncer.md`."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from coatcheck.cli.embedded import as_system_user
from coatcheck.config import Pooling
from tests.guides import ROOT, blocks
from tests.processes import TIMEOUT_SECONDS, free_port

PROGRAM = (
    os.environ.get("PGBOUNCER") or shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
)
MISSING = "PgBouncer is not installed (Debian: apt-get install pgbouncer); PGBOUNCER may name the program"
PREPARES_SINCE = (1, 22)
TOO_OLD = "PgBouncer is older than 1.22; PGBOUNCER may name another one"
GUIDE = ROOT / "docs" / "how-to" / "pgbouncer.md"


def version() -> tuple[int, ...]:
    """Major and minor; (0, 0) if there is none."""
    if not PROGRAM:
        return 0, 0
    printed = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in printed.split()[1].split(".")[:2])


@contextmanager
def pgbouncer(url: str, pooling: Pooling) -> Iterator[Mapping[str, str]]:
    """Runs PgBouncer for the server of the URL, and yields the settings by which Coatcheck reaches it."""
    assert PROGRAM, MISSING
    parts, port = urlsplit(url), free_port()
    (sockets,) = parse_qs(parts.query)["host"]
    with TemporaryDirectory(prefix="coatcheck-pgbouncer-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # another user reads it
        settings = of_the_guide(pooling.partition("_")[0])
        settings["databases"] = {"*": f"host={sockets} user={parts.username}"}
        settings["pgbouncer"].update(
            {
                "listen_port": str(port),
                "unix_socket_dir": "",
                "auth_type": "any",
                "admin_users": str(parts.username),
            }
        )
        del settings["pgbouncer"]["auth_file"]
        if pooling == "transaction_prepared":
            settings["pgbouncer"]["max_prepared_statements"] = "200"
        with (directory / "pgbouncer.ini").open("w") as file:
            settings.write(file)
        command = [PROGRAM, "--quiet", str(directory / "pgbouncer.ini")]
        # It refuses to run as root, and only the server's user can open its socket.
        with subprocess.Popen(command, **as_system_user()) as process:
            try:
                _wait_for(port, process)
                through = f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
                yield {
                    "COATCHECK_DATABASE_URL": through,
                    "COATCHECK_DATABASE_POOLING": pooling,
                    "COATCHECK_DATABASE_DIRECT_URL": url,
                }
            finally:
                process.terminate()


def of_the_guide(mode: str) -> ConfigParser:
    """The settings of PgBouncer that the guide shows."""
    for block in blocks(GUIDE):
        settings = ConfigParser(interpolation=None)
        if block.kind == "ini":
            settings.read_string(block.text)
            if settings["pgbouncer"]["pool_mode"] == mode:
                return settings
    raise AssertionError(f"The guide has no settings for {mode} mode.")


def role_settings(role: str) -> str:
    """The statements of the guide that give a role its settings."""
    (statements,) = [block.text for block in blocks(GUIDE) if block.kind == "sql"]
    return statements.replace("ALTER ROLE coatcheck", f"ALTER ROLE {role}")


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "PgBouncer ended"
            assert time.monotonic() < deadline, "PgBouncer does not listen"
            time.sleep(0.05)
        else:
            return
