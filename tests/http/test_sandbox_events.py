"""Events on the bank's side of a live member, as a client and a processor see them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.connectors.sandbox.bank_side import BankEvent
from coatcheck.server import create_app
from tests.api_client import Api
from tests.factories import make_account, make_client, make_user
from tests.sandbox_members import Member, by_api, by_login, sandbox_api


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with sandbox_api(settings) as api:
        yield api


@pytest.fixture
async def member(api: Api) -> Member:
    return await by_api(api, [])


async def post(member: Member, event: str, **more: Any) -> httpx.Response:
    return await member.api.post(
        f"/coatcheck/sandbox/members/{member.guid}/events", json={"event": {"type": event, **more}}
    )


async def happen(member: Member, name: str, **more: Any) -> str:
    """Lets the event happen, and returns the member's status."""
    answer = await post(member, name, **more)
    assert answer.status_code == 200, answer.text
    event = answer.json()["event"]
    assert event.keys() == {"type", "user_guid", "member_guid", "connection_status"}
    assert (event["type"], event["user_guid"], event["member_guid"]) == (name, member.user_guid, member.guid)
    return str(event["connection_status"])


async def account_number(member: Member) -> str:
    account = (await member.first_account())["guid"]
    listed = await member.listed("account_numbers")
    return next(str(each["account_number"]) for each in listed if each["account_guid"] == account)


async def test_a_changed_number_is_read_by_the_next_verification(member: Member) -> None:
    token, before = await member.token(), await account_number(member)
    assert await happen(member, "numbers_changed") == "CONNECTED"
    assert await account_number(member) == before
    await member.run_job("verify")
    after = await account_number(member)
    assert after != before
    (read,) = (await token.read("/account/account_numbers"))["account_numbers"]
    assert str(read["account_number"]) == after


async def test_a_noticed_change_is_there_when_the_answer_comes(member: Member) -> None:
    numbers = [await account_number(member)]
    for _ in range(2):
        await happen(member, "numbers_changed", notice=True)
        numbers.append(await account_number(member))
    assert len(set(numbers)) == 3


async def test_a_closed_account_is_closed_for_the_client_and_the_processor(member: Member) -> None:
    token = await member.token()
    await happen(member, "account_closed", notice=True)
    account = await member.first_account()
    assert (account["is_closed"], account["balance"]) == (True, 0)
    assert (await token.read("/payment_account"))["payment_account"]["balance"] == 0


async def test_a_changed_owner_is_read_by_client_and_processor(member: Member) -> None:
    token, before = (
        await member.token(),
        {each["owner_name"] for each in await member.listed("account_owners")},
    )
    await happen(member, "owner_changed", notice=True)
    after = {each["owner_name"] for each in await member.listed("account_owners")}
    assert after.isdisjoint(before)
    read = (await token.read("/account/account_owners"))["account_owners"]
    assert {each["owner_name"] for each in read} <= after


@pytest.mark.parametrize("controls", [[], ["nsf"]])
async def test_new_transactions_arrive_and_add_up_with_the_balance(api: Api, controls: list[str]) -> None:
    member = await by_api(api, controls)
    token, account = await member.token(), await member.first_account()
    before = {each["id"] for each in await member.listed("transactions")}
    await happen(member, "new_transactions", notice=True)
    new = [each for each in await member.listed("transactions") if each["id"] not in before]
    assert len(new) >= 3
    assert {each["account_guid"] for each in new} == {account["guid"]}
    moved = sum(each["amount"] * (1 if each["type"] == "CREDIT" else -1) for each in new)
    assert (await member.first_account())["balance"] == pytest.approx(account["balance"] + moved)
    read = (await token.read("/account/transactions?records_per_page=1000"))["transactions"]
    assert {each["guid"] for each in new} <= {each["guid"] for each in read}


@pytest.mark.parametrize(
    ("event", "status", "tokens_read"),
    [
        ("consent_revoked", "DISCONNECTED", False),
        ("password_changed", "DENIED", True),
        ("locked", "LOCKED", True),
    ],
)
@pytest.mark.parametrize("connect", [by_api, by_login])
async def test_an_ended_sign_in_is_refused_until_there_are_new_credentials(
    api: Api, connect: Any, event: str, status: str, tokens_read: bool
) -> None:
    member = await connect(api, [])
    token = await member.token()
    assert await happen(member, event) == "CONNECTED"
    assert (await token.get("/account/transactions")).status_code == 200
    assert await member.run_job("aggregate") == status
    assert await member.run_job("aggregate") == status
    refused = await token.get("/account/transactions")
    assert (refused.status_code == 200) is tokens_read
    if not tokens_read:
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "connection_broken")
    assert await member.change_password() == "CONNECTED"
    assert await member.run_job("aggregate") == "CONNECTED"
    assert (await token.get("/account/transactions")).status_code == 200


async def test_a_bank_that_is_down_is_noticed_and_comes_up_again(member: Member) -> None:
    token = await member.token()
    assert await happen(member, "bank_down", notice=True) == "DEGRADED"
    assert (await token.get("/account/transactions")).status_code == 200
    assert await member.run_job("aggregate") == "FAILED"
    assert await happen(member, "bank_up", notice=True) == "CONNECTED"


async def test_an_event_leaves_other_members_alone(api: Api, member: Member) -> None:
    other = await by_api(api, [])
    await happen(member, "consent_revoked", notice=True)
    assert await other.run_job("aggregate") == "CONNECTED"


async def test_an_event_that_cannot_be_noticed_changes_nothing(api: Api) -> None:
    challenged = await by_api(api, ["mfa_text"])
    assert (await post(challenged, "consent_revoked", notice=True)).status_code == 409
    assert await challenged.answer("correct") in {"CHALLENGED", "CONNECTED"}


@pytest.mark.parametrize(
    "event",
    [{}, {"type": "earthquake"}, {"type": "locked", "notice": "perhaps"}, {"type": "locked", "at": "noon"}],
)
async def test_an_unknown_event_is_refused(member: Member, event: dict[str, Any]) -> None:
    path = f"/coatcheck/sandbox/members/{member.guid}/events"
    answer = await member.api.post(path, json={"event": event})
    assert answer.status_code == 400
    if event.get("type") == "earthquake":
        assert all(each in answer.json()["error"]["message"] for each in BankEvent)


async def test_the_member_of_another_client_is_not_found(api: Api, member: Member) -> None:
    stranger = replace(member, api=Api(api.http, api.services, await make_client(api.services)))
    assert (await post(stranger, "locked")).status_code == 404
    assert (
        await api.post("/coatcheck/sandbox/members/MBR-1/events", json={"event": {"type": "locked"}})
    ).status_code == 404


async def test_a_member_without_a_bank_is_refused(api: Api) -> None:
    account = await make_account(api.services, await make_user(api.services, api.caller))
    async with api.services.db.transaction() as connection:
        await connection.execute(
            "UPDATE member SET institution_code = 'manual', is_manual = true WHERE guid = %s",
            (account.member_guid,),
        )
    member = Member(api, account.user_guid, account.member_guid, "")
    assert (await post(member, "locked")).status_code == 422


async def test_a_production_server_has_no_such_path(services: Services) -> None:
    client = await make_client(services)
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.post("/coatcheck/sandbox/members/MBR-1/events", auth=client.auth)
    assert answer.status_code == 404
