"""The route table against MX's specs, and every route against everybody who must not pass."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from coatcheck.api.routes.not_served import NOT_SERVED
from coatcheck.api.routes.route import Caller, Route
from coatcheck.api.routes.table import ROUTES
from coatcheck.app import Services
from coatcheck.ids import new
from coatcheck.model.accounts import find_account
from tests.api_client import HEADERS, LOGIN, V1, V2, VERSIONS, connecting
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_processor,
    make_statement,
    make_token,
    make_transaction,
    make_user,
)
from tests.http.mx_spec import needs_specs, spec

OURS = {
    "exchangeCode": "MX documents it in the processor guide, in no spec",
    "exchangeCodeLegacy": "MX documented it once; the quickstart's processors still call it",
    "readAccountOwners": "MX names the read, and publishes no path for it",
    "listGrants": "MX lists no guid by which one token could be ended",
    "revokeToken": "MX publishes none",
    "health": "for whoever runs this server",
}
"""Served, and in no spec."""

OWNED = {
    "user": "USR",
    "member": "MBR",
    "account": "ACT",
    "transaction": "TRN",
    "statement": "STA",
    "micro_deposit": "MIC",
    "token": "TKN",
}
"""What in a path belongs to one client alone, and the prefix of its guids."""

PUBLIC = {
    "institution": "mxbank",
    "category": "CAT-unknown",
    "merchant": "MCH-unknown",
    "merchant_location": "MCL-unknown",
}
"""What is the same for every client."""

Guids = Mapping[str, str]
Body = Callable[[Guids], Any]


def _nothing(_: Guids) -> None:
    return None


def _scope(guids: Guids) -> dict[str, str]:
    names = ("user", "member", "account")
    return {"scope": " ".join(f"{name}-guid:{guids[name]}" for name in names) + " read-protected"}


def _named(guids: Guids) -> dict[str, str]:
    return {f"{name}_guid": guids[name] for name in ("user", "member", "account")}


DESCRIPTION: Body = lambda _: {"transaction": {"description": "mine"}}  # noqa: E731 (one row of a table, twice)

BODIES: dict[str, Body] = {
    "requestAuthorizationCode": lambda guids: {"authorization_code": _scope(guids)},
    "deprecatedRequestPaymentProcessorAuthorizationCode": lambda guids: {
        "payment_processor_authorization_code": _named(guids)
    },
    "createUser": lambda _: {"user": {"metadata": "x"}},
    "updateUser": lambda _: {"user": {"metadata": "x"}},
    "createMember": lambda _: connecting(skip_aggregation=True, metadata="x"),
    "updateMember": lambda _: {"member": {"metadata": "x"}},
    "resumeAggregation": lambda _: {"member": {"challenges": [{"guid": LOGIN, "value": "correct"}]}},
    "aggregateMember": _nothing,
    "verifyMember": _nothing,
    "identifyMember": _nothing,
    "checkBalances": _nothing,
    "extendHistory": _nothing,
    "fetchStatements": _nothing,
    "mergeAccounts": lambda guids: {"account": {"account_guids": [guids["account"], guids["account_2"]]}},
    "createManualAccount": lambda _: {"account": {"name": "Jar", "account_type": "CASH"}},
    "updateAccountByMember": lambda _: {"account": {"is_hidden": True}},
    "updateTransaction": DESCRIPTION,
    "updateTransactionByAccount": DESCRIPTION,
    "createMicrodeposit": lambda _: {
        "micro_deposit": {"email": "a@example.com", "first_name": "A", "last_name": "B"}
    },
    "verifyMicrodeposit": lambda _: {"micro_deposit": {"deposit_amount_1": 0.01, "deposit_amount_2": 0.02}},
    "requestWidgetURL": lambda guids: {
        "widget_url": {"widget_type": "connect_widget", "current_member_guid": guids["member"]}
    },
    "requestConnectWidgetURL": lambda guids: {"config": {"current_member_guid": guids["member"]}},
}
"""What is sent with every POST and PUT of a client: good enough that only the guids decide."""


@dataclass(frozen=True)
class Owner:
    """A client, and one of everything that can be its own."""

    client: Keyed
    guids: Guids


async def furnish(services: Services, http: httpx.AsyncClient) -> Owner:
    client = await make_client(services)
    processor = await make_processor(services, client)
    user = await make_user(services, client)
    account, other = await make_account(services, user), await make_account(services, user)
    await make_token(services, account, processor)
    answers = [
        await http.post(
            f"/users/{user.guid}/micro_deposits",
            json=BODIES["createMicrodeposit"]({}),
            auth=client.auth,
        ),
    ]
    async with services.db.connection() as connection:
        (token,) = await services.tokens.list(connection, client.guid)
    guids = {
        "user": user.guid,
        "member": account.member_guid,
        "account": account.guid,
        "account_2": other.guid,
        "transaction": await make_transaction(services, account),
        "statement": await make_statement(services, account),
        "micro_deposit": answers[0].json()["micro_deposit"][0]["guid"],
        "token": token.guid,
    }
    return Owner(client, guids)


def nowhere() -> Guids:
    """Guids of nothing."""
    return {name: new(OWNED[name.removesuffix("_2")]) for name in (*OWNED, "account_2")}


def parameters(route: Route) -> list[str]:
    return re.findall(r"{(\w+)}", route.path)


def filled(route: Route, guids: Guids) -> str:
    return route.path.format_map({**PUBLIC, **guids})


def normal(path: str) -> str:
    return re.sub(r"{\w+}", "{}", path)


def of(caller: Caller) -> list[Route]:
    return [route for route in ROUTES if route.caller is caller]


def body_of(route: Route, guids: Guids) -> dict[str, Any]:
    """What to send: a new writing route has to have its row."""
    if route.method in {"GET", "DELETE"}:
        return {}
    body = BODIES[route.operation](guids)
    return {} if body is None else {"json": body}


async def ask(
    http: httpx.AsyncClient, route: Route, guids: Guids, *, auth: Any = None, version: str = V1, **more: Any
) -> httpx.Response:
    headers = {
        **HEADERS[version if version in route.versions else route.versions[0]],
        **more.pop("headers", {}),
    }
    return await http.request(route.method, filled(route, guids), auth=auth, headers=headers, **more)


# --- the table and the specs ------------------------------------------------------------------------------


@needs_specs
@pytest.mark.parametrize("version", VERSIONS)
def test_every_operation_of_mx_is_served_or_listed_as_not_served(version: str) -> None:
    served = {
        (route.method, normal(route.path)): route.operation for route in ROUTES if version in route.versions
    }
    problems = [
        f"{method} {path} ({operation['operationId']})"
        for method, path, operation in spec(version).walk()
        if (served.get((method, normal(path))) == operation["operationId"])
        is (operation["operationId"] in NOT_SERVED)
    ]
    assert not problems, "neither served under this very path nor listed, or both:\n" + "\n".join(problems)


@needs_specs
def test_nothing_is_listed_as_not_served_that_mx_does_not_have() -> None:
    known = spec(V1).operations.keys() | spec(V2).operations.keys()
    assert not NOT_SERVED.keys() - known
    assert all(len(reason.split()) > 3 for reason in NOT_SERVED.values())


@needs_specs
def test_what_is_served_beyond_the_specs_is_known_by_name() -> None:
    known = spec(V1).operations.keys() | spec(V2).operations.keys()
    assert {route.operation for route in ROUTES} - known == OURS.keys()
    for route in ROUTES:
        undeclared = [
            version for version in route.versions if route.operation not in spec(version).operations
        ]
        assert not undeclared or route.operation in OURS, (route.operation, undeclared)


def test_no_two_routes_share_a_method_and_a_path() -> None:
    places = [(route.method, normal(route.path), version) for route in ROUTES for version in route.versions]
    assert len(places) == len(set(places))


@needs_specs
@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_not_served_answers_in_the_error_envelope(
    http: httpx.AsyncClient, version: str
) -> None:
    """404; or 405 where the same path is served with another method."""
    served = {normal(route.path) for route in ROUTES}
    for method, path, operation in spec(version).walk():
        if operation["operationId"] not in NOT_SERVED:
            continue
        answer = await http.request(method, re.sub(r"{\w+}", "X", path), headers=HEADERS[version])
        expected = 405 if normal(path) in served else answer.status_code
        assert answer.status_code in {404, 405}, path
        assert answer.status_code == expected, path
        assert set(answer.json()["error"]) == {"message", "status", "type"}, path


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_only_one_dialect_has_is_404_in_the_other(http: httpx.AsyncClient, version: str) -> None:
    for route in ROUTES:
        if version in route.versions:
            continue
        answer = await http.request(route.method, filled(route, nowhere()), headers=HEADERS[version])
        assert answer.status_code == 404, route.path
        assert answer.json()["error"]["type"] == "not_found_error"


# --- who may not ------------------------------------------------------------------------------------------


@pytest.fixture
async def owner(services: Services, http: httpx.AsyncClient) -> Owner:
    return await furnish(services, http)


@pytest.fixture
async def stranger(services: Services, http: httpx.AsyncClient) -> Owner:
    return await furnish(services, http)


def trespasses(own: Guids, foreign: Guids, route: Route) -> Iterator[Guids]:
    """The guids of a path and its body, from wholly foreign to one's own but for the last."""
    owned = [name for name in parameters(route) if name in OWNED]
    for kept in range(len(owned)):
        taken = owned[kept:]
        yield {**own, **{name: foreign[name] for name in taken}}
    if not owned or body_of(route, own) != body_of(route, foreign):
        for name in ("user", "member", "account", "account_2"):
            mixed = {**own, name: foreign[name]}
            if body_of(route, mixed) != body_of(route, own):
                yield mixed


async def test_another_clients_guids_are_answered_as_if_there_were_nothing(
    http: httpx.AsyncClient, owner: Owner, stranger: Owner
) -> None:
    auth = stranger.client.auth
    for route in of(Caller.CLIENT):
        void = nowhere()
        tried = zip(
            trespasses(stranger.guids, owner.guids, route),
            trespasses(stranger.guids, void, route),
            strict=True,
        )
        for foreign, absent in tried:
            answers = [
                await ask(http, route, guids, auth=auth, **body_of(route, guids))
                for guids in (foreign, absent)
            ]
            assert [answer.status_code for answer in answers] == [404, 404], (
                route.operation,
                answers[0].text,
            )
            assert answers[0].content == answers[1].content, route.operation


async def test_what_is_ones_own_is_found_by_the_very_requests_that_find_nothing_foreign(
    http: httpx.AsyncClient, owner: Owner
) -> None:
    """Else the test above would pass for a server that finds nothing at all."""
    destroys = [route for route in of(Caller.CLIENT) if route.method == "DELETE"]
    others = [route for route in of(Caller.CLIENT) if route not in destroys]
    missed = []
    for route in others:
        if set(parameters(route)) <= OWNED.keys():
            answer = await ask(
                http, route, owner.guids, auth=owner.client.auth, **body_of(route, owner.guids)
            )
            if answer.status_code == 404:
                missed.append(route.operation)
    assert not missed


async def test_no_read_shows_a_guid_of_another_client(
    http: httpx.AsyncClient, owner: Owner, stranger: Owner
) -> None:
    for route in of(Caller.CLIENT):
        if route.method == "GET":
            answer = await ask(http, route, stranger.guids, auth=stranger.client.auth)
            shown = [name for name, guid in owner.guids.items() if guid in answer.text]
            assert not shown, (route.operation, shown)


async def test_nobody_but_a_client_passes_a_clients_route(
    services: Services, http: httpx.AsyncClient, owner: Owner, stranger: Owner
) -> None:
    processor, bearer = await _processor_and_bearer(services, owner)
    refused: list[dict[str, Any]] = [
        {},
        {"auth": processor.auth},
        {"headers": bearer},
        {"auth": (owner.client.guid, processor.api_key)},
        {"auth": (owner.client.guid, stranger.client.api_key)},
        {"auth": (owner.client.guid, "")},
    ]
    for route in of(Caller.CLIENT):
        for more in refused:
            answer = await ask(http, route, owner.guids, **more, **body_of(route, owner.guids))
            assert answer.status_code == 401, (route.operation, more)
            assert answer.headers["www-authenticate"].startswith("Basic "), route.operation
            assert answer.json()["error"]["status"] == "unauthorized"


async def test_nobody_but_a_processor_passes_a_processors_route(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    _, bearer = await _processor_and_bearer(services, owner)
    refused: list[dict[str, Any]] = [{}, {"auth": owner.client.auth}, {"headers": bearer}]
    for route in of(Caller.PROCESSOR):
        for more in refused:
            answer = await ask(
                http, route, {}, params={"grant_type": "authorization_code", "code": "x"}, **more
            )
            assert answer.status_code == 401, (route.operation, more)


async def test_nothing_but_a_token_opens_a_tokens_route(
    services: Services, http: httpx.AsyncClient, owner: Owner
) -> None:
    processor, bearer = await _processor_and_bearer(services, owner)
    spoilt = {"Authorization": bearer["Authorization"][:-1]}
    refused: list[dict[str, Any]] = [
        {},
        {"auth": owner.client.auth},
        {"auth": processor.auth},
        {"headers": spoilt},
        {"headers": {"Authorization": f"Bearer {owner.client.api_key}"}},
    ]
    for route in of(Caller.TOKEN):
        for more in refused:
            answer = await ask(http, route, {}, **more)
            assert answer.status_code == 401, (route.operation, more)
            assert answer.headers["www-authenticate"].startswith("Bearer "), route.operation
        assert (await ask(http, route, {}, headers=bearer)).status_code == 200, route.operation


async def test_anybodys_routes_ask_for_nothing(http: httpx.AsyncClient) -> None:
    for route in of(Caller.ANYONE):
        assert (await ask(http, route, {})).status_code == 200, route.operation


async def _processor_and_bearer(services: Services, owner: Owner) -> tuple[Keyed, dict[str, str]]:
    """A processor of the owner's, and a token of it on the owner's account."""
    processor = await make_processor(services, owner.client)
    async with services.db.connection() as connection:
        account = await find_account(connection, owner.guids["user"], owner.guids["account"])
    return processor, {"Authorization": f"Bearer {await make_token(services, account, processor)}"}
