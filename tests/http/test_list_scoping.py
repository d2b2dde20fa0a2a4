"""A list contains exactly the objects that its path and filters select, and none of another user of the client."""

from dataclasses import dataclass
from typing import Any

import pytest

from coatcheck.app import Services
from tests.api_client import Api
from tests.factories import (
    Keyed,
    make_account,
    make_disclosure,
    make_statement,
    make_token,
    make_transaction,
    make_user,
)
from tests.http.owned_objects import ROUTES, versions_of

LISTS = {
    "/users": {"mine.user", "theirs.user"},
    "/users/{user}/members": {"mine.member", "beside.member"},
    "/users/{user}/accounts": {"mine.account", "beside.account"},
    "/users/{user}/members/{member}/accounts": {"mine.account"},
    "/users/{user}/transactions": {"mine.transaction", "beside.transaction"},
    "/users/{user}/members/{member}/transactions": {"mine.transaction"},
    "/users/{user}/accounts/{account}/transactions": {"mine.transaction"},
    "/users/{user}/members/{member}/accounts/{account}/transactions": {"mine.transaction"},
    "/users/{user}/members/{member}/statements": {"mine.statement"},
    "/users/{user}/micro_deposits": {"mine.micro_deposit"},
    "/users/{user}/account_verifications": {"mine.micro_deposit"},
    "/coatcheck/grants": {"mine.token", "beside.token", "theirs.token"},
    "/coatcheck/grants?user_guid={user}": {"mine.token", "beside.token"},
    "/coatcheck/grants?member_guid={member}": {"mine.token"},
    "/coatcheck/grants?account_guid={account}": {"mine.token"},
    "/coatcheck/users/{user}/disclosures": {"mine.disclosure", "beside.disclosure"},
}
"""What each list shows to the client that asks about `mine`. `beside` is another member of the same user."""
BY_ACCOUNT = {
    "/users/{user}/members/{member}/account_numbers": {"mine"},
    "/users/{user}/accounts/{account}/account_numbers": {"mine"},
    "/users/{user}/members/{member}/account_owners": {"mine"},
}
"""Lists whose rows name their account."""
OTHERS = {
    "/tokens",  # names no guid; it lists the same tokens as /coatcheck/grants
    "/coatcheck/grants/{grant}/reads",
    "/coatcheck/imports",  # test_statement_files.py
    "/coatcheck/webhook_endpoints",
    "/coatcheck/events",
    "/coatcheck/deliveries",
    "/users/{user}/members/{member}/credentials",
    "/users/{user}/members/{member}/challenges",
    "/users/{user}/categories",
    "/users/{user}/categories/default",
}
"""Lists of reads, of what belongs to no user (`test_api_access.py`), of fields of the institution, of challenges of a
running job, and of objects of every client."""


@dataclass(frozen=True)
class Dataset:
    api: Api
    guids: dict[str, str]

    async def items(self, path: str) -> list[dict[str, Any]]:
        """What a list shows of `mine`."""
        mine = {
            name.removeprefix("mine."): guid for name, guid in self.guids.items() if name.startswith("mine.")
        }
        (route,) = (each for each in ROUTES if each.method == "GET" and each.path == path.partition("?")[0])
        api = Api(self.api.http, self.api.services, self.api.caller, versions_of(route)[0])
        answer = await api.get(path.format_map(mine))
        assert answer.status_code == 200, answer.text
        (items,) = (value for name, value in answer.json().items() if name != "pagination")
        assert isinstance(items, list)
        return items

    def names(self, guids: set[str]) -> set[str]:
        return {name for name, guid in self.guids.items() if guid in guids}


@pytest.fixture
async def dataset(services: Services, api: Api, client: Keyed, processor: Keyed) -> Dataset:
    guids = {}
    mine, theirs = await make_user(services, client), await make_user(services, client)
    for name, user in (("mine", mine), ("beside", mine), ("theirs", theirs)):
        account = await make_account(services, user)
        await make_token(services, account, processor)
        async with services.db.connection() as connection:
            (token,) = await services.tokens.list(connection, client.guid, account_guid=account.guid)
        guids |= {
            f"{name}.member": account.member_guid,
            f"{name}.account": account.guid,
            f"{name}.transaction": await make_transaction(services, account),
            f"{name}.statement": await make_statement(services, account),
            f"{name}.token": token.guid,
            f"{name}.disclosure": await make_disclosure(services, user),
        }
    for name, user in (("mine", mine), ("theirs", theirs)):
        body = {"micro_deposit": {"email": "a@example.com", "first_name": "A", "last_name": "B"}}
        answer = await api.post(f"/users/{user.guid}/micro_deposits", json=body)
        (deposit,) = answer.json()["micro_deposit"]
        guids |= {f"{name}.user": user.guid, f"{name}.micro_deposit": deposit["guid"]}
    return Dataset(api, guids)


@pytest.mark.parametrize("path", LISTS)
async def test_a_list_contains_exactly_the_objects_of_its_path(dataset: Dataset, path: str) -> None:
    items = await dataset.items(path)
    assert dataset.names({item["guid"] for item in items}) == LISTS[path]
    assert len(items) == len(LISTS[path])


@pytest.mark.parametrize("path", BY_ACCOUNT)
async def test_numbers_and_owners_are_only_those_of_the_account_in_the_path(
    dataset: Dataset, path: str
) -> None:
    items = await dataset.items(path)
    assert dataset.names({item["account_guid"] for item in items}) == {"mine.account"}
    assert len(items) == 1


def test_every_list_of_a_client_is_in_a_table_of_this_file() -> None:
    found = {
        route.path
        for route in ROUTES
        if route.method == "GET" and route.path.startswith(("/users", "/tokens", "/coatcheck"))
        if route.path.endswith(("s", "/default")) and not route.path.endswith("/status")
    }
    assert found == {path.partition("?")[0] for path in (*LISTS, *BY_ACCOUNT, *OTHERS)}
