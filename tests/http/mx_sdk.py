"""The models of MX's Python SDK, from the package registry, as an oracle of answers.

The SDK needs older dependencies, so that its models run in a process of .venv-sdk, which `make setup` creates.
No registry has a Python SDK of v20250224: for that version the models check every key that both versions have.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coatcheck.api.versions import Version
from tests.http.owned_objects import AnyRoute, is_in_spec

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-sdk" / "bin" / "python"

MISSING = "no .venv-sdk: `make setup` creates it"
ADDS = "that MX's SDK works with this server, and that every answer fits the SDK's models"
"""What the tests check that are skipped without it."""

needs_sdk = pytest.mark.skipif(not PYTHON.exists(), reason=MISSING)

SAME_ANSWER = {
    "listTransactionsByAccountPerMember": ("GET", "/users/{}/accounts/{}/transactions"),
    "mergeAccounts": ("GET", "/users/{}/accounts/{}"),
    "readTransactionByAccount": ("GET", "/users/{}/transactions/{}"),
    "readAccountOwners": ("GET", "/account/transactions"),
    "readAccountOwner": ("GET", "/account/transactions"),
}
"""Operations that the SDK does not have, and an operation of the SDK with the same answer."""


class Models:
    """A process with the SDK's models."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def problems(self, route: AnyRoute, version: Version, status: int, body: Any) -> list[str]:
        """The differences from the SDK's model; none for an operation that is in no spec, and so not in the SDK."""
        method, path = SAME_ANSWER.get(route.operation, (route.method, re.sub(r"{\w+}", "{}", route.path)))
        question = {
            "method": method,
            "path": path,
            "status": status,
            "older": version is Version.V20111101,
            "body": body,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        found: list[str] | None = json.loads(self._process.stdout.readline())
        if found is None:
            return ["the SDK has no such operation"] if is_in_spec(route) else []
        return found


@contextmanager
def sdk_models() -> Iterator[Models]:
    script = ROOT / "tests" / "http" / "sdk_models.py"
    with subprocess.Popen(
        [PYTHON, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Models(process)
        assert process.stdin is not None
        process.stdin.close()
