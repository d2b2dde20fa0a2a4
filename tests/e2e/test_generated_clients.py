"""Clients that are generated from the served OpenAPI document link an account, exchange a code and read its numbers."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.guides import ROOT
from tests.node import node

FOLDER = ROOT / "tests" / "api_clients"
MODULES = FOLDER / "node_modules"
PYTHON = ROOT / ".venv-api-clients" / "bin" / "python"
MISSING = "no client generators: `make setup` installs them"

pytestmark = pytest.mark.skipif(not (PYTHON.exists() and MODULES.exists()), reason=MISSING)


@pytest.fixture(scope="module")
def document(sandbox_credentials: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document of the sandbox, in a file."""
    base_url = json.loads(sandbox_credentials.read_text())["base_url"]
    file = tmp_path_factory.mktemp("openapi") / "openapi.json"
    file.write_bytes(httpx.get(f"{base_url}/openapi.json", timeout=60).raise_for_status().content)
    return file


def run(*command: str | Path, folder: Path, given: str = "", **environment: str) -> str:
    done = subprocess.run(
        command,
        input=given,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def script(name: str) -> Path:
    """The file that npm runs as a command of the package."""
    return MODULES / ".bin" / name


def assert_numbers(printed: str) -> None:
    numbers: list[dict[str, Any]] = json.loads(printed)
    assert len(str(numbers[0]["routing_number"])) == 9
    assert numbers[0]["passed_validation"] is True


def test_redocly_finds_no_error_and_no_warning(document: Path) -> None:
    printed = run(
        node(),
        script("redocly"),
        "lint",
        document,
        "--config",
        FOLDER / "redocly.yaml",
        "--max-problems=1000",
        folder=document.parent,
        REDOCLY_TELEMETRY="off",
        REDOCLY_SUPPRESS_UPDATE_NOTICE="true",
    )
    assert "Your API description is valid" in printed
    assert "warning" not in printed.replace("Deprecation warning: Node.js", ""), printed


def test_the_client_of_openapi_python_client_reads_account_numbers(
    document: Path, sandbox_credentials: Path, tmp_path: Path
) -> None:
    printed = run(
        PYTHON.parent / "openapi-python-client",
        "generate",
        "--path",
        document,
        "--output-path",
        tmp_path / "coatcheck_client",
        "--meta",
        "none",
        "--config",
        FOLDER / "openapi-python-client.yaml",
        folder=tmp_path,
        PATH=f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
    )
    assert "WARNING" not in printed.upper(), printed
    assert_numbers(
        run(
            PYTHON,
            FOLDER / "flow.py",
            folder=tmp_path,
            given=sandbox_credentials.read_text(),
            PYTHONPATH=str(tmp_path),
        )
    )


def test_the_client_of_openapi_fetch_reads_account_numbers(
    document: Path, sandbox_credentials: Path, tmp_path: Path
) -> None:
    for name in ("flow.ts", "tsconfig.json", "package.json"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (tmp_path / "node_modules").symlink_to(MODULES)
    run(node(), script("openapi-typescript"), document, "--output", "openapi.d.ts", folder=tmp_path)
    run(node(), script("tsc"), folder=tmp_path)
    assert_numbers(run(node(), "flow.js", folder=tmp_path, given=sandbox_credentials.read_text()))
