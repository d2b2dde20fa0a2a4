"""The servers that Coatcheck is compared with: how each is started, and what is sent to it.

All run on one core with one process, like Coatcheck, and answer over persistent connections. Those with a database use
the same PostgreSQL and up to 16 connections. `package-lock.json` and `requirements/peers.txt` pin their versions.
"""

import asyncio
import json
import shutil
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from bench.servers import Server, free_port, serving
from coatcheck.testing.load import request
from tests.node import node

HERE = Path(__file__).parent
PYTHON = Path(".venv-peers/bin/gunicorn")
BASIC = {"Authorization": "Basic " + b64encode(b"bench:s3cret").decode()}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RETURN = "https%3A%2F%2Fapp.example%2Freturn"
NUMBER = b"3141592653"

Make = Callable[[int], Awaitable[list[bytes]]]
"""Makes this number of requests."""


@dataclass(frozen=True)
class Contender:
    server: Server
    exchanges: Make | None
    reads: Make
    number: bytes
    """What the answer to a read contains."""


def _contender(server: Server, token_path: str, read_path: str) -> Contender:
    def ask(path: str) -> object:
        with urlopen(f"http://127.0.0.1:{server.port}/bench/{path}", timeout=60) as answer:
            return json.load(answer)

    async def exchanges(count: int) -> list[bytes]:
        codes = await asyncio.to_thread(ask, f"codes?count={count}")
        assert isinstance(codes, list)
        return [
            request(
                "POST",
                token_path,
                BASIC | FORM,
                f"grant_type=authorization_code&code={code}&redirect_uri={RETURN}".encode(),
            )
            for code in codes
        ]

    token = ask("token")

    async def reads(count: int) -> list[bytes]:
        return [request("GET", read_path, {"Authorization": f"Bearer {token}"})] * count

    return Contender(server, exchanges, reads, NUMBER)


@contextmanager
def peers(directory: Path, databases: Mapping[str, str]) -> Iterator[list[Contender]]:
    """The servers that are installed. What is missing is said and left out.

    Args:
        directory: for their files.
        databases: the URL of an empty database for `oidc` and for `django`.
    """
    oidc = [node(), str(HERE / "oidc_provider.js")]
    django = free_port()
    gunicorn = [
        str(PYTHON), "bench.peers.django_app:application", "--bind", f"127.0.0.1:{django}",
        # Of its workers, only those with threads keep connections open. They wait for the database at the same time.
        "--worker-class", "gthread", "--workers", "1", "--threads", "16", "--log-level", "error",
    ]  # fmt: skip
    with ExitStack() as stack:
        found = []
        if (HERE / "node_modules").exists():
            for name, more in (
                ("oidc-provider in memory", []),
                ("oidc-provider and PostgreSQL", [databases["oidc"]]),
            ):
                port = free_port()
                server = stack.enter_context(serving(name, [*oidc, str(port), *more], {}, port))
                found.append(_contender(server, "/token", "/me"))
        else:
            print("oidc-provider is left out: run `make peers`.")
        if PYTHON.exists():
            environment = {"PEER_DATABASE_URL": databases["django"]}
            server = stack.enter_context(serving("django-oauth-toolkit", gunicorn, environment, django))
            found.append(_contender(server, "/token/", "/me"))
        else:
            print("django-oauth-toolkit is left out: run `make peers`.")
        if nginx := shutil.which("nginx", path="/usr/sbin:/usr/bin"):
            found.append(
                _static(stack.enter_context(serving("nginx, a static file", *_nginx(nginx, directory))))
            )
        else:
            print("nginx is left out: it is not installed (Debian: nginx-light).")
        yield found


def _nginx(program: str, directory: Path) -> tuple[list[str], Mapping[str, str], int]:
    (directory / "numbers.json").write_bytes(b'{"account_number": "%s"}' % NUMBER)
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"""daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log /dev/null;
        events {{}}
        http {{
            access_log off; keepalive_requests 1000000000; client_body_temp_path {directory}/body;
            server {{ listen 127.0.0.1:{port}; root {directory}; }}
        }}"""
    )
    return [program, "-c", str(configuration)], {}, port


def _static(server: Server) -> Contender:
    async def reads(count: int) -> list[bytes]:
        return [request("GET", "/numbers.json", {})] * count

    return Contender(server, None, reads, NUMBER)
