"""Accounts, their numbers and owners over HTTP."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.model.accounts import Account
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

MANUAL_ACCOUNT = {"name": "Jar", "account_type": "CASH"}


@pytest.fixture
def api(services: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    return Api(http, services, client, V2)


async def account_of(api: Api, user: str, **account: Any) -> dict[str, Any]:
    answer = await api.post(f"/users/{user}/accounts", json={"account": {**MANUAL_ACCOUNT, **account}})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["account"]
    return made


async def test_aggregated_accounts_are_listed_for_their_user_and_member_with_masked_numbers(
    api: Api, user: str
) -> None:
    member = await api.connect(user)
    await api.post(f"/users/{user}/members/{member}/verify")
    await api.work()
    of_user = (await api.get(f"/users/{user}/accounts")).json()
    of_member = (await api.get(f"/users/{user}/members/{member}/accounts")).json()
    assert of_user == of_member
    for account in of_user["accounts"]:
        assert account["member_guid"] == member
        assert len(account["account_number"] or "") <= 4
        for path in (f"/users/{user}", f"/users/{user}/members/{member}"):
            assert (await api.get(f"{path}/accounts/{account['guid']}")).json() == {"account": account}


async def test_a_manual_account_has_the_fields_of_the_request(api: Api, user: str) -> None:
    sent = {
        "balance": 12.34,
        "apr": 1.5,
        "currency_code": "USD",
        "metadata": "m",
        "nickname": "Piggy",
        "is_hidden": True,
        "property_type": "ART",
        "death_benefit": 7,
    }
    account = await account_of(api, user, account_subtype="WALLET", skip_webhook=True, **sent)
    assert {name: account[name] for name in sent} == sent
    assert (account["name"], account["type"], account["subtype"]) == ("Jar", "CASH", "WALLET")
    assert (account["is_manual"], account["institution_code"]) == (True, "manual")
    assert (await api.get(f"/users/{user}/accounts/{account['guid']}")).json() == {"account": account}


async def test_all_manual_accounts_of_a_user_have_the_same_manual_member(api: Api, user: str) -> None:
    first, second = [await account_of(api, user) for _ in range(2)]
    assert first["member_guid"] == second["member_guid"]
    path = f"/users/{user}/members/{first['member_guid']}"
    member = (await api.get(path)).json()["member"]
    assert (member["is_manual"], member["connection_status"]) == (True, None)
    assert (await api.get(f"{path}/credentials")).json()["credentials"] == []
    assert (await api.get(f"{path}/account_numbers")).json()["account_numbers"] == []
    assert refusal(await api.post(f"{path}/aggregate")) == (405, "method_not_allowed_error")
    assert (await api.get(f"{path}/status")).json()["member"]["is_being_aggregated"] is False


@pytest.mark.parametrize(
    "account",
    [
        {},
        {"name": "Jar"},
        {"account_type": "CASH"},
        {**MANUAL_ACCOUNT, "account_type": "JAR"},
        {**MANUAL_ACCOUNT, "balance": "much"},
        {**MANUAL_ACCOUNT, "balance": 1e15},
        {**MANUAL_ACCOUNT, "death_benefit": 1.5},
        {**MANUAL_ACCOUNT, "currency_code": "dollars"},
        {**MANUAL_ACCOUNT, "is_hidden": None},
        {**MANUAL_ACCOUNT, "property_type": "SOUL"},
    ],
)
async def test_a_malformed_manual_account_is_refused(api: Api, user: str, account: dict[str, Any]) -> None:
    answer = await api.post(f"/users/{user}/accounts", json={"account": account})
    assert refusal(answer) == (400, "invalid_request")


async def test_every_field_of_a_manual_account_can_be_updated(api: Api, user: str) -> None:
    account = await account_of(api, user, balance=1)
    path = f"/users/{user}/members/{account['member_guid']}/accounts/{account['guid']}"
    change = {"name": "Vase", "account_type": "PROPERTY", "balance": 99.5, "is_closed": True, "apr": None}
    updated = (await api.put(path, json={"account": change})).json()["account"]
    assert (updated["name"], updated["type"], updated["balance"]) == ("Vase", "PROPERTY", 99.5)
    assert updated["is_closed"] is True
    assert refusal(await api.put(path, json={"account": {}})) == (400, "invalid_request")


async def test_only_three_fields_of_an_aggregated_account_can_be_updated(
    api: Api, user: str, services: Services
) -> None:
    member = await api.connect(user)
    await api.work()
    account = (await api.get(f"/users/{user}/accounts")).json()["accounts"][0]
    path = f"/users/{user}/members/{member}/accounts/{account['guid']}"
    change = {"is_hidden": True, "metadata": "mine", "name": "Not the bank's", "balance": 1_000_000}
    updated = (await api.put(path, json={"account": change})).json()["account"]
    assert (updated["is_hidden"], updated["metadata"]) == (True, "mine")
    assert (updated["name"], updated["balance"]) == (account["name"], account["balance"])
    refused = await api.put(path, json={"account": {"name": "Not the bank's"}})
    assert refusal(refused) == (405, "method_not_allowed_error")

    await api.post(f"/users/{user}/members/{member}/aggregate")
    await api.work()
    target = (await api.get(path)).json()["account"]
    assert (target["is_hidden"], target["metadata"]) == (True, "mine")


async def test_only_a_manual_account_can_be_deleted(api: Api, user: str) -> None:
    await api.connect(user)
    await api.work()
    aggregated = (await api.get(f"/users/{user}/accounts")).json()["accounts"][0]
    manual = await account_of(api, user)
    refused = await api.delete(f"/users/{user}/accounts/{aggregated['guid']}")
    assert refusal(refused) == (405, "method_not_allowed_error")
    path = f"/users/{user}/accounts/{manual['guid']}"
    assert (await api.delete(path)).status_code == 204
    assert refusal(await api.get(path)) == (404, "not_found_error")


async def test_accounts_are_filtered_by_is_manual_and_use_case(api: Api, user: str) -> None:
    await api.connect(user, use_cases=["PFM"])
    await api.work()
    manual = await account_of(api, user)

    async def found(**query: str) -> set[bool]:
        answer = await api.get(f"/users/{user}/accounts", params=query)
        return {account["is_manual"] for account in answer.json()["accounts"]}

    assert await found() == {True, False}
    assert await found(is_manual="true") == {True}
    assert await found(is_manual="false") == {False}
    assert await found(use_case="PFM") == {False}
    assert await found(use_case="MONEY_MOVEMENT") == set()
    for path in ("accounts", "members", "transactions"):
        answer = await api.get(f"/users/{user}/{path}", params={"use_case": "money"})
        assert answer.status_code == 400
        assert "MONEY_MOVEMENT, PFM" in answer.json()["error"]["message"]
    assert await found(member_is_managed_by_user="true") == {True, False}
    assert await found(member_is_managed_by_user="false") == set()
    path = f"/users/{user}/members/{manual['member_guid']}/accounts"
    assert (await api.get(path)).json()["pagination"]["total_entries"] == 1


# --- merging ----------------------------------------------------------------------------------------------


@pytest.fixture
async def duplicates(services: Services, api: Api) -> tuple[Account, Account]:
    """The same account at the bank, known by two members."""
    user = await make_user(services, api.caller)
    return await make_account(services, user, id="bank-1"), await make_account(services, user, id="bank-1")


async def _merge(api: Api, *accounts: Account) -> httpx.Response:
    return await api.post(
        f"/users/{accounts[0].user_guid}/accounts/merge",
        json={"account": {"account_guids": [account.guid for account in accounts]}},
    )


async def test_a_merge_keeps_the_first_account_and_all_transactions_and_statements(
    api: Api, services: Services, duplicates: tuple[Account, Account]
) -> None:
    target, other = duplicates
    own = await make_transaction(services, target, id="bank-transaction-1")
    await make_transaction(services, other, id="bank-transaction-1")
    older = await make_transaction(services, other, id="bank-transaction-2")
    statement = await make_statement(services, target, id="bank-statement-1")
    duplicate = await make_statement(services, other, id="bank-statement-1")
    older_statement = await make_statement(services, other, id="bank-statement-2")

    merged = await _merge(api, target, other)
    assert merged.status_code == 200
    assert merged.json()["account"]["guid"] == target.guid

    path = f"/users/{target.user_guid}"
    assert [each["guid"] for each in (await api.get(f"{path}/accounts")).json()["accounts"]] == [target.guid]
    assert refusal(await api.get(f"{path}/accounts/{other.guid}")) == (404, "not_found_error")
    transactions = (await api.get(f"{path}/accounts/{target.guid}/transactions")).json()["transactions"]
    assert {each["guid"] for each in transactions} == {own, older}
    assert {each["member_guid"] for each in transactions} == {target.member_guid}
    member = f"{path}/members/{target.member_guid}"
    statements = (await api.get(f"{member}/statements")).json()["statements"]
    assert {each["guid"] for each in statements} == {statement, older_statement}
    assert (await api.get(f"{member}/statements/{older_statement}.pdf")).status_code == 200
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM sealed_secret WHERE record_guid = %s", (duplicate,)
        )
        assert await cursor.fetchone() == (0,)


async def test_a_merge_revokes_only_the_tokens_of_the_deleted_accounts(
    api: Api, services: Services, duplicates: tuple[Account, Account]
) -> None:
    processor = await make_processor(services, api.caller)
    tokens = [
        {"Authorization": f"Bearer {await make_token(services, account, processor)}"}
        for account in duplicates
    ]
    await _merge(api, *duplicates)
    answers = [await api.http.get("/account/account_numbers", headers=token) for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 401]


async def test_a_merged_account_is_not_aggregated_again_until_its_target_is_deleted(api: Api) -> None:
    user = await api.create_user()
    first = await api.connect(user, login="one")
    second = await api.connect(user, login="two")
    await api.work()
    path = f"/users/{user}/members"

    async def accounts_of(member: str) -> list[str]:
        accounts = (await api.get(f"{path}/{member}/accounts")).json()["accounts"]
        return [account["guid"] for account in accounts]

    (target, *_), (merged, *others) = await accounts_of(first), await accounts_of(second)
    answer = await api.post(
        f"/users/{user}/accounts/merge", json={"account": {"account_guids": [target, merged]}}
    )
    assert answer.status_code == 200
    for job in ("aggregate", "verify", "identify"):
        await api.post(f"{path}/{second}/{job}")
        await api.work()
        assert await accounts_of(second) == others
    await api.delete(f"{path}/{first}")
    await api.post(f"{path}/{second}/aggregate")
    await api.work()
    assert len(await accounts_of(second)) == len(others) + 1


async def test_accounts_merged_in_two_steps_are_not_aggregated_again(api: Api, services: Services) -> None:
    user = await make_user(services, api.caller)
    first, second, third = [await make_account(services, user, id=f"bank-{number}") for number in range(3)]
    await _merge(api, first, second)
    await _merge(api, third, first)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT id, merged_into FROM merged_account WHERE user_guid = %s ORDER BY id", (user.guid,)
        )
        assert await cursor.fetchall() == [("bank-0", third.guid), ("bank-1", third.guid)]


async def test_three_accounts_with_equal_transactions_are_merged_in_one_request(
    api: Api, services: Services
) -> None:
    user = await make_user(services, api.caller)
    accounts = [await make_account(services, user, id="bank-1") for _ in range(3)]
    for account in accounts[1:]:
        await make_transaction(services, account, id="bank-transaction-1")
    assert (await _merge(api, *accounts)).status_code == 200
    transactions = await api.get(f"/users/{user.guid}/transactions")
    assert transactions.json()["pagination"]["total_entries"] == 1


async def test_a_merge_needs_two_accounts_of_the_same_user(
    api: Api, services: Services, duplicates: tuple[Account, Account]
) -> None:
    account, _ = duplicates
    account_of_another_user = await make_account(services, await make_user(services, api.caller))
    assert refusal(await _merge(api, account, account)) == (400, "invalid_request")
    assert refusal(await _merge(api, account)) == (400, "invalid_request")
    assert refusal(await _merge(api, account, account_of_another_user)) == (404, "not_found_error")
    older = Api(api.http, services, api.caller, V1)
    assert refusal(await _merge(older, *duplicates)) == (404, "not_found_error")


async def test_simultaneous_merges_in_both_directions_leave_one_account_and_no_error(
    api: Api, services: Services
) -> None:
    for _ in range(5):
        user = await make_user(services, api.caller)
        one, two = [await make_account(services, user, id="bank-1") for _ in range(2)]
        await make_transaction(services, one)
        await make_transaction(services, two)
        answers = await asyncio.gather(_merge(api, one, two), _merge(api, two, one))
        assert sorted(answer.status_code for answer in answers) == [200, 404]
        path = f"/users/{user.guid}"
        assert (await api.get(f"{path}/accounts")).json()["pagination"]["total_entries"] == 1
        assert (await api.get(f"{path}/transactions")).json()["pagination"]["total_entries"] == 2


async def test_an_account_deleted_during_an_update_stays_deleted(api: Api, user: str) -> None:
    for _ in range(5):
        account = await account_of(api, user)
        path = f"/users/{user}/members/{account['member_guid']}/accounts/{account['guid']}"
        updated, deleted = await asyncio.gather(
            api.put(path, json={"account": {"name": "Vase"}}),
            api.delete(f"/users/{user}/accounts/{account['guid']}"),
        )
        assert updated.status_code in {200, 404}
        assert deleted.status_code == 204
        assert (await api.get(path)).status_code == 404


# --- numbers and owners -----------------------------------------------------------------------------------


async def test_unverified_accounts_have_empty_lists_of_numbers_and_owners(api: Api, user: str) -> None:
    for password in ("fine", "INVALID", "challenge"):
        member = await api.connect(user, login=password, password=password)
        await api.work()
        for what in ("account_numbers", "account_owners"):
            answer = await api.get(f"/users/{user}/members/{member}/{what}")
            assert answer.status_code == 200
            assert answer.json()[what] == []
            assert answer.json()["pagination"]["total_entries"] == 0


async def test_account_numbers_are_strings_and_every_read_is_recorded_as_a_disclosure(
    api: Api, services: Services
) -> None:
    user = await make_user(services, api.caller)
    account = await make_account(
        services, user, account_number="0012345678901234", routing_number="011000015"
    )
    path = f"/users/{user.guid}"
    of_member = (await api.get(f"{path}/members/{account.member_guid}/account_numbers")).json()
    of_account = (await api.get(f"{path}/accounts/{account.guid}/account_numbers")).json()
    assert of_member == of_account
    (numbers,) = of_member["account_numbers"]
    assert (numbers["account_number"], numbers["routing_number"]) == ("0012345678901234", "011000015")
    assert (numbers["account_guid"], numbers["passed_validation"]) == (account.guid, True)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT reader_guid, record_guid, shown FROM disclosure WHERE user_guid = %s ORDER BY record_guid",
            (user.guid,),
        )
        written = await cursor.fetchall()
    assert sorted(written) == sorted(
        [(api.caller.guid, account.member_guid, 1), (api.caller.guid, account.guid, 1)]
    )


async def test_numbers_and_owners_are_paginated(api: Api, services: Services) -> None:
    user = await api.create_user()
    member = await api.connect(user)
    await api.work()
    for job in ("verify", "identify"):
        await api.post(f"/users/{user}/members/{member}/{job}")
        await api.work()
    for what in ("account_numbers", "account_owners"):
        path = f"/users/{user}/members/{member}/{what}"
        first_page = (await api.get(path)).json()
        assert first_page["pagination"]["total_entries"] == len(first_page[what]) > 1
        beyond = (await api.get(path, params={"page": 2, "records_per_page": 10})).json()
        assert beyond[what] == []
        assert beyond["pagination"]["total_entries"] == len(first_page[what])


async def test_a_balance_keeps_its_digits(api: Api, services: Services) -> None:
    user = await make_user(services, api.caller)
    account = await make_account(services, user, balance=Decimal("1234567890.10"))
    answer = await api.get(f"/users/{user.guid}/accounts/{account.guid}")
    assert '"balance":1234567890.10' in answer.text
