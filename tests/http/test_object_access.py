"""Whose objects a caller reaches: every route of every surface, every foreign object, every caller.

A foreign object is answered exactly like one that does not exist: the same status and the same body. The matrix is
generated from the route tables. A route that fits no row of `CALLERS` fails, and so does a path parameter that is in
neither `OWNED` nor `PUBLIC`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.http.route import Caller
from coatcheck.model.accounts import find_account
from tests.factories import make_processor, make_token
from tests.http.owned_objects import (
    BODIES,
    FILES,
    OWNED,
    PUBLIC,
    ROUTES,
    AnyRoute,
    Guids,
    Owner,
    body_of,
    make_owner,
    parameters,
    send,
    unknown_guids,
)

CALLERS = {
    Caller.CLIENT: "an API key of a client",
    Caller.CLIENT_OR_PROCESSOR: "an API key of either",
    Caller.PROCESSOR: "an API key of a processor",
    Caller.TOKEN: "an access token",
    Caller.APP: "the credentials of an access URL",
    Caller.ANYONE: "none",
}
SELECTORS = {"revokeGrants"}
"""Routes whose body selects objects: foreign guids select nothing, as unknown guids do."""
KINDS = tuple(OWNED)
"""The kinds of object that can be foreign."""


@dataclass(frozen=True)
class World:
    """Two users of one client, a user of another client, and a processor that has nothing to do with any."""

    owner: Owner
    neighbour: Owner
    """Another user of the same client, with another processor."""
    stranger: Owner
    """A user of another client, with another processor."""
    outsider: tuple[str, str]
    """A processor without a client."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The matrix has more refusals than a caller may cause in a minute."""
    return replace(
        settings, limit_failures_of_address="", limit_failures_of_caller="", limit_refused_codes=""
    )


@pytest.fixture
async def world(services: Services, http: httpx.AsyncClient) -> World:
    owner = await make_owner(services, http)
    neighbour = await make_owner(services, http, owner.client)
    stranger = await make_owner(services, http)
    return World(owner, neighbour, stranger, (await make_processor(services)).auth)


def crossings(own: Guids, foreign: Guids, route: AnyRoute) -> Iterator[tuple[str, Guids]]:
    """The kind and the guids, with each owned guid of the path, and each of the body, replaced by a foreign one.

    In a path, everything below a foreign object is foreign too, and also only the last object.
    """
    owned = [name for name in parameters(route) if name in OWNED]
    for first, name in enumerate(owned):
        yield name, {**own, **{each: foreign[each] for each in owned[first:]}}
        yield name, {**own, name: foreign[name]}
    for name in (*KINDS, "account_2"):
        mixed = {**own, name: foreign[name]}
        if name not in owned and body_of(route, mixed) != body_of(route, own):
            yield name, mixed


def result(answer: httpx.Response) -> tuple[int, bytes]:
    return answer.status_code, answer.content


async def compared(
    http: httpx.AsyncClient, route: AnyRoute, own: Guids, foreign: Guids, **credentials: Any
) -> list[str]:
    """The kinds of foreign object that are answered otherwise than unknown ones."""
    differing = []
    pairs = zip(crossings(own, foreign, route), crossings(own, unknown_guids(), route), strict=True)
    for (kind, with_foreign), (_, with_unknown) in pairs:
        answers = [
            result(await send(http, route, guids, **credentials, **body_of(route, guids)))
            for guids in (with_foreign, with_unknown)
        ]
        if answers[0] != answers[1] or answers[0][0] < 400:
            differing.append(f"{route.operation}: {kind}: {answers}")
    return differing


def taking(*callers: Caller) -> list[AnyRoute]:
    return [route for route in ROUTES if route.caller in callers and route.operation not in SELECTORS]


# --- the matrix is complete ---


def test_every_route_is_in_the_matrix() -> None:
    assert {route.operation for route in ROUTES if route.caller not in CALLERS} == set()
    named = {name for route in ROUTES for name in parameters(route)}
    assert named - OWNED.keys() - PUBLIC.keys() == set()
    with_body = {
        route.operation
        for route in taking(Caller.CLIENT, Caller.CLIENT_OR_PROCESSOR)
        if route.method not in {"GET", "DELETE"}
    }
    assert with_body - BODIES.keys() - FILES.keys() == set()


async def test_every_kind_of_object_is_foreign_on_some_route(world: World) -> None:
    crossed = {
        kind
        for route in taking(Caller.CLIENT, Caller.CLIENT_OR_PROCESSOR)
        for kind, _ in crossings(world.owner.guids, world.stranger.guids, route)
    }
    assert crossed >= set(KINDS)


# --- clients ---


async def test_another_clients_objects_are_like_unknown_ones(http: httpx.AsyncClient, world: World) -> None:
    differing = [
        each
        for route in taking(Caller.CLIENT, Caller.CLIENT_OR_PROCESSOR)
        for each in await compared(
            http, route, world.stranger.guids, world.owner.guids, auth=world.stranger.client.auth
        )
    ]
    assert differing == []


async def test_objects_of_another_user_of_the_client_are_like_unknown_ones_below_the_user(
    http: httpx.AsyncClient, world: World
) -> None:
    """A path `/users/{mine}/members/{theirs}` finds nothing, although the client may read both."""
    differing = []
    for route in taking(Caller.CLIENT, Caller.CLIENT_OR_PROCESSOR):
        owned = [name for name in parameters(route) if name in OWNED]
        for name in owned[1:]:
            answers = [
                result(await send(http, route, guids, auth=world.owner.client.auth, **body_of(route, guids)))
                for guids in (
                    {**world.owner.guids, name: world.neighbour.guids[name]},
                    {**world.owner.guids, name: unknown_guids()[name]},
                )
            ]
            if answers[0] != answers[1] or answers[0][0] < 400:
                differing.append(f"{route.operation}: {name}: {answers}")
    assert differing == []


async def test_a_selector_of_foreign_objects_selects_nothing(http: httpx.AsyncClient, world: World) -> None:
    (route,) = [route for route in ROUTES if route.operation in SELECTORS]
    for kind in ("user", "member", "account"):
        for guids in (world.owner.guids, unknown_guids()):
            body = {"revocation": {f"{kind}_guid": guids[kind]}}
            answer = await http.post(route.path, json=body, auth=world.stranger.client.auth)
            assert answer.json()["revocation"]["revoked"] == 0
    assert (await http.get("/payment_account", headers=world.owner.bearer)).status_code == 200


# --- processors, tokens and nobody ---


async def test_a_processor_does_not_reach_the_webhook_endpoints_events_and_deliveries_of_its_client(
    http: httpx.AsyncClient, world: World
) -> None:
    routes = [each for each in taking(Caller.CLIENT_OR_PROCESSOR) if "/grants" not in each.path]
    assert len(routes) > 10
    for route in routes:
        foreign = await compared(
            http, route, unknown_guids(), world.owner.guids, auth=world.owner.processor.auth
        )
        assert foreign == []


async def test_a_processor_reaches_its_own_grants_and_no_others(
    http: httpx.AsyncClient, world: World
) -> None:
    for route in taking(Caller.CLIENT_OR_PROCESSOR):
        if "/grants" in route.path:
            own = await send(http, route, world.owner.guids, auth=world.owner.processor.auth)
            assert own.status_code == 200, route.operation
        for out_of_scope in (world.neighbour.processor.auth, world.stranger.processor.auth, world.outsider):
            foreign = await compared(http, route, unknown_guids(), world.owner.guids, auth=out_of_scope)
            assert foreign == []
            answer = await send(http, route, world.owner.guids, auth=out_of_scope)
            assert world.owner.guids["grant"] not in answer.text


async def test_whoever_is_no_client_learns_nothing_about_any_object(
    services: Services, http: httpx.AsyncClient, world: World
) -> None:
    """No key, a key of a processor in scope or out of scope, a token: 401 for an object, and the same for none."""
    actors: Mapping[str, dict[str, Any]] = {
        "nobody": {},
        "the processor": {"auth": world.owner.processor.auth},
        "a processor out of scope": {"auth": world.outsider},
        "a token": {"headers": world.owner.bearer},
    }
    for route in taking(Caller.CLIENT):
        for actor, credentials in actors.items():
            answers = {
                result(await send(http, route, guids, **credentials, **body_of(route, guids)))
                for guids in (world.owner.guids, unknown_guids())
            }
            assert {status for status, _ in answers} == {401}, (route.operation, actor)
            assert len(answers) == 1, (route.operation, actor)


async def test_a_code_of_another_client_is_like_an_unknown_one(
    services: Services, http: httpx.AsyncClient, world: World
) -> None:
    """At every route that exchanges: by a processor that the client did not enable, and by one without a client."""
    for path in ("/token", "/oauth/token"):
        for auth in (world.stranger.processor.auth, world.outsider):
            scope = " ".join(
                f"{name}-guid:{world.owner.guids[name]}" for name in ("user", "member", "account")
            )
            issued = await http.post(
                "/authorization_code",
                json={"authorization_code": {"scope": scope}},
                auth=world.owner.client.auth,
            )
            code = issued.json()["authorization_code"]["code"]
            unknown = code[:-1] + ("A" if code[-1] != "A" else "B")
            answers = [
                result(
                    await http.post(path, data={"grant_type": "authorization_code", "code": each}, auth=auth)
                )
                for each in (code, unknown)
            ]
            assert answers[0] == answers[1], path
            assert answers[0][0] == 400, path


async def test_a_token_that_has_ended_reads_nothing_on_any_route(
    services: Services, http: httpx.AsyncClient, world: World, clock: MovableClock
) -> None:
    """Revoked, expired, unknown, none, and that of another user, which reads only that user's account."""
    async with services.db.connection() as connection:
        account = await find_account(connection, world.owner.guids["user"], world.owner.guids["account"])
        revoked = await make_token(services, account, world.owner.processor)
        newest, *_ = await services.tokens.list(
            connection, world.owner.client.guid, account_guid=account.guid
        )
        await services.revocations.revoke(connection, client_guid=account.client_guid, guid=newest.guid)
    unknown = revoked[:-1] + ("A" if revoked[-1] != "A" else "B")

    async def status(route: AnyRoute, token: str | None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return (await send(http, route, {}, headers=headers)).status_code

    for route in taking(Caller.TOKEN):
        assert [await status(route, token) for token in (revoked, unknown, None)] == [401] * 3, (
            route.operation
        )
        other = await send(http, route, {}, headers=world.stranger.bearer)
        assert not [guid for guid in world.owner.guids.values() if guid in other.text], route.operation
    clock.advance(timedelta(days=61))
    for route in taking(Caller.TOKEN):
        assert await status(route, world.owner.access_token) == 401, route.operation
