"""Connections and tokens of a sandbox in one call, and the reset."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from coatcheck.app import Services, build
from coatcheck.config import Settings
from coatcheck.server import create_app
from tests.api_client import Api
from tests.factories import Keyed, make_client, make_processor

pytestmark = pytest.mark.own_database


@pytest.fixture
async def sandbox(settings: Settings) -> AsyncIterator[Services]:
    async with build(replace(settings, sandbox=True)) as services:
        yield services


@pytest.fixture
async def api(sandbox: Services) -> AsyncIterator[Api]:
    client = await make_client(sandbox)
    transport = httpx.ASGITransport(create_app(sandbox))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Api(http, sandbox, client)


@pytest.fixture
async def processor(api: Api) -> Keyed:
    return await make_processor(api.services, api.caller)


async def connect(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/coatcheck/sandbox/connections", json={"connection": fields})
    assert answer.status_code == 200, answer.text
    connection: dict[str, Any] = answer.json()["connection"]
    return connection


async def token(api: Api, processor: Keyed, **fields: Any) -> httpx.Response:
    body = {"token": {"processor_guid": processor.guid, **fields}}
    return await api.post("/coatcheck/sandbox/tokens", json=body)


async def read(api: Api, path: str, access_token: str) -> httpx.Response:
    return await api.http.get(path, headers={"Authorization": f"Bearer {access_token}"})


async def test_one_call_without_a_body_gives_a_connected_member_with_numbers_and_owners(api: Api) -> None:
    connection = (await api.post("/coatcheck/sandbox/connections")).json()["connection"]
    assert connection.keys() == {"user_guid", "member_guid", "account_guids"}
    path = f"/users/{connection['user_guid']}/members/{connection['member_guid']}"
    assert (await api.get(path)).json()["member"]["connection_status"] == "CONNECTED"
    assert (await api.get(f"{path}/account_numbers")).json()["account_numbers"]
    assert (await api.get(f"{path}/account_owners")).json()["account_owners"]
    listed = (await api.get(f"{path}/accounts")).json()["accounts"]
    assert {account["guid"] for account in listed} == set(connection["account_guids"])


async def test_a_connection_without_verify_and_identify_has_neither(api: Api) -> None:
    connection = await connect(api, verify=False, identify=False)
    path = f"/users/{connection['user_guid']}/members/{connection['member_guid']}"
    assert (await api.get(f"{path}/account_numbers")).json()["account_numbers"] == []
    assert (await api.get(f"{path}/account_owners")).json()["account_owners"] == []


async def test_the_persona_and_the_controls_decide_what_the_bank_has(api: Api) -> None:
    connection = await connect(api, persona="student", controls=["nsf"])
    accounts = (await api.get(f"/users/{connection['user_guid']}/accounts")).json()["accounts"]
    assert {account["name"] for account in accounts} == {
        "MX Bank Checking", "MX Bank Savings", "MX Bank Student Loan",
    }  # fmt: skip
    assert next(each for each in accounts if each["name"] == "MX Bank Checking")["balance"] == 7.31


async def test_a_control_that_makes_the_bank_fail_gives_a_member_with_that_status(api: Api) -> None:
    connection = await connect(api, controls=["locked"])
    member = await api.get(f"/users/{connection['user_guid']}/members/{connection['member_guid']}")
    assert member.json()["member"]["connection_status"] == "LOCKED"
    assert connection["account_guids"] == []


@pytest.mark.parametrize("code", ["mxcu_oauth", "mx_bank_oauth"])
async def test_at_an_institution_with_a_page_of_its_own_the_user_has_signed_in(api: Api, code: str) -> None:
    connection = await connect(api, institution_code=code, controls=["nsf"])
    path = f"/users/{connection['user_guid']}/members/{connection['member_guid']}"
    member = (await api.get(path)).json()["member"]
    assert (member["connection_status"], member["is_oauth"]) == ("CONNECTED", True)
    assert (await api.get(f"{path}/account_numbers")).json()["account_numbers"]
    owners = (await api.get(f"{path}/account_owners")).json()["account_owners"]
    # Only here an account has two owners (MX docs: MXCU).
    assert (len(owners) > len({each["account_guid"] for each in owners})) is (code == "mxcu_oauth")
    listed = (await api.get(f"{path}/accounts")).json()["accounts"]
    assert {account["guid"] for account in listed} == set(connection["account_guids"])
    # The control is of the member, as at the other institutions.
    assert 7.31 in {account["balance"] for account in listed}


async def test_a_user_has_one_connection_at_an_institution_with_a_page_of_its_own(api: Api) -> None:
    fields = {"institution_code": "mx_bank_oauth", "verify": False, "identify": False}
    first = await connect(api, **fields)
    again = {"connection": {**fields, "user_guid": first["user_guid"]}}
    assert (await api.post("/coatcheck/sandbox/connections", json=again)).status_code == 409
    # It can sign in again, and be aggregated.
    path = f"/users/{first['user_guid']}/members/{first['member_guid']}"
    assert (await api.get(f"{path}/oauth_window_uri")).status_code == 200
    assert (await api.post(f"{path}/aggregate")).status_code == 202


async def test_a_second_connection_of_a_user_is_another_member(api: Api) -> None:
    first = await connect(api)
    second = await connect(api, user_guid=first["user_guid"])
    assert second["user_guid"] == first["user_guid"]
    assert second["member_guid"] != first["member_guid"]


async def test_a_user_can_have_a_connection_after_another_one_was_deleted(api: Api) -> None:
    first = await connect(api, verify=False, identify=False)
    user = first["user_guid"]
    await connect(api, user_guid=user, verify=False, identify=False)
    assert (await api.delete(f"/users/{user}/members/{first['member_guid']}")).status_code == 204
    await connect(api, user_guid=user, verify=False, identify=False)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"controls": ["unknown"]}, 400),
        ({"controls": ["slow=1+locked"]}, 400),
        ({"controls": "nsf"}, 400),
        ({"persona": "pirate"}, 400),
        ({"user_guid": "USR-unknown"}, 404),
        ({"institution_code": "unknown"}, 404),
        ({"colour": "blue"}, 400),
        ({"verify": "perhaps"}, 400),
    ],
)
async def test_a_connection_that_cannot_be_made_is_refused(
    api: Api, fields: dict[str, Any], status: int
) -> None:
    answer = await api.post("/coatcheck/sandbox/connections", json={"connection": fields})
    assert answer.status_code == status, answer.text


async def test_one_call_gives_a_token_that_reads_everything(api: Api, processor: Keyed) -> None:
    answer = await token(api, processor)
    assert answer.status_code == 200, answer.text
    given = answer.json()["token"]
    assert given.keys() == {
        "access_token", "grant_guid", "user_guid", "member_guid", "account_guid", "expires_at",
    }  # fmt: skip
    for path in ("/account/account_numbers", "/account/account_owners", "/account/transactions"):
        assert (await read(api, path, given["access_token"])).status_code == 200
    grant = (await api.get(f"/coatcheck/grants/{given['grant_guid']}")).json()["grant"]
    assert (grant["account_guid"], grant["processor"]["guid"]) == (given["account_guid"], processor.guid)


async def test_a_token_for_an_existing_account_has_the_scope_that_was_given(
    api: Api, processor: Keyed
) -> None:
    connection = await connect(api)
    account = connection["account_guids"][0]
    given = (await token(api, processor, account_guid=account, scope="read:transactions")).json()["token"]
    assert given["account_guid"] == account
    assert (await read(api, "/account/transactions", given["access_token"])).status_code == 200
    assert (await read(api, "/account/account_numbers", given["access_token"])).status_code == 403


async def test_a_token_is_for_an_existing_account_or_a_new_connection_and_not_for_both(
    api: Api, processor: Keyed
) -> None:
    refused = await token(api, processor, account_guid="ACT-1", persona="student", controls=["nsf"])
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == (
        "token: it must not contain account_guid and persona, controls."
    )


async def test_a_token_that_cannot_be_issued_is_refused(api: Api, processor: Keyed) -> None:
    other = await make_client(api.services)
    foreign = await make_processor(api.services, other)
    assert (await token(api, foreign)).status_code == 422
    assert (await token(api, processor, account_guid="ACT-unknown")).status_code == 404
    assert (await token(api, processor, scope="read:secrets")).status_code == 400
    assert (await token(api, processor, controls=["empty"])).status_code == 422


async def test_a_token_that_is_refused_leaves_no_user(api: Api, processor: Keyed) -> None:
    foreign = await make_processor(api.services, await make_client(api.services))
    disabled = await make_processor(api.services, api.caller)
    async with api.services.db.transaction() as connection:
        await api.services.processors.disable(connection, disabled.guid, actor="test")
    for refused in (
        await token(api, foreign),
        await token(api, disabled),
        await token(api, processor, scope="read:secrets"),
        await token(api, processor, scope="max-reads:0"),
    ):
        assert refused.status_code in {400, 422}, refused.text
    assert (await api.get("/users")).json()["users"] == []


async def test_a_reset_of_a_user_deletes_its_members_and_ends_its_tokens(api: Api, processor: Keyed) -> None:
    given = (await token(api, processor)).json()["token"]
    other = await connect(api)
    answer = await api.post("/coatcheck/sandbox/reset", json={"reset": {"user_guid": given["user_guid"]}})
    assert answer.status_code == 204
    assert (await api.get(f"/users/{given['user_guid']}/members")).json()["members"] == []
    assert (await read(api, "/account/transactions", given["access_token"])).status_code == 401
    assert (await api.get(f"/users/{other['user_guid']}/members")).json()["members"]


async def test_a_reset_without_a_user_makes_the_whole_world_as_new_and_keeps_the_keys(api: Api) -> None:
    await connect(api)
    stranger = Api(api.http, api.services, await make_client(api.services))
    await connect(stranger)
    fault = {"route": "/users", "probability": 1, "status": 503}
    assert (await api.post("/coatcheck/sandbox/faults", json={"fault": fault})).status_code == 200
    assert (await api.post("/coatcheck/sandbox/reset")).status_code == 204
    assert (await api.get("/coatcheck/sandbox/faults")).json() == {"faults": []}
    for each in (api, stranger):
        assert (await each.get("/users")).json()["users"] == []


async def test_two_resets_of_the_whole_world_at_the_same_time_both_succeed(api: Api) -> None:
    for _ in range(4):
        await connect(api)
    answers = await asyncio.gather(*(api.post("/coatcheck/sandbox/reset") for _ in range(3)))
    assert [each.status_code for each in answers] == [204] * 3


async def test_a_user_of_another_client_is_not_reset(api: Api) -> None:
    theirs = await connect(Api(api.http, api.services, await make_client(api.services)))
    foreign = await api.post("/coatcheck/sandbox/reset", json={"reset": {"user_guid": theirs["user_guid"]}})
    assert foreign.status_code == 404


@pytest.mark.parametrize("path", ["connections", "tokens", "reset"])
async def test_a_production_server_has_none_of_it(services: Services, path: str) -> None:
    client = await make_client(services)
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert (await http.post(f"/coatcheck/sandbox/{path}", auth=client.auth)).status_code == 404
