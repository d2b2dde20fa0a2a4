"""The official SDK drives the whole flow against a server of its own, unchanged but for the host."""

import json
import subprocess
from pathlib import Path

import pytest

from coatcheck.api.routes.not_served import NOT_SERVED
from tests.http.mx_sdk import PYTHON, ROOT, needs_sdk

LIST_METHODS = """
import inspect, json
import mx_platform_python as mx
apis = [value for name, value in vars(mx).items() if name.endswith("Api") and inspect.isclass(value)]
methods = {name for api in apis for name in vars(api) if not name.startswith("_")}
print(json.dumps([name for name in methods if not name.endswith("_with_http_info")]))
"""


def snake(operation: str) -> str:
    """An operationId as the SDK's generator names its method."""
    name = (
        operation.replace("OAuth", "OAuth_")
        .replace("URI", "Uri")
        .replace("URL", "Url")
        .replace("PDF", "Pdf")
        .replace("ACH", "Ach")
    )
    spelled = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return spelled.replace("__", "_").strip("_")


@pytest.mark.sdk
@needs_sdk
def test_the_official_sdk_runs_the_whole_flow_with_typed_results(sandbox_credentials: Path) -> None:
    flow = subprocess.run(
        [PYTHON, ROOT / "tests/e2e/sdk_flow.py", sandbox_credentials],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert flow.returncode == 0, flow.stderr
    listed = subprocess.run([PYTHON, "-c", LIST_METHODS], capture_output=True, text=True, check=True)
    not_served = {snake(operation) for operation in NOT_SERVED}
    not_called = set(json.loads(listed.stdout)) - set(json.loads(flow.stdout)) - not_served
    assert not not_called, "methods of the SDK that the flow never called and NOT_SERVED does not name"
