"""The connector `mx` with a second installation as its upstream, over HTTP: members, questions, sign-ins, data."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from coatcheck.app import build
from coatcheck.connectors.catalogue import write_institutions
from coatcheck.connectors.contract import Secret
from coatcheck.connectors.mx.connector import MxConnector, MxSettings
from coatcheck.connectors.settings import settings_by_connector
from coatcheck.server import create_app
from coatcheck.testing.connectors import connector_context
from tests.api_client import HEADERS, V1, V2, VERSIONS, Api
from tests.bank_windows import come_back, decide_at, start
from tests.factories import make_client, make_processor
from tests.http.mx_sdk import PYTHON, ROOT, needs_sdk
from tests.processes import process, serving
from tests.sandbox_members import Member, sandbox_api

EVER = {"from_date": "2020-01-01"}
RECENT = {"records_per_page": "1000", "from_date": f"{datetime.now(UTC).date() - timedelta(days=60)}"}
"""Fewer rows than a page has: rows of one day have no order."""
NUMBERED = ("account_guid", "account_number", "routing_number")


@pytest.fixture(scope="module")
def upstream(sandbox_credentials: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sandbox_credentials.read_text())
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mx") / "institutions.json"


def connector_settings(upstream: dict[str, Any], file: Path, version: str) -> dict[str, Any]:
    return {
        "client_id": upstream["client_id"],
        "api_key": upstream["client_api_key"],
        "base_url": upstream["base_url"],
        "institutions_file": str(file),
        "api_version": version,
    }


@pytest.fixture
async def api(request, settings, clock, upstream, file) -> AsyncIterator[Api]:
    """A client of an installation that reads banks through the upstream. A parameter chooses the version in between."""
    given = connector_settings(upstream, file, getattr(request, "param", V2))
    changed = replace(settings, connectors=("mx",), connector={"mx": given})
    if not file.exists():
        await write_list(upstream, file)
    async with build(changed, clock) as services:
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as http:
            yield Api(http, services, await make_client(services))


async def write_list(upstream: dict[str, Any], file: Path) -> None:
    given = settings_by_connector({"mx": connector_settings(upstream, file, V1)}, {"mx"})["mx"]
    mx_settings = MxSettings(**{**given, "api_key": Secret(given["api_key"]), "institutions_file": file})
    context = connector_context(mx_settings, name="mx", transport=httpx.AsyncHTTPTransport())
    connector = MxConnector(context)
    write_institutions(file, await connector.fetch_institutions())
    await connector.close()


@pytest.fixture
async def bank(upstream) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at the upstream, which may also call its API."""
    async with httpx.AsyncClient(base_url=upstream["base_url"], timeout=60) as http:
        yield http


async def at_upstream(bank: httpx.AsyncClient, upstream: dict[str, Any], path: str, **query: str) -> Any:
    auth = (upstream["client_id"], upstream["client_api_key"])
    answer = await bank.get(path, params=query, auth=auth, headers=HEADERS[V1])
    return answer.raise_for_status().json()


async def member_at_upstream(bank, upstream, user: str, member: str) -> str:
    """The path of the upstream's member for ours."""
    (found,) = (await at_upstream(bank, upstream, "/users", id=user))["users"]
    members = (await at_upstream(bank, upstream, f"/users/{found['guid']}/members"))["members"]
    (guid,) = [each["guid"] for each in members if each["id"] == member]
    return f"/users/{found['guid']}/members/{guid}"


async def status_of(api: Api, path: str) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"{path}/status")).json()["member"]
    return found


@pytest.mark.parametrize("api", VERSIONS, indirect=True)
async def test_numbers_owners_transactions_and_balances_are_those_of_the_upstream(api, bank, upstream):
    user = await api.create_user()
    member = await api.connect(user, login="mxuser+joint", skip_aggregation=True)
    path = f"/users/{user}/members/{member}"
    for job in ("verify", "identify", "aggregate", "extend_history", "check_balance", "fetch_statements"):
        assert (await api.post(f"{path}/{job}")).status_code in {200, 202}
        await api.work()
        assert (await status_of(api, path))["connection_status"] == "CONNECTED", job
    theirs = await member_at_upstream(bank, upstream, user, member)
    for noun, fields in {
        "accounts": ("name", "type", "balance", "available_balance", "account_number", "account_ownership"),
        "account_numbers": ("account_number", "routing_number", "passed_validation"),
        "account_owners": ("owner_name", "address", "email", "phone"),
        "transactions": ("amount", "type", "status", "date", "original_description", "category", "posted_at"),
    }.items():
        ours = (await api.get(f"{path}/{noun}", params=RECENT)).json()[noun]
        expected = (await at_upstream(bank, upstream, f"{theirs}/{noun}", **RECENT))[noun]
        assert rows(ours, fields) == rows(expected, fields) != []
    ours = (await api.get(f"{path}/transactions", params=EVER)).json()["pagination"]["total_entries"]
    expected = await at_upstream(bank, upstream, f"{theirs}/transactions", **EVER)
    assert ours == expected["pagination"]["total_entries"] > 500
    statement = (await api.get(f"{path}/statements")).json()["statements"][0]["guid"]
    assert (await api.get(f"{path}/statements/{statement}.pdf")).content.startswith(b"%PDF-")


async def test_an_account_that_another_connector_read_has_its_guid_after_the_first_aggregation(api, settings):
    login = "ann+persona=salaried"
    async with sandbox_api(settings) as sandbox:
        native = replace(sandbox, caller=api.caller)
        user = await native.create_user()
        member = Member(native, user, await native.connect(user, login=login), login)
        await native.work()
        assert await member.run_job("verify") == "CONNECTED"
        before = rows(await member.listed("account_numbers"), NUMBERED)
        assert (await native.delete(member.path)).status_code == 204
    again = Member(api, user, await api.connect(user, login=login), login)
    await api.work()
    assert rows(await again.listed("account_numbers"), NUMBERED) == before != []


def rows(found: list[dict[str, Any]], fields: tuple[str, ...]) -> list[str]:
    return sorted(str([row[name] for name in fields]) for row in found)


@pytest.mark.parametrize(
    ("password", "status"),
    [("INVALID", "DENIED"), ("LOCKED", "LOCKED"), ("SERVER_ERROR", "FAILED")],
)
async def test_a_login_that_the_bank_refuses_has_the_upstream_s_status(api, bank, upstream, password, status):
    user = await api.create_user()
    member = await api.connect(user, password=password)
    await api.work()
    path = f"/users/{user}/members/{member}"
    theirs = await member_at_upstream(bank, upstream, user, member)
    found = (await at_upstream(bank, upstream, f"{theirs}/status"))["member"]["connection_status"]
    assert (await status_of(api, path))["connection_status"] == found == status


@pytest.mark.parametrize("kind", ["challenge", "options", "image"])
async def test_the_bank_s_questions_reach_the_user_and_the_answers_the_bank(api, kind):
    user = await api.create_user()
    member = await api.connect(user, password=kind)
    await api.work()
    path = f"/users/{user}/members/{member}"
    asked = await status_of(api, path)
    assert asked["connection_status"] == "CHALLENGED"
    await answer(api, path, asked, "correct")
    assert (await status_of(api, path))["connection_status"] == "CONNECTED"
    assert (await api.get(f"{path}/accounts")).json()["accounts"]


async def test_a_wrong_answer_is_rejected_and_the_user_may_try_again(api):
    user = await api.create_user()
    member = await api.connect(user, password="challenge")
    await api.work()
    path = f"/users/{user}/members/{member}"
    await answer(api, path, await status_of(api, path), "wrong")
    assert (await status_of(api, path))["connection_status"] == "REJECTED"
    await api.post(f"{path}/aggregate")
    await api.work()
    await answer(api, path, await status_of(api, path), "correct")
    assert (await status_of(api, path))["connection_status"] == "CONNECTED"


async def answer(api: Api, path: str, asked: dict[str, Any], value: str) -> None:
    body = {
        "member": {"challenges": [{"guid": each["guid"], "value": value} for each in asked["challenges"]]}
    }
    assert (await api.put(f"{path}/resume", json=body)).status_code == 202
    await api.work()


async def test_the_right_password_after_a_wrong_one_connects_the_same_member(api, bank, upstream):
    user = await api.create_user()
    member = await api.connect(user, password="INVALID")
    await api.work()
    path = f"/users/{user}/members/{member}"
    before = await member_at_upstream(bank, upstream, user, member)
    fields = (await api.get("/institutions/mxbank/credentials")).json()["credentials"]
    values = {"LOGIN": "mxuser", "PASSWORD": "anything"}
    credentials = [{"guid": each["guid"], "value": values[each["field_name"]]} for each in fields]
    assert (await api.put(path, json={"member": {"credentials": credentials}})).status_code == 200
    await api.work()
    assert (await status_of(api, path))["connection_status"] == "CONNECTED"
    assert await member_at_upstream(bank, upstream, user, member) == before


@pytest.mark.parametrize(("decision", "status"), [("allow", "CONNECTED"), ("deny", "DENIED")])
async def test_the_user_signs_in_at_the_bank_s_own_page_through_both(api, bank, decision, status):
    user = await api.create_user()
    body = {"member": {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}}
    created = (await api.post(f"/users/{user}/members", json=body)).json()["member"]
    window = await start(api.http, created["oauth_window_uri"])
    returned = await come_back(bank, await decide_at(bank, await start(bank, window), decision))
    assert returned.status_code == 303
    page = await come_back(api.http, returned.headers["location"])
    assert page.status_code == 200
    await api.work()
    path = f"/users/{user}/members/{created['guid']}"
    assert (await status_of(api, path))["connection_status"] == status
    assert bool((await api.get(f"{path}/accounts")).json()["accounts"]) == (decision == "allow")


@pytest.mark.sdk
@needs_sdk
async def test_mx_s_sdk_runs_the_whole_flow_through_the_upstream(
    settings, environment, upstream, file, bank, tmp_path
):
    """Both installations are processes. The user links and answers a question; a processor reads the right numbers."""
    if not file.exists():
        await write_list(upstream, file)
    async with build(settings) as services:
        client = await make_client(services)
        processor = await make_processor(services, client)
    given = {
        f"COATCHECK_CONNECTOR_MX_{name.upper()}": value
        for name, value in connector_settings(upstream, file, V2).items()
    }
    environment = {**environment, "COATCHECK_CONNECTORS": "mx", **given}
    with serving(environment, tmp_path / "serve.log") as server:
        environment["COATCHECK_BASE_URL"] = server.base_url
        with process("work", environment=environment, log=tmp_path / "work.log"):
            flow = {
                "base_url": server.base_url,
                "client": [client.guid, client.api_key],
                "processor": [processor.guid, processor.api_key],
                "institution_code": "mxbank",
                "login": {"LOGIN": "mxuser", "PASSWORD": "challenge"},
                "answer": "correct",
            }
            done = await asyncio.to_thread(run_flow, flow)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    theirs = await member_at_upstream(bank, upstream, read["user_guid"], read["member_guid"])
    (account,) = [
        each
        for each in (await at_upstream(bank, upstream, f"{theirs}/accounts"))["accounts"]
        if each["guid"] == read["upstream_id"]
    ]
    path = f"{theirs.partition('/members')[0]}/accounts/{account['guid']}"
    (numbers,) = (await at_upstream(bank, upstream, f"{path}/account_numbers"))["account_numbers"]
    owners = (await at_upstream(bank, upstream, f"{theirs}/account_owners"))["account_owners"]
    transactions = await at_upstream(bank, upstream, f"{path}/transactions", **RECENT)
    assert read["numbers"] == [numbers["account_number"], numbers["routing_number"]]
    assert read["owners"] == [
        each["owner_name"] for each in owners if each["account_guid"] == account["guid"]
    ]
    assert read["balance"] == account["balance"]
    assert read["transactions"] == rows(transactions["transactions"], ("date", "amount", "type"))


def run_flow(flow: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PYTHON, ROOT / "tests/e2e/sdk_seed_flow.py", json.dumps(flow), RECENT["from_date"]],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
