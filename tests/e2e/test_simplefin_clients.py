"""Apps from npm and PyPI, unchanged, read SimpleFIN from a real server: Actual's sync server, and simplefin4py."""

import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.directory.apps import NewSetupToken
from coatcheck.grants.listing import GrantFilter
from coatcheck.model.accounts import Account, accounts_of_member
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import User, find_user
from tests.api_client import Api
from tests.factories import make_client
from tests.guides import ROOT
from tests.node import node
from tests.processes import Serving, free_port, serving, text_at
from tests.widget_client import open_page

CLIENTS = ROOT / "tests" / "simplefin_clients"
PYTHON = ROOT / ".venv-simplefin" / "bin" / "python"
ACTUAL = CLIENTS / "node_modules" / "@actual-app" / "sync-server" / "build" / "bin" / "actual-server.js"
MISSING = "no SimpleFIN clients: `make setup` installs them"
REASON = "the user left"


@dataclass(frozen=True)
class Linked:
    """A user who linked a member at the sandbox bank in the widget."""

    user: User
    accounts: list[Account]

    async def setup_token(self, services: Services) -> str:
        new = NewSetupToken(account_guids=[each.guid for each in self.accounts], app_name="Actual")
        async with services.db.transaction() as connection:
            created = await services.apps.create_setup_token(
                connection, self.user, new, actor=self.user.client_guid
            )
        return created.token

    async def revoke(self, services: Services) -> None:
        filters = GrantFilter(client_guid=self.user.client_guid)
        async with services.db.connection() as connection:
            for grant in (await services.grants.list(connection, filters, PageRequest(size=100))).items:
                await services.revocations.revoke(
                    connection, client_guid=self.user.client_guid, guid=grant.guid, reason=REASON
                )


@pytest.fixture(scope="module")
def server(file_url: str, master_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    environment = {
        "COATCHECK_DATABASE_URL": file_url,
        "COATCHECK_MASTER_KEY": master_key,
        "COATCHECK_CONNECTORS": "sandbox",
    }
    with serving(environment, tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def settings(settings: Any, server: Serving) -> Any:
    """Setup tokens name the real server."""
    object.__setattr__(settings, "base_url", server.base_url)
    return settings


@pytest.fixture
async def linked(services: Services, server: Serving) -> Linked:
    client = await make_client(services)
    async with httpx.AsyncClient(base_url=server.base_url, timeout=60) as http:
        api = Api(http, services, client)
        guid = await api.create_user()
        member = await (await open_page(api, guid)).connect()
    async with services.db.connection() as connection:
        user = await find_user(connection, client.guid, guid)
        accounts = await accounts_of_member(connection, user.guid, member["guid"])
    return Linked(user, list(accounts))


# --- simplefin4py, the library of Home Assistant ---


def simplefin4py(**given: Any) -> dict[str, Any]:
    done = subprocess.run(
        [str(PYTHON), "simplefin4py_client.py"],
        input=json.dumps(given),
        cwd=CLIENTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.skipif(not PYTHON.exists(), reason=MISSING)
async def test_simplefin4py_claims_reads_and_notices_the_revocation(
    services: Services, linked: Linked
) -> None:
    token = await linked.setup_token(services)
    got = simplefin4py(setup_token=token)
    assert {each["id"] for each in got["accounts"]} == {each.guid for each in linked.accounts}
    assert {each["org"] for each in got["accounts"]} == {"MX Bank"}
    assert any(each["transactions"] for each in got["accounts"])
    assert got["errors"] == []
    assert simplefin4py(setup_token=token) == {"error": "claim"}
    await linked.revoke(services)
    assert simplefin4py(access_url=got["access_url"]) == {"error": "auth"}
    parts = httpx.URL(got["access_url"])
    async with httpx.AsyncClient(auth=(parts.username, parts.password), timeout=60) as http:
        refused = await http.get(f"{parts.copy_with(userinfo=b'')}/accounts")
    assert refused.status_code == 403
    assert refused.json()["errlist"][0]["msg"] == f"The access was revoked: {REASON}."


# --- Actual Budget ---


@dataclass
class Actual:
    """Actual's sync server, which its user signed in to."""

    http: httpx.Client

    def sign_in(self) -> None:
        self.post("/account/bootstrap", password="a password")
        token = self.post("/account/login", password="a password", loginMethod="password")["data"]["token"]
        self.http.headers["X-Actual-Token"] = token

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def actual(tmp_path: Path) -> Iterator[Actual]:
    port = free_port()
    environment = os.environ | {
        "ACTUAL_DATA_DIR": str(tmp_path),
        "ACTUAL_PORT": str(port),
        "ACTUAL_HOSTNAME": "127.0.0.1",
    }
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [node(), "--import", (CLIENTS / "register.mjs").as_uri(), str(ACTUAL)],
            env=environment,
            stdout=output,
            stderr=output,
        ) as child,
    ):
        text_at(f"http://127.0.0.1:{port}/info", child, log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            server = Actual(http)
            server.sign_in()
            yield server
        child.terminate()


@pytest.mark.skipif(not ACTUAL.exists(), reason=MISSING)
async def test_actual_claims_reads_and_notices_the_revocation(
    services: Services, linked: Linked, actual: Actual
) -> None:
    token = await linked.setup_token(services)
    actual.post("/secret", name="simplefin_token", value=token)
    assert actual.post("/simplefin/status")["data"] == {"configured": True}
    accounts = actual.post("/simplefin/accounts")["data"]["accounts"]
    assert {each["id"] for each in accounts} == {each.guid for each in linked.accounts}
    since = (services.clock.now() - timedelta(days=60)).date().isoformat()
    ids = [each["id"] for each in accounts]
    read = actual.post("/simplefin/transactions", accountId=ids, startDate=[since] * len(ids))["data"]
    assert not read.get("errors")
    for account in accounts:
        assert read[account["id"]]["startingBalance"] == round(float(account["balance"]) * 100)
    assert any(read[each]["transactions"]["booked"] for each in ids)
    async with httpx.AsyncClient(timeout=60) as http:
        assert (await http.post(b64decode(token).decode())).status_code == 403
    await linked.revoke(services)
    ended = actual.post("/simplefin/transactions", accountId=ids, startDate=[since] * len(ids))["data"]
    assert ended["error_code"] == "INVALID_ACCESS_TOKEN"


@pytest.mark.skipif(not ACTUAL.exists(), reason=MISSING)
async def test_actual_shows_a_connection_that_needs_attention_at_its_accounts(
    services: Services, linked: Linked, actual: Actual
) -> None:
    actual.post("/secret", name="simplefin_token", value=await linked.setup_token(services))
    actual.post("/simplefin/accounts")
    async with services.db.transaction() as connection:
        await connection.execute(
            "UPDATE member SET connection_status = 'CHALLENGED' WHERE user_guid = %s", (linked.user.guid,)
        )
    since = services.clock.now().date().isoformat()
    ids = [each.guid for each in linked.accounts]
    read = actual.post("/simplefin/transactions", accountId=ids, startDate=[since] * len(ids))["data"]
    assert {error["error_code"] for errors in read["errors"].values() for error in errors} == {
        "ACCOUNT_NEEDS_ATTENTION"
    }
