"""A PgBouncer in front of the test database, in session mode, as the operators' guide says."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from coatcheck.cli.embedded import as_system_user
from tests.processes import TIMEOUT_SECONDS, free_port

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
MISSING = "PgBouncer is not installed (Debian: apt-get install pgbouncer)"


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """Runs PgBouncer for the server of the URL, and yields the URL of the same database through it."""
    assert PROGRAM, MISSING
    parts, port = urlsplit(url), free_port()
    (sockets,) = parse_qs(parts.query)["host"]
    with TemporaryDirectory(prefix="coatcheck-pgbouncer-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # another user reads it
        settings = directory / "pgbouncer.ini"
        settings.write_text(
            f"""[databases]
* = host={sockets} user={parts.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = session
max_client_conn = 400
default_pool_size = 100
ignore_startup_parameters = options
"""
        )
        # It refuses to run as root, and only the server's user can open its socket.
        with subprocess.Popen([PROGRAM, "--quiet", str(settings)], **as_system_user()) as process:
            try:
                _wait_for(port, process)
                yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
            finally:
                process.terminate()


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
