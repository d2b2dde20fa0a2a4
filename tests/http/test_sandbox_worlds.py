"""The world of a sandbox as YAML: what GET writes, PUT makes again."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import yaml

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.server import create_app
from tests.api_client import Api
from tests.databases import copied_database
from tests.factories import make_client, make_processor
from tests.sandbox_members import Member, by_api, by_login, sandbox_api
from tests.worlds import WORLD

pytestmark = pytest.mark.own_database


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with sandbox_api(settings, name="Acme") as api:
        yield api


async def put(api: Api, world: str) -> httpx.Response:
    headers = {"Content-Type": "application/yaml"}
    return await api.put("/coatcheck/sandbox/world", content=world, headers=headers)


async def make(api: Api, world: str) -> dict[str, Any]:
    answer = await put(api, world)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["world"]
    return made


async def read(api: Api) -> str:
    answer = await api.get("/coatcheck/sandbox/world")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/yaml"
    return answer.text


async def test_a_world_has_the_users_members_and_accounts_of_its_file(api: Api) -> None:
    made = await make(api, WORLD)
    alice, other = made["clients"][0]["users"]
    assert made["clients"][0]["guid"] == api.caller.guid
    assert (await api.get("/users/alice")).json()["user"]["guid"] == alice["guid"]
    assert [each["connection_status"] for each in alice["members"]] == ["CONNECTED", "CONNECTED"]
    assert [each["connection_status"] for each in other["members"]] == ["LOCKED"]
    first, second = (Member(api, alice["guid"], each["guid"], "alice") for each in alice["members"])
    assert len(await first.listed("accounts")) == 6
    assert await first.listed("account_numbers")
    assert [each["name"] for each in await second.listed("accounts")] == [
        "MXCU Checking",
        "MXCU Student Loan",
    ]
    assert await second.listed("account_numbers") == []
    assert await second.listed("account_owners")
    accounts = (await api.get("/users/alice/accounts")).json()["accounts"]
    assert next(each for each in accounts if each["is_manual"])["balance"] == 1200.5


async def test_a_put_of_what_get_gave_makes_the_same_world(api: Api) -> None:
    await make(api, WORLD)
    first = await read(api)
    await make(api, first)
    assert await read(api) == first


async def test_a_fresh_sandbox_makes_the_same_world(api: Api, settings: Settings, server_url: str) -> None:
    await make(api, WORLD)
    first = await read(api)
    with copied_database(server_url) as url:
        async with sandbox_api(replace(settings, database_url=url), name="Acme") as fresh:
            await make(fresh, first)
            assert await read(fresh) == first
            owners = [
                await Member(each, "alice", guid, "alice").listed("account_owners")
                for each in (api, fresh)
                for guid in [(await each.get("/users/alice/members")).json()["members"][0]["guid"]]
            ]
    assert {each["owner_name"] for each in owners[0]} == {each["owner_name"] for each in owners[1]}


async def test_a_world_has_what_was_made_by_other_calls(api: Api) -> None:
    await by_login(api, ["joint"])
    await by_api(api, ["wrong_number"])
    challenged = await api.connect(await api.create_user(id="bob"), login="bob", password="challenge")
    await api.work()
    first = await read(api)
    (client,) = yaml.safe_load(first)["clients"]
    members = {each["login"]: each for user in client["users"] for each in user["members"]}
    assert members["ann+persona=salaried+joint"]["accounts"][0] == "Checking"
    assert members["bob"]["password"] == "challenge"
    assert members["bob"]["verify"] is False
    assert ["wrong_number"] in [each.get("controls") for each in members.values()]
    assert challenged not in first
    await make(api, first)
    assert await read(api) == first
    bob = (await api.get("/users/bob/members")).json()["members"][0]
    assert bob["connection_status"] == "CHALLENGED"


async def test_a_world_has_what_happened_at_the_bank(api: Api) -> None:
    member = await by_api(api, [])
    for event in (
        "numbers_changed",
        "owner_changed",
        "new_transactions",
        "bank_down",
        "bank_up",
        "consent_revoked",
    ):
        answer = await api.post(
            f"/coatcheck/sandbox/members/{member.guid}/events",
            json={"event": {"type": event, "notice": True}},
        )
        assert answer.status_code == 200
    numbers, transactions = (
        [(each["account_number"]) for each in await member.listed("account_numbers")],
        [each["id"] for each in await member.listed("transactions")],
    )
    first = await read(api)
    happened = yaml.safe_load(first)["clients"][0]["users"][0]["members"][0]["happened"]
    assert (happened["numbers_changed"], happened["owner_changed"]) == (1, 1)
    assert happened["sign_in_ended"] == "consent_revoked"
    made = await make(api, first)
    assert await read(api) == first
    (user,) = made["clients"][0]["users"]
    (again,) = user["members"]
    assert again["connection_status"] == "DISCONNECTED"
    same = Member(api, user["guid"], again["guid"], "")
    assert [each["account_number"] for each in await same.listed("account_numbers")] == numbers
    assert sorted(each["id"] for each in await same.listed("transactions")) == sorted(transactions)


async def test_a_sign_in_that_ended_while_the_bank_waits_for_an_answer_is_in_the_world(api: Api) -> None:
    guid = await api.connect(await api.create_user(id="bob"), login="bob", password="challenge")
    await api.work()
    event = {"event": {"type": "consent_revoked"}}
    assert (await api.post(f"/coatcheck/sandbox/members/{guid}/events", json=event)).status_code == 200
    first = await read(api)
    (member,) = (await make(api, first))["clients"][0]["users"][0]["members"]
    assert member["connection_status"] == "CHALLENGED"
    assert await read(api) == first


async def test_an_account_that_micro_deposits_verified_is_not_in_the_world(api: Api) -> None:
    member = await by_api(api, [])
    number = api.services.registry.find("mxbank").routing_numbers[0]
    account = {"account_number": "3333000042", "routing_number": number, "account_type": "CHECKING"}
    body = {"micro_deposit": {**account, "email": "ann@example.com", "first_name": "Ann", "last_name": "Lee"}}
    (made,) = (await api.post(f"/users/{member.user_guid}/micro_deposits", json=body)).json()["micro_deposit"]
    before = await read(api)
    await api.work()
    amounts = {"micro_deposit": {"deposit_amount_1": 0.03, "deposit_amount_2": 0.15}}
    path = f"/micro_deposits/{made['guid']}/verify"
    (verified,) = (await api.put(path, json=amounts)).json()["micro_deposit"]
    assert (verified["status"], verified["institution_code"]) == ("VERIFIED", "mxbank")
    assert await read(api) == before


async def test_a_repaired_sign_in_has_not_ended(api: Api) -> None:
    member = await by_api(api, [])
    await api.post(
        f"/coatcheck/sandbox/members/{member.guid}/events", json={"event": {"type": "password_changed"}}
    )
    assert await member.change_password() == "CONNECTED"
    assert "sign_in_ended" not in await read(api)


async def test_keys_stay_and_a_new_caller_s_key_is_in_the_answer_only(api: Api) -> None:
    kept = await make_processor(api.services, api.caller, name="Payments Inc")
    made = await make(api, WORLD)
    payments, owners = made["processors"]
    assert (payments["guid"], payments["api_key"]) == (kept.guid, None)
    acme, another = made["clients"]
    assert (acme["guid"], acme["api_key"]) == (api.caller.guid, None)
    for new in (owners, another):
        assert new["api_key"]
        assert new["api_key"] not in await read(api)
    as_other = await api.http.get("/users", auth=(another["guid"], another["api_key"]))
    assert [each["id"] for each in as_other.json()["users"]] == ["alice"]
    again = await make(api, WORLD)
    assert [each["api_key"] for each in (*again["processors"], *again["clients"])] == [None] * 4
    assert [each["guid"] for each in again["clients"]] == [acme["guid"], another["guid"]]


async def test_a_token_of_a_processor_in_the_world_reads(api: Api) -> None:
    made = await make(api, WORLD)
    account = made["clients"][0]["users"][0]["members"][0]["account_guids"][0]
    body = {"token": {"processor_guid": made["processors"][0]["guid"], "account_guid": account}}
    answer = await api.post("/coatcheck/sandbox/tokens", json=body)
    assert answer.status_code == 200
    body["token"]["processor_guid"] = made["processors"][1]["guid"]
    assert (await api.post("/coatcheck/sandbox/tokens", json=body)).status_code == 422


async def test_a_world_replaces_the_users_of_every_client(api: Api) -> None:
    member = await by_api(api, [])
    token = await member.token()
    stranger = Api(api.http, api.services, await make_client(api.services, name="Not in the world"))
    await stranger.create_user()
    await make(api, WORLD)
    assert (await token.get("/account/transactions")).status_code == 401
    assert (await api.get(f"/users/{member.user_guid}")).status_code == 404
    assert (await stranger.get("/users")).json()["users"] == []


async def test_disabled_users_clients_and_processors_are_disabled(api: Api) -> None:
    world = WORLD.replace("- id: alice\n    email", "- id: alice\n    is_disabled: true\n    email")
    world = world.replace("- name: Owners Inc\n", "- name: Owners Inc\n  is_disabled: true\n")
    await make(api, world)
    assert (await api.get("/users/alice")).json()["user"]["is_disabled"] is True
    first = await read(api)
    assert first.count("is_disabled: true") == 2
    await make(api, first)
    assert await read(api) == first
    await make(api, WORLD)
    assert "is_disabled" not in await read(api)


UNUSABLE = {
    "an unknown account": ("- Student Loan", "- Yacht Loan", 23, "Student Loan"),
    "an unknown institution": ("institution: mxcu_credential", "institution: nowhere", 19, "institution"),
    "an institution with its own page": (
        "institution: mxcu_credential",
        "institution: mxcu_oauth",
        19,
        "page",
    ),
    "an unsupported job": (
        "institution: mxcu_credential",
        "institution: saltcellar_savings_bank",
        19,
        "identify",
    ),
    "an unknown key": ("    email: ", "    e_mail: ", 12, "e_mail"),
    "a broken line": ("metadata: without an id", "metadata: [", 31, ""),
    "a webhook to nowhere": (
        "name: Another client",
        "name: Another client\n  webhook_url: nowhere",
        34,
        "webhook_url",
    ),
}
"""What is replaced in the file, by what, and the line and the word that the refusal names."""


async def test_a_file_that_cannot_be_used_is_refused_with_its_line_and_changes_nothing(api: Api) -> None:
    user = await api.create_user(id="before")
    for old, new, line, word in UNUSABLE.values():
        assert old in WORLD
        answer = await put(api, WORLD.replace(old, new, 1))
        assert answer.status_code == 400, answer.text
        message = answer.json()["error"]["message"]
        assert message.startswith(f"line {line}"), message
        assert word in message
    assert [each["guid"] for each in (await api.get("/users")).json()["users"]] == [user]
    assert "processors" not in yaml.safe_load(await read(api))["clients"][0]
    assert yaml.safe_load(await read(api))["processors"] == []


async def test_a_large_file_is_refused(api: Api) -> None:
    assert (await put(api, "#" * 300_000)).status_code == 413


async def test_a_processor_with_other_options_is_refused(api: Api) -> None:
    await make_processor(api.services, name="Owners Inc")
    answer = await put(api, WORLD)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("line 5, processors[1].owners_at_transactions")
    assert (await api.get("/users")).json()["users"] == []


async def test_two_processors_of_one_name_have_no_world(api: Api) -> None:
    for _ in range(2):
        await make_processor(api.services, name="Twin")
    answer = await api.get("/coatcheck/sandbox/world")
    assert (answer.status_code, "Twin" in answer.text) == (409, True)


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_production_server_has_no_world(services: Services, method: str) -> None:
    client = await make_client(services)
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.request(method, "/coatcheck/sandbox/world", auth=client.auth)
    assert answer.status_code == 404
