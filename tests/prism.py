"""Prism: a server that answers with the examples of an OpenAPI document, and refuses requests that do not fit it."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.node import node
from tests.processes import TIMEOUT_SECONDS, free_port

PROGRAM = (
    Path(__file__).parent / "mock_servers" / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
)

needs_prism = pytest.mark.skipif(not PROGRAM.exists(), reason="no npm packages: `make setup` installs them")


@contextmanager
def mock_server(document: Path, log: Path) -> Iterator[str]:
    """The URL of a server of the document. It refuses a request that does not fit with 422."""
    port = free_port()
    arguments = ["mock", "--host", "127.0.0.1", "--port", str(port), str(document)]
    with (
        log.open("wb") as out,
        subprocess.Popen([node(), str(PROGRAM), *arguments], stdout=out, stderr=out) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            httpx.get(url)
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            return
