"""The whole flow over FDX, with MX's own SDK, ends with the numbers of the native connector."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from coatcheck.app import Services
from tests.factories import Keyed, make_processor
from tests.fdx_bank import INSTITUTION, LOGIN, write_bank_profile
from tests.http.mx_sdk import PYTHON, ROOT, needs_sdk
from tests.processes import free_port, process, text_at


@pytest.fixture
def bank_url(sandbox_credentials: Path) -> str:
    return str(json.loads(sandbox_credentials.read_text())["base_url"])


@pytest.mark.sdk
@needs_sdk
@pytest.mark.own_database
async def test_the_flow_over_fdx_ends_with_the_numbers_of_the_native_connector(
    bank_url: str,
    environment: dict[str, str],
    services: Services,
    client: Keyed,
    tmp_path: Path,
) -> None:
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    profile = await write_bank_profile(bank_url, f"{base_url}/oauth/callback", tmp_path)
    environment = environment | {
        "COATCHECK_BASE_URL": base_url,
        "COATCHECK_CONNECTORS": "sandbox,fdx",
        "COATCHECK_CONNECTOR_FDX_PROFILES": profile,
    }
    processor = await make_processor(services, client)
    given = {
        "base_url": base_url,
        "client": [client.guid, client.api_key],
        "processor": [processor.guid, processor.api_key],
        "login": {"LOGIN": LOGIN, "PASSWORD": "any"},
        "answer": "",
    }
    log = tmp_path / "log"
    with (
        process("serve", "--port", str(port), environment=environment, log=log) as serving,
        process("work", environment=environment, log=log),
    ):
        text_at(f"{base_url}/health", serving, log)
        over_fdx = await asyncio.to_thread(flow, given | {"institution_code": INSTITUTION})
        native = await asyncio.to_thread(flow, given | {"institution_code": "mxbank"})
    assert over_fdx == native
    assert over_fdx["numbers"][1] in services.registry.find("mxbank").routing_numbers
    assert len(over_fdx["transactions"]) > 20


def flow(given: dict[str, Any]) -> dict[str, Any]:
    """What the processor read, without the guids and ids."""
    done = subprocess.run(
        [PYTHON, ROOT / "tests/e2e/sdk_seed_flow.py", json.dumps(given), "2020-01-01"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return {name: printed[name] for name in ("numbers", "owners", "balance", "transactions")}
