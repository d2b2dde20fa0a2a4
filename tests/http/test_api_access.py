"""Who can call each endpoint, and whose objects it returns; generated from the route table."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args, get_origin, get_type_hints

import httpx
import pytest

from coatcheck.api.versions import Version
from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.http.route import Caller
from coatcheck.oauth_server.request import FORM
from tests.api_client import VERSIONS
from tests.factories import make_client, make_processor
from tests.http.owned_objects import (
    OWNED,
    AnyRoute,
    Guids,
    Owner,
    body_of,
    make_owner,
    parameters,
    routes_of,
    routes_of_clients,
    send,
    unknown_guids,
)

LISTS: Mapping[str, str] = {
    "listTokens": "user",
    "listGrants": "grant",
    "listDisclosures": "disclosure",
    "listImports": "statement_import",
    "listWebhookEndpoints": "webhook_endpoint",
    "listEvents": "event",
    "listDeliveries": "delivery",
    "exportUser": "user",
    "listUsers": "user",
    "listMembers": "member",
    "listUserAccounts": "account",
    "listMemberAccounts": "account",
    "listAccountNumbersByMember": "account",
    "listAccountNumbersByAccount": "account",
    "listAccountOwnersByMember": "account",
    "listTransactions": "transaction",
    "listTransactionsByMember": "transaction",
    "listTransactionsByAccount": "transaction",
    "listTransactionsByAccountPerMember": "transaction",
    "listStatementsByMember": "statement",
    "listUserMicrodeposits": "micro_deposit",
    "listUserVerifications": "micro_deposit",
    "readTransaction": "transaction",
    "readTransactionByAccount": "transaction",
    "readUserMicrodeposit": "micro_deposit",
}
"""The lists of a client's objects, and the object of the owner that each contains."""
SHARED_LISTS = {
    "listGrantReads",
    "listInstitutions",
    "listFavoriteInstitutions",
    "listInstitutionCredentials",
    "listMemberCredentials",
    "listMemberChallenges",
    "listDefaultCategories",
    "listDefaultCategoriesByUser",
    "listCategories",
    "listMerchants",
}
"""Lists whose items have no guid of a client's object."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without limits of failures: a test of this file sends every endpoint wrong keys."""
    return replace(settings, limit_failures_of_address="", limit_failures_of_caller="")


@pytest.fixture
async def owner(services: Services, http: httpx.AsyncClient) -> Owner:
    return await make_owner(services, http)


@pytest.fixture
async def same_client_owner(services: Services, http: httpx.AsyncClient, owner: Owner) -> Owner:
    """Another user of the same client."""
    return await make_owner(services, http, owner.client)


@pytest.fixture
async def other_client_owner(services: Services, http: httpx.AsyncClient) -> Owner:
    """A user of another client."""
    return await make_owner(services, http)


def lists() -> Iterator[AnyRoute]:
    """The endpoints for clients whose answer contains a list."""
    for route in routes_of_clients():
        schemas = [schema for each in route.answer_schemas.values() for schema in each]
        hints = get_type_hints(schemas[0]).values() if schemas and route.method == "GET" else ()
        if any(get_origin(hint) is list and get_args(hint) for hint in hints):
            yield route


def own_lists() -> list[AnyRoute]:
    return [route for route in lists() if route.operation in LISTS]


def expected_guid(route: AnyRoute, owner: Owner) -> str:
    # MX's list of tokens names no user; the owner's processor has tokens for the owner's account alone.
    return owner.processor.guid if route.operation == "listTokens" else owner.guids[LISTS[route.operation]]


def crossed_guids(own: Guids, foreign: Guids, route: AnyRoute) -> Iterator[Guids]:
    """The guids of the path and the body, with the last ones, from all to one, replaced by foreign guids."""
    owned = [name for name in parameters(route) if name in OWNED]
    for first in range(len(owned)):
        yield {**own, **{name: foreign[name] for name in owned[first:]}}
    if not owned or body_of(route, own) != body_of(route, foreign):
        for name in ("user", "member", "account", "account_2"):
            mixed = {**own, name: foreign[name]}
            if body_of(route, mixed) != body_of(route, own):
                yield mixed


# --- objects of others ---


async def test_guids_of_another_client_get_the_same_answer_as_unknown_guids(
    http: httpx.AsyncClient, owner: Owner, other_client_owner: Owner
) -> None:
    auth = other_client_owner.client.auth
    for route in routes_of_clients():
        if route.operation == "revokeGrants":
            continue  # It selects: guids of others select nothing, as unknown guids do.
        tried = zip(
            crossed_guids(other_client_owner.guids, owner.guids, route),
            crossed_guids(other_client_owner.guids, unknown_guids(), route),
            strict=True,
        )
        for foreign, absent in tried:
            answers = [
                await send(http, route, guids, auth=auth, **body_of(route, guids))
                for guids in (foreign, absent)
            ]
            assert [answer.status_code for answer in answers] == [404, 404], (
                route.operation,
                answers[0].text,
            )
            assert answers[0].content == answers[1].content, route.operation


async def test_the_same_requests_with_the_owners_guids_are_not_404(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    """Otherwise the test above would pass for a server that finds nothing."""
    missed = []
    for route in routes_of_clients():
        is_destructive = route.method == "DELETE" or route.operation == "blockAccount"
        if not is_destructive and set(parameters(route)) <= OWNED.keys():
            answer = await send(
                http, route, owner.guids, auth=owner.client.auth, **body_of(route, owner.guids)
            )
            if answer.status_code == 404:
                missed.append(route.operation)
    assert not missed


async def test_no_read_returns_a_guid_of_another_client(
    http: httpx.AsyncClient, owner: Owner, other_client_owner: Owner
) -> None:
    for route in routes_of_clients():
        if route.method == "GET":
            answer = await send(http, route, other_client_owner.guids, auth=other_client_owner.client.auth)
            returned = [name for name, guid in owner.guids.items() if guid in answer.text]
            assert not returned, (route.operation, returned)


# --- lists ---


def test_every_list_of_the_route_table_is_in_a_table_of_this_file() -> None:
    assert {route.operation for route in lists()} == LISTS.keys() | SHARED_LISTS


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_list_contains_the_owners_object(
    http: httpx.AsyncClient, owner: Owner, version: str
) -> None:
    for route in own_lists():
        answer = await send(http, route, owner.guids, auth=owner.client.auth, version=version)
        assert answer.status_code == 200, route.operation
        assert expected_guid(route, owner) in answer.text, route.operation


async def test_every_list_of_another_client_is_without_the_owners_object(
    http: httpx.AsyncClient, owner: Owner, other_client_owner: Owner
) -> None:
    for route in own_lists():
        answer = await send(http, route, other_client_owner.guids, auth=other_client_owner.client.auth)
        assert answer.status_code == 200, route.operation
        assert expected_guid(route, owner) not in answer.text, route.operation


async def test_every_list_below_another_user_of_the_client_is_without_the_owners_object(
    http: httpx.AsyncClient, owner: Owner, same_client_owner: Owner
) -> None:
    for route in own_lists():
        if not parameters(route):
            continue  # A list of all users' objects of the client.
        answer = await send(http, route, same_client_owner.guids, auth=owner.client.auth)
        assert expected_guid(route, same_client_owner) in answer.text, route.operation
        assert expected_guid(route, owner) not in answer.text, route.operation


async def test_every_list_below_a_mixed_path_of_two_users_is_404(
    http: httpx.AsyncClient, owner: Owner, same_client_owner: Owner
) -> None:
    for route in own_lists():
        owned = parameters(route)
        for first in range(1, len(owned)):
            mixed = {**owner.guids, **{name: same_client_owner.guids[name] for name in owned[first:]}}
            answer = await send(http, route, mixed, auth=owner.client.auth)
            assert answer.status_code == 404, (route.operation, owned[first:])


async def test_a_token_list_filtered_by_guids_of_others_is_empty(
    http: httpx.AsyncClient, owner: Owner, same_client_owner: Owner, other_client_owner: Owner
) -> None:
    for name in ("user", "member", "account"):
        for path, found in (("/tokens", "tokens"), ("/coatcheck/grants", "grants")):
            foreign = await http.get(
                path, auth=other_client_owner.client.auth, params={f"{name}_guid": owner.guids[name]}
            )
            assert foreign.json()[found] == []
            own = await http.get(
                path, auth=owner.client.auth, params={f"{name}_guid": same_client_owner.guids[name]}
            )
            (listed,) = own.json()[found]
            assert same_client_owner.processor.guid in str(listed)


async def test_a_search_for_users_finds_only_users_of_the_client(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    named = {"user": {"id": "same-id", "email": "same@example.com"}}
    created = await http.post("/users", json=named, auth=owner.client.auth)
    other = await make_client(services)
    for query in ({"id": "same-id"}, {"email": "same@example.com"}):
        found = await http.get("/users", params=query, auth=owner.client.auth)
        assert [user["guid"] for user in found.json()["users"]] == [created.json()["user"]["guid"]]
        assert (await http.get("/users", params=query, auth=other.auth)).json()["users"] == []


@pytest.mark.parametrize("version", Version)
async def test_a_token_reads_nothing_of_another_user_or_client(
    http: httpx.AsyncClient,
    owner: Owner,
    same_client_owner: Owner,
    other_client_owner: Owner,
    version: Version,
) -> None:
    for route in routes_of(Caller.TOKEN):
        answer = await send(http, route, {}, headers=owner.bearer, version=version)
        assert answer.status_code == 200, route.operation
        assert owner.guids["member"] in answer.text, route.operation
        for other in (same_client_owner, other_client_owner):
            returned = [name for name, guid in other.guids.items() if guid in answer.text]
            assert not returned, (route.operation, returned)
        assert owner.guids["account_2"] not in answer.text, route.operation


# --- callers ---


async def test_a_clients_endpoint_refuses_all_other_callers(
    http: httpx.AsyncClient, owner: Owner, other_client_owner: Owner
) -> None:
    refused: list[dict[str, Any]] = [
        {},
        {"headers": owner.bearer},
        {"auth": (owner.client.guid, owner.processor.api_key)},
        {"auth": (owner.client.guid, other_client_owner.client.api_key)},
        {"auth": (other_client_owner.client.guid, owner.client.api_key)},
        {"auth": (owner.client.guid, "")},
    ]
    for route in routes_of_clients():
        processor = [{"auth": owner.processor.auth}] if route.caller is Caller.CLIENT else []
        for more in refused + processor:
            answer = await send(http, route, owner.guids, **more, **body_of(route, owner.guids))
            assert answer.status_code == 401, (route.operation, more)
            assert answer.headers["www-authenticate"].startswith("Basic "), route.operation
            assert answer.json()["error"]["status"] == "unauthorized"


async def test_a_caller_that_is_not_authenticated_is_not_told_what_is_wrong_with_its_body(
    http: httpx.AsyncClient, owner: Owner, other_client_owner: Owner
) -> None:
    wrong_key = (owner.client.guid, other_client_owner.client.api_key)
    for route in routes_of_clients():
        if route.body is not None and route.method != "GET":
            answer = await send(http, route, owner.guids, auth=wrong_key, content=b"{")
            assert answer.status_code == 401, route.operation


async def test_a_processors_endpoint_refuses_all_other_callers(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    other = await make_processor(services, owner.client)
    refused: list[dict[str, Any]] = [
        {},
        {"auth": owner.client.auth},
        {"headers": owner.bearer},
        {"auth": (owner.processor.guid, other.api_key)},
        {"auth": (other.guid, owner.processor.api_key)},
    ]
    exchange = {"grant_type": "authorization_code", "code": "x"}
    for route in routes_of(Caller.PROCESSOR):
        place = "data" if route.body_media_type == FORM else "params"
        for more in refused:
            answer = await send(http, route, {}, **{place: exchange}, **more)
            assert answer.status_code == 401, (route.operation, more)


async def test_a_tokens_endpoint_refuses_all_other_callers(http: httpx.AsyncClient, owner: Owner) -> None:
    refused: list[dict[str, Any]] = [
        {},
        {"auth": owner.client.auth},
        {"auth": owner.processor.auth},
        {"headers": {"Authorization": owner.bearer["Authorization"][:-1]}},
        {"headers": {"Authorization": f"Bearer {owner.client.api_key}"}},
    ]
    for route in routes_of(Caller.TOKEN):
        for more in refused:
            answer = await send(http, route, {}, **more)
            assert answer.status_code == 401, (route.operation, more)
            assert answer.headers["www-authenticate"].startswith("Bearer "), route.operation
        assert (await send(http, route, {}, headers=owner.bearer)).status_code == 200, route.operation


async def test_endpoints_for_anyone_need_no_authentication(http: httpx.AsyncClient) -> None:
    for route in routes_of(Caller.ANYONE):
        # Who has the secret in this path needs nothing else; the request here has none.
        if route.operation != "simplefinClaim":
            answer = await send(http, route, {})
            assert answer.status_code in route.statuses, route.operation
