"""`coatcheck bench`: how many requests a sandbox answers on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from coatcheck.cli import data_directory
from coatcheck.cli.console import AsJson, print_rows
from coatcheck.cli.progress import progress_bar
from coatcheck.errors import OperatorError
from coatcheck.testing import load
from coatcheck.testing import sandbox as sandbox_client

MAX_REQUESTS = 1000
"""The default of the setting `max_codes_per_account`."""


def bench(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Measure the sandbox of this directory. Without it, one is started and deleted."),
    ] = None,
    requests: Annotated[
        int, typer.Option(min=10, max=MAX_REQUESTS, help="How many of each kind are sent.")
    ] = 500,
    connections: Annotated[int, typer.Option(min=1, max=256, help="How many are sent at a time.")] = 16,
    as_json: AsJson = False,
) -> None:
    """Measures how many requests a sandbox answers: codes, exchanges, and what a processor reads.

    Each kind is sent once to warm up and once to measure. Measures sandboxes only: a server with real data has none of
    the calls that make the data. The one that it starts does not wait for the disk; measure one with --data-dir to
    include that.

    Example: coatcheck bench --requests 200
    """
    try:
        with _sandbox(data_dir) as sandbox:
            rows = _measure(sandbox, requests, connections)
    except sandbox_client.SandboxFailed as error:
        raise OperatorError(f"The sandbox refused a call: {error}") from error
    print_rows(rows, as_json=as_json, empty="Nothing was measured.")


@contextlib.contextmanager
def _sandbox(data_dir: Path | None) -> Iterator[sandbox_client.Sandbox]:
    if data_dir is None:
        with tempfile.TemporaryDirectory(prefix="coatcheck-bench-") as directory:
            # PostgreSQL may run as another user, which must be able to enter it.
            Path(directory).chmod(0o711)
            with sandbox_client.running(Path(directory) / "sandbox") as started:
                yield started
        return
    credentials = data_directory.find_credentials(data_directory.resolve(data_dir))
    with sandbox_client.Sandbox(asdict(credentials)) as sandbox:
        yield sandbox


def _measure(sandbox: sandbox_client.Sandbox, requests: int, connections: int) -> list[Mapping[str, object]]:
    code = sandbox.code()
    token = sandbox.token(account_guid=code.account_guid, scope="read-protected")
    scope = f"user-guid:{code.user_guid} member-guid:{code.member_guid} account-guid:{code.account_guid} read-protected"
    wanted = json.dumps({"authorization_code": {"scope": scope}}).encode()
    as_client = _basic(sandbox.client_id, sandbox.client_api_key) | {"Content-Type": "application/json"}
    key = sandbox.processors[0]
    as_processor = _basic(key.processor_id, key.api_key)
    bearer = {"Authorization": f"Bearer {token.access_token}"}
    issue = load.request("POST", "/authorization_code", as_client, wanted)

    def exchanges() -> list[bytes]:
        codes = [_issued(sandbox, wanted) for _ in range(requests)]
        return [
            load.request("POST", f"/token?grant_type=authorization_code&code={each}", as_processor)
            for each in codes
        ]

    kinds: Mapping[str, Callable[[], list[bytes]]] = {
        "exchange": exchanges,
        "account numbers": lambda: [load.request("GET", "/account/account_numbers", bearer)] * requests,
        "balances": lambda: [load.request("GET", "/payment_account", bearer)] * requests,
        "transactions": lambda: [load.request("GET", "/account/transactions", bearer)] * requests,
        "code": lambda: [issue] * (requests // 2),
    }
    rows: list[Mapping[str, object]] = []
    with progress_bar() as progress:
        task = progress.add_task("Measuring", total=2 * len(kinds))
        for name, make in kinds.items():
            for is_measured in (False, True):
                run = _send(sandbox, make(), connections)
                if is_measured:
                    rows.append(_row(name, run))
                progress.advance(task)
    return rows


def _send(sandbox: sandbox_client.Sandbox, requests: list[bytes], connections: int) -> load.Run:
    port = urlsplit(sandbox.base_url).port
    assert port is not None, "a sandbox has an address with a port"
    run = asyncio.run(load.send_all(port, requests, connections=connections))
    if set(run.statuses) != {200}:
        raise OperatorError(f"The sandbox refused requests; the statuses were {dict(run.statuses)}.")
    return run


def _row(name: str, run: load.Run) -> Mapping[str, object]:
    return {
        "requests": name,
        "per_second": round(run.requests / run.seconds),
        "p50_ms": round(run.percentile(0.50), 1),
        "p99_ms": round(run.percentile(0.99), 1),
    }


def _issued(sandbox: sandbox_client.Sandbox, wanted: bytes) -> str:
    answer = sandbox.client.post(
        "/authorization_code", content=wanted, headers={"Content-Type": "application/json"}
    )
    code: str = sandbox_client.succeeded(answer).json()["authorization_code"]["code"]
    return code


def _basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{name}:{secret}".encode()).decode()}
