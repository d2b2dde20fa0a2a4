"""Micro-deposits over HTTP."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.clock import MovableClock
from tests.api_client import Api, refusal

ACCOUNT = {
    "account_number": "3333000042",
    "account_type": "CHECKING",
    "routing_number": "091000019",
    "account_name": "Everyday",
    "first_name": "Ann",
    "last_name": "Example",
}
"""A test account; deposits to it arrive at once."""
RIGHT, WRONG = (0.03, 0.15), (0.01, 0.02)


async def start(api: Api, user: str, **account: Any) -> dict[str, Any]:
    answer = await api.post(f"/users/{user}/micro_deposits", json={"micro_deposit": {**ACCOUNT, **account}})
    assert answer.status_code == 200, answer.text
    (deposit,) = answer.json()["micro_deposit"]
    return dict(deposit)


async def verify(api: Api, guid: str, amounts: tuple[float, float]) -> httpx.Response:
    body = {"micro_deposit": {"deposit_amount_1": amounts[0], "deposit_amount_2": amounts[1]}}
    return await api.put(f"/micro_deposits/{guid}/verify", json=body)


async def test_the_right_amounts_in_either_order_verify_an_account(api: Api, user: str) -> None:
    for number, amounts in (("3333000042", RIGHT), ("3333000142", RIGHT[::-1])):
        deposit = await start(api, user, account_number=number)
        assert (deposit["status"], deposit["account_number"]) == ("INITIATED", number)
        await api.work()
        path = f"/users/{user}/micro_deposits/{deposit['guid']}"
        assert (await api.get(path)).json()["micro_deposit"][0]["status"] == "DEPOSITED"
        verified = await verify(api, deposit["guid"], amounts)
        assert verified.status_code == 200
        assert verified.json()["micro_deposit"][0]["status"] == "VERIFIED"


async def test_a_processor_can_read_an_account_verified_by_micro_deposits(api: Api, user: str) -> None:
    deposit = await start(api, user)
    await api.work()
    await verify(api, deposit["guid"], RIGHT)
    (account,) = (await api.get(f"/users/{user}/accounts")).json()["accounts"]
    numbers = await api.get(f"/users/{user}/accounts/{account['guid']}/account_numbers")
    assert numbers.json()["account_numbers"][0]["account_number"] == ACCOUNT["account_number"]
    scope = f"user-guid:{user} member-guid:{account['member_guid']} account-guid:{account['guid']}"
    code = await api.post("/authorization_code", json={"authorization_code": {"scope": scope}})
    assert code.status_code == 200


async def test_the_third_wrong_attempt_prevents_further_attempts(api: Api, user: str) -> None:
    deposit = await start(api, user)
    await api.work()
    seen = [
        (await verify(api, deposit["guid"], WRONG)).json()["micro_deposit"][0]["status"] for _ in range(3)
    ]
    assert seen == ["DENIED", "DENIED", "PREVENTED"]
    assert refusal(await verify(api, deposit["guid"], RIGHT)) == (405, "method_not_allowed_error")
    assert (await api.get(f"/users/{user}/accounts")).json()["accounts"] == []


async def test_deposits_that_have_not_arrived_cannot_be_verified(
    api: Api, user: str, clock: MovableClock
) -> None:
    deposit = await start(api, user, account_number="1234567842")
    assert refusal(await verify(api, deposit["guid"], RIGHT)) == (405, "method_not_allowed_error")
    await api.work()
    path = f"/users/{user}/micro_deposits/{deposit['guid']}"
    assert (await api.get(path)).json()["micro_deposit"][0]["status"] == "REQUESTED"
    clock.advance(timedelta(days=5))
    assert (await api.get(path)).json()["micro_deposit"][0]["status"] == "DEPOSITED"


async def test_a_request_with_only_the_holder_is_preinitiated(api: Api, user: str) -> None:
    holder = {"email": "ann@example.com", "first_name": "Ann", "last_name": "Example"}
    answer = await api.post(f"/users/{user}/micro_deposits", json={"micro_deposit": holder})
    (deposit,) = answer.json()["micro_deposit"]
    assert deposit["status"] == "PREINITIATED"
    assert {name: deposit[name] for name in holder} == holder
    await api.work()
    assert (await api.get(f"/users/{user}/micro_deposits")).json()["micro_deposits"][0][
        "status"
    ] == "PREINITIATED"


@pytest.mark.parametrize(
    "account",
    [
        {},
        {"account_number": "3333000042"},
        {**ACCOUNT, "routing_number": "091000018"},
        {**ACCOUNT, "account_number": "12ab"},
        {**ACCOUNT, "account_type": "WALLET"},
        {**ACCOUNT, "account_type": "MORTGAGE"},
    ],
)
async def test_an_invalid_account_is_refused(api: Api, user: str, account: dict[str, Any]) -> None:
    answer = await api.post(f"/users/{user}/micro_deposits", json={"micro_deposit": account})
    assert refusal(answer) == (400, "invalid_request")


async def test_a_second_micro_deposit_to_the_same_account_is_a_conflict(api: Api, user: str) -> None:
    await start(api, user)
    again = await api.post(f"/users/{user}/micro_deposits", json={"micro_deposit": ACCOUNT})
    assert refusal(again) == (409, "conflict_error")


async def test_lists_contain_no_account_number_and_verifications_do(api: Api, user: str) -> None:
    deposit = await start(api, user)
    listed = await api.get(f"/users/{user}/micro_deposits")
    assert listed.json()["micro_deposits"][0]["guid"] == deposit["guid"]
    assert ACCOUNT["account_number"] not in listed.text
    for status, count in (("INITIATED", 1), ("VERIFIED", 0)):
        answer = await api.get(f"/users/{user}/micro_deposits", params={"status": status})
        assert len(answer.json()["micro_deposits"]) == count
    (verification,) = (await api.get(f"/users/{user}/account_verifications")).json()["micro_deposit"]
    assert (verification["guid"], verification["account_number"]) == (
        deposit["guid"],
        ACCOUNT["account_number"],
    )


async def test_an_unknown_status_is_refused_and_the_known_ones_are_named(api: Api, user: str) -> None:
    for status in ("KING", "verified"):
        answer = await api.get(f"/users/{user}/micro_deposits", params={"status": status})
        assert refusal(answer) == (400, "invalid_request")
        assert "status must be one of INITIATED, " in answer.text
        assert status not in answer.text


async def test_a_deleted_micro_deposit_is_404(api: Api, user: str) -> None:
    deposit = await start(api, user)
    path = f"/users/{user}/micro_deposits/{deposit['guid']}"
    assert (await api.delete(path)).status_code == 204
    assert refusal(await api.get(path)) == (404, "not_found_error")
    assert refusal(await verify(api, deposit["guid"], RIGHT)) == (404, "not_found_error")


async def test_micro_deposits_of_a_disabled_user_cannot_be_verified(api: Api, user: str) -> None:
    deposit = await start(api, user)
    await api.work()
    await api.put(f"/users/{user}", json={"user": {"is_disabled": True}})
    assert refusal(await verify(api, deposit["guid"], RIGHT)) == (403, "forbidden_error")
