"""The page at `/` of a sandbox, and the activity that it shows. A production server has neither."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import httpx
import pytest

from coatcheck.app import Services, build
from coatcheck.config import Settings
from coatcheck.emulator.request_log import INSPECTOR, SIZE
from coatcheck.server import create_app
from tests.api_client import LOGIN, PASSWORD, Api
from tests.factories import Keyed, make_client

ACTIVITY = "/coatcheck/sandbox/activity"
FILES = ("/", "/inspector.css", "/inspector.js")
LARGEST = 100_000
"""Bytes of the page with its files."""


@pytest.fixture
async def sandbox(settings: Settings) -> AsyncIterator[Services]:
    async with build(replace(settings, sandbox=True)) as services:
        yield services


@pytest.fixture
async def client(sandbox: Services) -> Keyed:
    return await make_client(sandbox)


@pytest.fixture
async def http(sandbox: Services) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(sandbox))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


@pytest.fixture
def api(sandbox: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    return Api(http, sandbox, client)


async def requests(api: Api) -> list[dict[str, object]]:
    activity = (await api.get(ACTIVITY, headers={INSPECTOR: "1"})).json()["activity"]
    shown: list[dict[str, object]] = activity["requests"]
    return shown


async def test_the_page_needs_no_credentials_and_contains_no_data(
    http: httpx.AsyncClient, client: Keyed
) -> None:
    answers = [await http.get(path) for path in FILES]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    text = "".join(answer.text for answer in answers)
    assert client.guid not in text
    assert client.api_key not in text
    assert len(text.encode()) < LARGEST


async def test_the_page_loads_nothing_from_another_host_and_cannot_be_framed(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cross-origin-opener-policy"] == "same-origin"


async def test_the_activity_is_refused_without_the_client_s_key(
    http: httpx.AsyncClient, client: Keyed
) -> None:
    for auth in (None, (client.guid, "cck_wrong"), ("CLT-other", client.api_key)):
        refused = await http.get(ACTIVITY, auth=auth, headers={"host": "rebound.example"})
        assert refused.status_code == 401
        assert "requests" not in refused.text


async def test_the_page_s_data_has_no_cors_header_that_lets_another_site_read_it(api: Api) -> None:
    answer = await api.get(ACTIVITY, headers={"origin": "https://other.example"})
    assert answer.status_code == 200
    assert [name for name in answer.headers if name.startswith("access-control-")] == []


async def test_every_request_is_listed_with_its_status_and_caller(api: Api, client: Keyed) -> None:
    await api.post("/users", json={"user": {"id": "anna"}})
    await api.http.get("/users/USR-unknown", auth=("CLT-nobody", "cck_wrong"))
    newest, before = (await requests(api))[:2]
    assert (newest["path"], newest["status"], newest["caller"]) == ("/users/USR-unknown", 401, "CLT-nobody")
    assert (before["method"], before["path"], before["status"]) == ("POST", "/users", 200)
    assert before["caller"] == client.guid
    datetime.fromisoformat(str(before["at"]))


async def test_a_secret_in_a_url_is_not_listed(api: Api) -> None:
    await api.http.get("/md/connect/ccl_000abcdefghijklmnop", params={"code": "cca_000secret"})
    assert "abcdefgh" not in str(await requests(api))
    assert "cca_" not in str(await requests(api))


async def test_the_page_s_own_requests_are_not_listed(api: Api) -> None:
    await requests(api)
    assert await requests(api) == []


async def test_the_last_requests_are_kept(api: Api) -> None:
    for number in range(SIZE + 5):
        await api.http.get(f"/nothing/{number}")
    listed = await requests(api)
    assert len(listed) == SIZE
    assert listed[0]["path"] == f"/nothing/{SIZE + 4}"


async def test_a_client_sees_its_own_members_only(
    api: Api, sandbox: Services, http: httpx.AsyncClient
) -> None:
    user = (await api.post("/users", json={"user": {"id": "anna"}})).json()["user"]["guid"]
    fields = (await api.get("/institutions/mxbank/credentials")).json()["credentials"]
    values = {"LOGIN": LOGIN, "PASSWORD": PASSWORD}
    credentials = [{"guid": each["guid"], "value": values[each["field_name"]]} for each in fields]
    await api.post(
        f"/users/{user}/members", json={"member": {"institution_code": "mxbank", "credentials": credentials}}
    )
    (member,) = (await api.get(ACTIVITY)).json()["activity"]["members"]
    assert (member["user_guid"], member["institution_code"]) == (user, "mxbank")
    other = Api(http, sandbox, await make_client(sandbox))
    assert (await other.get(ACTIVITY)).json()["activity"]["members"] == []


@pytest.mark.parametrize("path", [*FILES, ACTIVITY])
async def test_a_production_server_has_no_such_page(settings: Settings, path: str) -> None:
    async with build(settings) as services:
        client = await make_client(services)
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            assert (await http.get(path, auth=client.auth)).status_code == 404
