"""The processor's side over HTTP: RFC 6749, RFC 6750 and MX's own forms, refusals first of all."""

import asyncio
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.model.accounts import Account
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_code,
    make_processor,
    make_token,
    make_user,
)

EXCHANGES = ("/token", "/payment_processor_token")
READS = ("/account/account_numbers", "/account/account_owners", "/account/transactions", "/payment_account")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class World:
    services: Services
    http: httpx.AsyncClient
    client: Keyed
    processor: Keyed
    account: Account

    async def code(self, **overrides: Any) -> str:
        return await make_code(self.services, self.account, **overrides)

    async def token(self, processor: Keyed | None = None, **overrides: Any) -> str:
        return await make_token(self.services, self.account, processor or self.processor, **overrides)

    async def exchange(self, code: str, path: str = "/token", **more: Any) -> httpx.Response:
        return await self.http.post(
            path,
            params={"grant_type": "authorization_code", "code": code},
            **{"auth": self.processor.auth} | more,
        )

    async def read(self, path: str, token: str, **more: Any) -> httpx.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {token}"}, **more)


@pytest.fixture
async def world(services: Services, http: httpx.AsyncClient) -> World:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    return World(services, http, client, processor, account)


def kind(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["type"]


async def test_mx_form_of_the_exchange_gives_a_bearer_token_with_its_scope_and_end(world: World) -> None:
    answer = await world.exchange(await world.code())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["scope"].split() == [
        f"user-guid:{world.account.user_guid}",
        f"member-guid:{world.account.member_guid}",
        f"account-guid:{world.account.guid}",
        "read-protected",
    ]
    assert body["expires_at"] == f"{world.services.clock.now() + timedelta(days=60):%Y-%m-%dT%H:%M:%SZ}"
    assert (await world.read("/account/account_numbers", body["access_token"])).status_code == 200


async def test_the_legacy_exchange_gives_the_same_token_in_its_old_dress(world: World) -> None:
    body = (await world.exchange(await world.code(), "/payment_processor_token")).json()
    assert {name: body[name] for name in body if name != "access_token"} == {
        "token_type": "bearer",
        "scope": "payment_accounts",
    }
    assert (await world.read("/payment_account", body["access_token"])).status_code == 200


@pytest.mark.parametrize("path", EXCHANGES)
async def test_the_form_body_of_rfc_6749_works_as_the_query_does(world: World, path: str) -> None:
    answer = await world.http.post(
        path,
        data={"grant_type": "authorization_code", "code": await world.code(), "redirect_uri": "x"},
        auth=world.processor.auth,
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("path", EXCHANGES)
async def test_malformed_exchanges_are_told_apart_and_spend_nothing(world: World, path: str) -> None:
    code = await world.code()
    grant = "grant_type=authorization_code"
    post, auth = world.http.post, world.processor.auth
    refusals: list[tuple[httpx.Response, tuple[int, str]]] = [
        (await post(path, auth=auth), (400, "invalid_request")),
        (await post(f"{path}?{grant}", auth=auth), (400, "invalid_request")),
        (await post(f"{path}?{grant}&code=", auth=auth), (400, "invalid_request")),
        (await post(f"{path}?code={code}", auth=auth), (400, "invalid_request")),
        (await post(f"{path}?grant_type=password&code={code}", auth=auth), (400, "unsupported_grant_type")),
        (
            await post(f"{path}?grant_type=refresh_token&code={code}", auth=auth),
            (400, "unsupported_grant_type"),
        ),
        (await post(f"{path}?{grant}&code={code}&code={code}", auth=auth), (400, "invalid_request")),
        (
            await post(f"{path}?{grant}&code={code}", content=f"code={code}", headers=FORM, auth=auth),
            (400, "invalid_request"),
        ),
        (
            await post(f"{path}?{grant}&code={code}", content="client_secret=x", headers=FORM, auth=auth),
            (400, "invalid_request"),
        ),
        (
            await post(path, content=b"code=%ff&grant_type=authorization_code", headers=FORM, auth=auth),
            (400, "invalid_request"),
        ),
        (
            await world.exchange(code, path, headers={"Idempotency-Key": "k" * 256}),
            (400, "invalid_request"),
        ),
        (await world.http.get(path, auth=auth), (405, "method_not_allowed_error")),
    ]
    for answer, expected in refusals:
        assert kind(answer) == expected
        assert code not in answer.text
        assert answer.headers["cache-control"] == "no-store"
    assert refusals[-1][0].headers["allow"] == "POST"
    assert (await world.exchange(code, path)).status_code == 200


@pytest.mark.parametrize("path", EXCHANGES)
async def test_unknown_expired_used_and_foreign_codes_get_one_and_the_same_answer(
    world: World, clock: MovableClock, path: str
) -> None:
    expired = await world.code()
    clock.advance(timedelta(minutes=11))
    used, foreign = await world.code(), await world.code()
    await world.exchange(used, path)
    stranger = await make_processor(world.services)
    answers = [
        await world.exchange("9nN-9D8_4Z3WYazx7-zXfmqsD3jwgL_2W927Sb3otI", path),
        await world.exchange(used[:-1] + ("A" if used[-1] != "A" else "B"), path),
        await world.exchange(expired, path),
        await world.exchange(used, path),
        await world.exchange(foreign, path, auth=stranger.auth),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(400, answers[0].text)}
    assert kind(answers[0]) == (400, "invalid_grant")


@pytest.mark.parametrize("path", EXCHANGES)
async def test_a_bad_processor_gets_401_and_a_basic_challenge_that_never_says_why(
    world: World, path: str
) -> None:
    code = await world.code()
    bad: list[dict[str, Any]] = [
        {"auth": (world.processor.guid, "guess")},
        {"auth": ("PPR-nobody", world.processor.api_key)},
        {"auth": world.client.auth},
        {"auth": None, "headers": {"Authorization": "Basic !!!"}},
        {"auth": None, "headers": {"Authorization": "Basic " + b64encode(b"no colon").decode()}},
        {"auth": None, "headers": {"Authorization": "Basic " + b64encode(b"\xff:\xfe").decode()}},
        {"auth": None, "headers": {"Authorization": f"Bearer {await world.token()}"}},
    ]
    answers = [await world.exchange(code, path, **more) for more in bad]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    nothing = await world.exchange(code, path, auth=None)
    assert kind(nothing) == (401, "invalid_client")
    for answer in (*answers, nothing):
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert (await world.exchange(code, path)).status_code == 200


async def test_a_key_of_the_other_side_is_told_to_the_operator_alone_and_without_the_key(
    world: World,
) -> None:
    code = await world.code()
    with capture_logs() as logs:
        answers = [
            await world.exchange(code, auth=world.client.auth),
            await world.http.get("/users", auth=world.processor.auth),
            await world.exchange(code, auth=(world.processor.guid, "ccp_guess")),
        ]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert [(line["operation"], line["detail"]) for line in logs] == [
        ("exchangeCode", "The API key is a cck_ key where a ccp_ key belongs."),
        ("listUsers", "The API key is a ccp_ key where a cck_ key belongs."),
    ]
    for key in (world.client.api_key, world.processor.api_key):
        assert key[4:] not in str(logs)


async def test_replaying_a_code_over_http_ends_the_token_it_bought(world: World) -> None:
    code = await world.code()
    token = (await world.exchange(code)).json()["access_token"]
    assert kind(await world.exchange(code)) == (400, "invalid_grant")
    assert kind(await world.read("/account/account_numbers", token)) == (401, "invalid_token")


async def test_a_retry_with_its_idempotency_key_gets_the_very_same_answer(world: World) -> None:
    code = await world.code()
    first, second = [await world.exchange(code, headers={"Idempotency-Key": "one"}) for _ in range(2)]
    assert first.status_code == second.status_code == 200
    assert first.content == second.content


@pytest.mark.parametrize("path", READS)
async def test_without_a_good_token_nothing_is_read_and_the_challenge_says_what_rfc_6750_says(
    world: World, path: str, clock: MovableClock
) -> None:
    token = await world.token()
    nothing = await world.http.get(path)
    assert nothing.status_code == 401
    assert nothing.headers["www-authenticate"] == 'Bearer realm="coatcheck"'
    basic = await world.http.get(path, auth=world.processor.auth)
    assert (basic.status_code, basic.headers["www-authenticate"]) == (401, 'Bearer realm="coatcheck"')
    for bad in ("x", token[:-1], token + "A", world.processor.api_key, await world.code()):
        answer = await world.read(path, bad)
        assert kind(answer) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer realm="coatcheck", error="invalid_token"'
    in_url = await world.http.get(f"{path}?access_token={token}")
    assert kind(in_url) == (400, "invalid_request")
    twice = await world.http.get(
        path, headers=[("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    )
    assert kind(twice) == (400, "invalid_request")
    assert (await world.read(path, token)).status_code == 200
    assert (await world.http.get(path, headers={"Authorization": f"bEaReR {token}"})).status_code == 200
    clock.advance(timedelta(days=60))
    assert kind(await world.read(path, token)) == (401, "invalid_token")


async def test_a_token_without_read_protected_reads_balances_but_neither_numbers_nor_owners(
    world: World,
) -> None:
    token = await world.token(reads_protected=False)
    for path in ("/account/account_numbers", "/account/account_owners"):
        answer = await world.read(path, token)
        assert kind(answer) == (403, "insufficient_scope")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert (await world.read("/account/transactions", token)).status_code == 200
    shown = (await world.read("/payment_account", token)).json()["payment_account"]
    assert shown["balance"] == 1000
    assert shown["routing_number"] is None
    assert "1234567890" not in str(shown)


async def test_numbers_are_integers_only_where_no_reader_of_json_loses_a_digit(world: World) -> None:
    async def shown(number: str, routing: str, processor: Keyed = world.processor) -> tuple[Any, Any]:
        user = await make_user(world.services, world.client)
        account = await make_account(world.services, user, account_number=number, routing_number=routing)
        token = await make_token(world.services, account, processor)
        (item,) = (await world.read("/account/account_numbers", token)).json()["account_numbers"]
        paid = (await world.read("/payment_account", token)).json()["payment_account"]
        assert (paid["account_number"], paid["routing_number"]) == (number, routing)
        return item["account_number"], item["routing_number"]

    textual = await make_processor(world.services, world.client, numbers_as_strings=True)
    assert await shown("6366816006", "242722023") == (6366816006, 242722023)
    assert await shown("0012345678", "091000019") == ("0012345678", "091000019")
    assert await shown("12345678901234567", "242722023") == ("12345678901234567", 242722023)
    assert await shown("6366816006", "242722023", textual) == ("6366816006", "242722023")


async def test_owners_stand_at_transactions_only_for_a_processor_registered_so(world: World) -> None:
    sdk = await make_processor(world.services, world.client, owners_at_transactions=True)
    owners = (await world.read("/account/transactions", await world.token(sdk))).json()
    assert [owner["owner_name"] for owner in owners["account_owners"]] == ["Ada Example"]
    token = await world.token()
    assert "transactions" in (await world.read("/account/transactions", token)).json()
    at_owners = (await world.read("/account/account_owners", token)).json()
    assert at_owners["account_owners"][0]["owner_name"] == "Ada Example"
    bare = await world.token(sdk, reads_protected=False)
    assert kind(await world.read("/account/transactions", bare)) == (403, "insufficient_scope")


async def test_a_read_discloses_to_the_processor_by_name_and_a_refusal_discloses_nothing(
    world: World,
) -> None:
    async def disclosed() -> list[tuple[str, int]]:
        async with world.services.db.connection() as connection:
            cursor = await connection.execute(
                "SELECT what, shown FROM disclosure WHERE reader_guid = %s", (world.processor.guid,)
            )
            return await cursor.fetchall()

    refused = await world.token(reads_protected=False)
    await world.read("/account/account_numbers", refused)
    await world.read("/account/account_numbers", "garbage")
    assert await disclosed() == []
    await world.read("/account/account_numbers", await world.token())
    assert await disclosed() == [("ACCOUNT_NUMBERS", 1)]


async def test_of_32_simultaneous_exchanges_one_succeeds_and_none_fails_oddly(world: World) -> None:
    code = await world.code()
    answers = await asyncio.gather(*(world.exchange(code) for _ in range(32)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 31}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Accept": "application/vnd.mx.api.v1+json"}, 200),
        ({"Accept": "application/json"}, 200),
        ({}, 200),
        ({"Accept-Version": "v20250224"}, 200),
        ({"Accept-Version": "v20111101"}, 200),
        ({"Accept-Version": "v1999"}, 406),
        ({"Accept": "text/html"}, 406),
    ],
)
async def test_the_dialect_is_negotiated_as_mx_does(
    world: World, headers: dict[str, str], status: int
) -> None:
    token = await world.token()
    answer = await world.http.get(
        "/payment_account", headers={"Authorization": f"Bearer {token}", "Accept": "*/*"} | headers
    )
    assert answer.status_code == status
    if headers.get("Accept", "").startswith("application/vnd"):
        assert answer.headers["content-type"] == "application/vnd.mx.api.v1+json"


async def test_an_oversized_body_is_refused_however_it_is_sent(world: World) -> None:
    async def chunks() -> Any:
        for _ in range(5):
            yield b"x" * 65536

    whole = await world.http.post("/users", content=b"x" * (256 * 1024 + 1), auth=world.client.auth)
    streamed = await world.http.post("/users", content=chunks(), auth=world.client.auth)
    assert kind(whole) == kind(streamed) == (413, "content_too_large_error")


async def test_an_unknown_path_is_404_in_the_envelope(world: World) -> None:
    answer = await world.http.get("/users/USR-1/budgets", auth=world.client.auth)
    assert answer.json() == {
        "error": {"message": "There is no such thing here.", "status": "not_found", "type": "not_found_error"}
    }


async def test_a_client_ends_one_vendors_token_and_no_other(world: World) -> None:
    other = await make_processor(world.services, world.client)
    token, kept = await world.token(), await world.token(other)
    listed = (await world.http.get("/coatcheck/tokens", auth=world.client.auth)).json()["tokens"]
    (grant,) = [each for each in listed if each["payment_processor_guid"] == world.processor.guid]
    assert (grant["active"], grant["account_guid"]) == (True, world.account.guid)
    assert token not in str(listed)
    path = f"/coatcheck/tokens/{grant['guid']}"
    stranger = await make_client(world.services)
    assert (await world.http.delete(path, auth=stranger.auth)).status_code == 404
    assert (await world.http.delete(path, auth=world.client.auth)).status_code == 204
    assert kind(await world.read("/payment_account", token)) == (401, "invalid_token")
    assert (await world.read("/payment_account", kept)).status_code == 200
    shown = (await world.http.get("/coatcheck/tokens", auth=world.client.auth)).json()["tokens"]
    assert {each["guid"]: each["revoked_because"] for each in shown}[grant["guid"]] == "its client revoked it"
