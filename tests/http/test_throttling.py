"""429 with Retry-After above a limit, and never for a right key."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.grants.secrets import Kind, generate
from coatcheck.server import create_app
from tests.factories import Keyed, make_account, make_client, make_code, make_processor, make_token, make_user

HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"


@asynccontextmanager
async def serving(services: Services, clock: MovableClock, **settings: Any) -> AsyncIterator["Server"]:
    async with build(replace(services.settings, **settings), clock) as built:
        yield Server(built)


class Server:
    def __init__(self, services: Services) -> None:
        self.services = services
        self._app = create_app(services)

    async def __call__(self, method: str, path: str, *, address: str = HOME, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://coatcheck.test") as http:
            return await http.request(method, path, **more)

    async def users(self, guid: str, api_key: str, **more: Any) -> httpx.Response:
        return await self("GET", "/users", auth=(guid, api_key), **more)


def wrong_key(number: int, kind: Kind = Kind.CLIENT_KEY) -> str:
    """A key in the right form that nobody has."""
    return generate(kind, b"k" * 32, entropy=number).text


def failed_authentications() -> float:
    return REGISTRY.get_sample_value("coatcheck_failed_authentications_total", {"surface": "api"}) or 0


async def test_300_wrong_keys_are_throttled_and_the_owner_is_not(
    services: Services, clock: MovableClock, client: Keyed
) -> None:
    before = failed_authentications()
    async with serving(services, clock) as server:
        statuses = [(await server.users(client.guid, wrong_key(number))).status_code for number in range(300)]
        assert statuses == [401] * 100 + [429] * 200
        assert failed_authentications() == before + 300
        assert (await server.users(*client.auth)).status_code == 200
        assert (await server.users(*client.auth, address=ELSEWHERE)).status_code == 200
        assert (await server.users(client.guid, wrong_key(1), address=ELSEWHERE)).status_code == 401


async def test_the_answer_says_when_to_try_again_and_the_throttle_ends_then(
    services: Services, clock: MovableClock, client: Keyed
) -> None:
    async with serving(services, clock, limit_failures_of_caller="2/minute") as server:
        for expected in (401, 401, 429):
            answer = await server.users(client.guid, "wrong")
            assert answer.status_code == expected
        assert answer.json()["error"]["type"] == "too_many_requests_error"
        wait = int(answer.headers["retry-after"])
        assert 55 <= wait <= 60
        clock.advance(timedelta(seconds=wait))
        assert (await server.users(client.guid, "wrong")).status_code == 401


async def test_ids_from_one_address_share_its_limit(services: Services, clock: MovableClock) -> None:
    async with serving(services, clock, limit_failures_of_address="5/minute") as server:
        statuses = [(await server.users(f"CLT-{number}", "wrong")).status_code for number in range(6)]
        assert statuses == [401] * 5 + [429]
        assert (await server.users("CLT-1", "wrong", address=ELSEWHERE)).status_code == 401


@pytest.mark.parametrize(
    "spelling", ["basic {}", "BASIC {}", "Basic  {}", "Basic {} "], ids=["lower", "upper", "spaces", "end"]
)
async def test_a_limit_counts_every_spelling_of_the_same_id(
    services: Services, clock: MovableClock, client: Keyed, spelling: str
) -> None:
    async with serving(services, clock, limit_failures_of_caller="1/minute") as server:
        assert (await server.users(client.guid, "wrong")).status_code == 401
        quoted = client.guid.replace("-", "%2D")
        for name in (client.guid, quoted):
            value = base64.b64encode(f"{name}:wrong".encode()).decode()
            headers = {"Authorization": spelling.format(value)}
            assert (await server("GET", "/users", headers=headers)).status_code == 429


async def test_requests_without_credentials_are_no_failed_authentication(
    services: Services, clock: MovableClock
) -> None:
    async with serving(services, clock, limit_failures_of_address="1/minute") as server:
        assert [(await server("GET", "/users")).status_code for _ in range(5)] == [401] * 5


async def test_wrong_tokens_are_throttled_and_a_right_one_is_not(
    services: Services, clock: MovableClock
) -> None:
    client = await make_client(services)
    account = await make_account(services, await make_user(services, client))
    token = await make_token(services, account, await make_processor(services, client))
    async with serving(services, clock, limit_failures_of_address="3/minute") as server:

        async def read(secret: str, address: str = HOME) -> int:
            headers = {"Authorization": f"Bearer {secret}"}
            return (
                await server("GET", "/account/transactions", headers=headers, address=address)
            ).status_code

        right = await read(token)
        assert right < 400
        assert [await read("cct_wrong") for _ in range(4)] == [401, 401, 401, 429]
        assert await read(token) == right
        assert await read(token, ELSEWHERE) == right


async def test_codes_that_a_processor_may_not_redeem_are_throttled(
    services: Services, clock: MovableClock
) -> None:
    client = await make_client(services)
    account = await make_account(services, await make_user(services, client))
    right, wrong = await make_processor(services, client), await make_processor(services)
    code = await make_code(services, account)
    async with serving(services, clock, limit_refused_codes="3/minute") as server:

        async def exchange(processor: Keyed, code: str) -> httpx.Response:
            query = {"grant_type": "authorization_code", "code": code}
            return await server("POST", "/token", params=query, auth=processor.auth)

        answers = [await exchange(wrong, each) for each in ("guessed", code, code, code)]
        assert [each.status_code for each in answers] == [400, 400, 400, 429]
        assert answers[-1].headers["retry-after"]
        assert (await exchange(right, code)).status_code == 200
        # A code that was redeemed is a retry or a replay, not a guess.
        assert [(await exchange(right, code)).status_code for _ in range(5)] == [400] * 5


async def test_guessed_setup_tokens_are_throttled_and_the_right_one_is_claimed_elsewhere(
    services: Services, clock: MovableClock
) -> None:
    client = await make_client(services)
    account = await make_account(services, await make_user(services, client))
    async with serving(services, clock, limit_refused_codes="3/minute") as server:
        wanted = {"app_name": "Actual", "account_guids": [account.guid]}
        path = f"/coatcheck/users/{account.user_guid}/setup_tokens"
        created = await server("POST", path, json={"setup_token": wanted}, auth=client.auth)
        right = base64.b64decode(created.json()["setup_token"]["token"]).decode()

        async def claim(url: str, address: str = HOME) -> int:
            return (await server("POST", httpx.URL(url).path, address=address)).status_code

        guesses = [f"/simplefin/claim/{wrong_key(number, Kind.SETUP_TOKEN)}" for number in range(4)]
        assert [await claim(each) for each in guesses] == [403, 403, 403, 429]
        assert await claim(right, ELSEWHERE) == 200


async def test_widget_sessions_that_do_not_exist_are_throttled(
    services: Services, clock: MovableClock
) -> None:
    async with serving(services, clock, limit_failures_of_address="2/minute") as server:
        for expected in (401, 401, 429):
            answer = await server("GET", "/md/api/members", headers={"X-Widget-Session": "cws_guess"})
            assert answer.status_code == expected
        assert answer.json()["error"]["type"] == "too_many_requests"


async def test_requests_are_limited_by_address_on_every_surface(
    services: Services, clock: MovableClock
) -> None:
    async with serving(services, clock, limit_requests_of_address="3/minute") as server:
        paths = ("/users", "/md/api/members", "/nothing", "/openapi.json")
        assert [(await server("GET", path)).status_code for path in paths] == [401, 401, 404, 429]
        assert (await server("GET", "/openapi.json", address=ELSEWHERE)).status_code == 200
        assert (await server("GET", "/health")).status_code == 200, "a load balancer is never refused"


async def test_above_a_limit_of_requests_an_oauth_endpoint_answers_as_its_clients_expect(
    services: Services, clock: MovableClock
) -> None:
    async with serving(services, clock, limit_requests_of_address="1/minute") as server:
        await server("POST", "/oauth/token")
        for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
            answer = await server("POST", path)
            assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
            assert set(answer.json()) == {"error", "error_description"}
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert (await server("GET", "/users")).json()["error"]["type"] == "too_many_requests_error"


async def test_requests_are_limited_by_caller_and_others_do_not_use_its_limit_up(
    services: Services, clock: MovableClock, client: Keyed
) -> None:
    async with serving(services, clock, limit_requests_of_caller="3/minute") as server:
        for _ in range(10):
            await server.users(client.guid, "wrong")
        statuses = [
            (await server.users(*client.auth, address=each)).status_code for each in (HOME, ELSEWHERE) * 2
        ]
        assert statuses == [200, 200, 200, 429]
        other = await make_client(services)
        assert (await server.users(*other.auth)).status_code == 200
        clock.advance(timedelta(minutes=1))
        assert (await server.users(*client.auth)).status_code == 200


async def test_by_default_no_request_is_counted_and_the_database_is_not_asked(
    services: Services, clock: MovableClock
) -> None:
    assert not services.rate_limits.counts_requests
    assert services.settings.limit_storage == "memory"
