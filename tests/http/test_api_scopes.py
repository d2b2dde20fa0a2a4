"""Scopes over HTTP: what a client may ask for, what a processor is answered, and a connection that is repaired."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.model.accounts import Account
from tests.api_client import VERSIONS, Api, connecting, refusal
from tests.factories import Keyed, make_processor, make_transaction, scope_of

UNKNOWN_PROCESSOR = "PPR-00000000-0000-4000-8000-000000000000"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, max_codes_per_account=2)


@pytest.fixture(params=VERSIONS)
def api(request: pytest.FixtureRequest, services: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    return Api(http, services, client, request.param)


async def ask(
    api: Api, account: Account, atoms: str = "", *, protected: bool = True, **more: Any
) -> httpx.Response:
    scope = str(scope_of(account, reads_protected=protected))
    return await api.post(
        "/authorization_code", json={"authorization_code": {"scope": f"{scope} {atoms}", **more}}
    )


async def exchange(api: Api, processor: Keyed, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    code = answer.json()["authorization_code"]["code"]
    exchanged = await api.http.post(
        "/token", data={"grant_type": "authorization_code", "code": code}, auth=processor.auth
    )
    assert exchanged.status_code == 200, exchanged.text
    body: dict[str, Any] = exchanged.json()
    return body


async def read(api: Api, token: str, path: str = "/account/account_numbers", **query: Any) -> httpx.Response:
    return await api.http.get(path, headers={"Authorization": f"Bearer {token}"}, params=query)


@pytest.mark.parametrize(
    "atoms",
    [
        "read:everything",
        "admin",
        "max-reads:0",
        "max-reads:-1",
        "max-reads:+1",
        "lookback-days:\u0663",
        "lookback-days:0",
        "expires-in:1.5",
        "expires-in:60 expires-in:60",
        "processor-guid:USR-1",
        f"processor-guid:{UNKNOWN_PROCESSOR} processor-guid:{UNKNOWN_PROCESSOR}",
    ],
)
async def test_an_atom_that_is_unknown_repeated_or_not_a_positive_number_is_400(
    api: Api, account: Account, atoms: str
) -> None:
    assert refusal(await ask(api, account, atoms)) == (400, "invalid_scope")


async def test_a_scope_that_contradicts_itself_is_400_and_names_the_contradiction(
    api: Api, account: Account
) -> None:
    answer = await ask(api, account, "read:numbers", protected=False)
    assert refusal(answer) == (400, "invalid_scope")
    message = answer.json()["error"]["message"]
    assert "read:numbers" in message
    assert "read-protected" in message


async def test_a_code_for_an_account_that_does_not_exist_is_404_and_says_what_is_wrong(
    api: Api, account: Account
) -> None:
    answer = await ask(api, replace(account, guid="ACT-00000000-0000-4000-8000-000000000000"))
    assert refusal(answer) == (404, "not_found_error")
    assert answer.json()["error"]["message"] == (
        "An object in the scope does not exist or does not belong to the object before it."
    )


async def test_a_code_for_an_unknown_processor_or_one_that_is_not_enabled_is_422(
    api: Api, services: Services, account: Account
) -> None:
    for guid in (UNKNOWN_PROCESSOR, (await make_processor(services)).guid):
        for answer in (
            await ask(api, account, f"processor-guid:{guid}"),
            await ask(api, account, processor_guid=guid),
        ):
            assert refusal(answer) == (422, "unprocessable_entity_error")


async def test_a_code_for_a_disabled_processor_is_422(
    api: Api, services: Services, client: Keyed, account: Account
) -> None:
    disabled = await make_processor(services, client, is_disabled=True)
    for answer in (
        await ask(api, account, f"processor-guid:{disabled.guid}"),
        await ask(api, account, processor_guid=disabled.guid),
    ):
        assert refusal(answer) == (422, "unprocessable_entity_error")


async def test_a_scope_that_names_another_processor_than_the_request_is_400(
    api: Api, services: Services, client: Keyed, account: Account, processor: Keyed
) -> None:
    other = await make_processor(services, client)
    answer = await ask(api, account, f"processor-guid:{other.guid}", processor_guid=processor.guid)
    assert refusal(answer) == (400, "invalid_scope")
    assert answer.json()["error"]["message"] == "The scope names another processor than the request."
    same = await ask(api, account, f"processor-guid:{processor.guid}", processor_guid=processor.guid)
    assert same.status_code == 200


async def test_the_answer_of_the_exchange_repeats_every_atom_of_the_scope(
    api: Api, account: Account, processor: Keyed
) -> None:
    limits = "expires-in:3600 lookback-days:30 max-reads:5"
    atoms = f"read:numbers read:transactions processor-guid:{processor.guid} {limits}"
    body = await exchange(api, processor, await ask(api, account, atoms))
    assert set(body["scope"].split()) == {*str(scope_of(account)).split(), *atoms.split()}


async def test_one_code_more_than_the_setting_allows_is_429_until_one_is_redeemed_or_expires(
    api: Api, clock: MovableClock, account: Account, processor: Keyed
) -> None:
    first, _ = [await ask(api, account) for _ in range(2)]
    refused = await ask(api, account)
    assert refusal(refused) == (429, "too_many_requests_error")
    assert 1 <= int(refused.headers["retry-after"]) <= 600
    await exchange(api, processor, first)
    assert (await ask(api, account)).status_code == 200
    assert (await ask(api, account)).status_code == 429
    clock.advance(timedelta(seconds=600))
    assert (await ask(api, account)).status_code == 200


async def test_a_look_back_hides_older_transactions_whatever_the_filter_and_the_page(
    api: Api, services: Services, account: Account, processor: Keyed
) -> None:
    today = services.clock.instant().date()
    for days in range(10):
        await make_transaction(services, account, date=today - timedelta(days=days))
    body = await exchange(api, processor, await ask(api, account, "lookback-days:3"))
    for query in ({}, {"from_date": (today - timedelta(days=100)).isoformat()}, {"records_per_page": 10}):
        answer = await read(api, body["access_token"], "/account/transactions", **query)
        dates = [each["date"] for each in answer.json()["transactions"]]
        assert dates == [(today - timedelta(days=days)).isoformat() for days in range(4)]
        assert answer.json()["pagination"]["total_entries"] == 4
    beyond = await read(api, body["access_token"], "/account/transactions", page=2, records_per_page=10)
    assert beyond.json()["transactions"] == []


async def test_a_token_is_suspended_while_the_consent_is_withdrawn_and_reads_again_after_the_repair(
    api: Api, services: Services, processor: Keyed
) -> None:
    user = await api.create_user()
    member = await api.connect(user)
    await api.post(f"/users/{user}/members/{member}/verify")
    await api.work()
    await api.post(f"/users/{user}/members/{member}/verify")
    await api.work()
    accounts = (await api.get(f"/users/{user}/members/{member}/accounts")).json()["accounts"]
    account = accounts[0]["guid"]
    scope = f"user-guid:{user} member-guid:{member} account-guid:{account} read-protected"
    answer = await api.post("/authorization_code", json={"authorization_code": {"scope": scope}})
    token = (await exchange(api, processor, answer))["access_token"]
    assert (await read(api, token)).status_code == 200

    async def log_in_as(login: str) -> str:
        path = f"/users/{user}/members/{member}"
        changed = await api.put(path, json=connecting(login))
        assert changed.status_code == 200, changed.text
        await api.post(f"{path}/aggregate")
        await api.work()
        return str((await api.get(path)).json()["member"]["connection_status"])

    assert await log_in_as("mxuser+consent_revoked") == "DISCONNECTED"
    refused = await read(api, token)
    assert refusal(refused) == (403, "connection_broken")
    assert await log_in_as("mxuser") == "CONNECTED"
    assert (await read(api, token)).status_code == 200
