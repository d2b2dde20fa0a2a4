"""Accounts that a client blocks, over HTTP."""

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.errors import NotFound
from coatcheck.model.accounts import find_account
from coatcheck.vault.vault import ClientReader, SecretKind
from tests.api_client import V1, V2, Api, refusal
from tests.factories import (
    Keyed,
    make_account,
    make_processor,
    make_statement,
    make_token,
    make_transaction,
    make_user,
)


@pytest.fixture
def api(services: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    return Api(http, services, client, V2)


async def accounts_of(api: Api, user: str, member: str) -> list[str]:
    accounts = (await api.get(f"/users/{user}/members/{member}/accounts")).json()["accounts"]
    return [account["guid"] for account in accounts]


async def block(api: Api, user: str, account: str) -> httpx.Response:
    return await api.put(f"/users/{user}/accounts/{account}/block")


async def test_blocking_deletes_the_account_with_its_data(api: Api, services: Services) -> None:
    user = await make_user(services, api.caller)
    account = await make_account(services, user, id="bank-1")
    await make_transaction(services, account)
    statement = await make_statement(services, account)
    answer = await block(api, user.guid, account.guid)
    assert answer.status_code == 200
    blocked = answer.json()["account"]
    assert (blocked["guid"], blocked["id"], blocked["member_guid"]) == (
        account.guid,
        "bank-1",
        account.member_guid,
    )
    assert {blocked[name] for name in ("name", "account_number", "balance", "available_balance")} == {None}
    path = f"/users/{user.guid}"
    assert (await api.get(f"{path}/accounts/{account.guid}")).status_code == 404
    assert (await api.get(f"{path}/accounts")).json()["accounts"] == []
    assert (await api.get(f"{path}/transactions")).json()["transactions"] == []
    numbers = await api.get(f"{path}/members/{account.member_guid}/account_numbers")
    assert numbers.json()["account_numbers"] == []
    async with services.db.connection() as connection:
        with pytest.raises(NotFound):
            await find_account(connection, user.guid, account.guid)
        assert (
            await services.vault.disclose_secret(
                connection,
                owner_guid=user.guid,
                record_guid=statement,
                kind=SecretKind.STATEMENT,
                reader=ClientReader(api.caller.guid, user.guid),
            )
            is None
        )


async def test_a_blocked_account_is_not_read_again_by_any_job_of_its_member(api: Api, user: str) -> None:
    member = await api.connect(user)
    await api.work()
    blocked, *others = await accounts_of(api, user, member)
    await block(api, user, blocked)
    for job in ("aggregate", "verify", "identify", "extend_history", "fetch_statements"):
        assert (await api.post(f"/users/{user}/members/{member}/{job}")).status_code in {200, 202}
        await api.work()
        assert await accounts_of(api, user, member) == others
        found = (await api.get(f"/users/{user}/members/{member}")).json()["member"]
        assert found["connection_status"] == "CONNECTED"


async def test_a_block_does_not_affect_the_account_in_another_member(api: Api, user: str) -> None:
    member = await api.connect(user)
    await api.work()
    before = len(await accounts_of(api, user, member))
    await block(api, user, (await accounts_of(api, user, member))[0])
    await api.delete(f"/users/{user}/members/{member}")
    again = await api.connect(user)
    await api.work()
    assert len(await accounts_of(api, user, again)) == before


async def test_tokens_of_a_blocked_account_end_at_once(api: Api, services: Services) -> None:
    user = await make_user(services, api.caller)
    account, other = await make_account(services, user), await make_account(services, user)
    processor = await make_processor(services, api.caller)
    tokens = [await make_token(services, each, processor) for each in (account, other)]
    await block(api, user.guid, account.guid)
    answers = [
        await api.http.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})
        for token in tokens
    ]
    assert refusal(answers[0]) == (401, "token_revoked")
    assert answers[1].status_code == 200
    revoked = (await api.get("/coatcheck/events", params={"type": "token.revoked"})).json()["events"]
    assert [each["data"]["account_guid"] for each in revoked] == [account.guid]


async def test_accounts_that_were_merged_into_a_blocked_account_stay_away_too(api: Api, user: str) -> None:
    member = await api.connect(user)
    await api.work()
    target, merged, *others = await accounts_of(api, user, member)
    body = {"account": {"account_guids": [target, merged]}}
    assert (await api.post(f"/users/{user}/accounts/merge", json=body)).status_code == 200
    await block(api, user, target)
    await api.post(f"/users/{user}/members/{member}/aggregate")
    await api.work()
    assert await accounts_of(api, user, member) == others


async def test_a_manual_account_cannot_be_blocked(api: Api, user: str) -> None:
    manual = {"account": {"name": "Jar", "account_type": "CASH"}}
    account = (await api.post(f"/users/{user}/accounts", json=manual)).json()["account"]["guid"]
    assert refusal(await block(api, user, account)) == (400, "invalid_request")
    assert (await api.get(f"/users/{user}/accounts/{account}")).status_code == 200


async def test_blocking_is_refused_for_the_account_of_another_user_and_of_a_disabled_one(
    api: Api, services: Services
) -> None:
    user, other = await make_user(services, api.caller), await make_user(services, api.caller)
    account = await make_account(services, user)
    assert refusal(await block(api, other.guid, account.guid)) == (404, "not_found_error")
    await api.put(f"/users/{user.guid}", json={"user": {"is_disabled": True}})
    assert refusal(await block(api, user.guid, account.guid)) == (403, "forbidden_error")


async def test_v20111101_has_no_block(api: Api, services: Services) -> None:
    user = await make_user(services, api.caller)
    account = await make_account(services, user)
    older = Api(api.http, services, api.caller, V1)
    assert refusal(await block(older, user.guid, account.guid)) == (404, "not_found_error")
    assert (await api.get(f"/users/{user.guid}/accounts/{account.guid}")).status_code == 200


async def test_blocking_is_in_the_audit_log(api: Api, services: Services) -> None:
    user = await make_user(services, api.caller)
    account = await make_account(services, user)
    await block(api, user.guid, account.guid)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json->>'action', body::json->>'actor' FROM audit_entry
               WHERE body::json->>'subject' = %s""",
            (account.guid,),
        )
        assert await cursor.fetchall() == [("account.blocked", api.caller.guid)]
