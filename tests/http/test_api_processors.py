"""The exchange of codes and the reads of processors over HTTP (RFC 6749, RFC 6750, MX processor guide)."""

import asyncio
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
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
class Setup:
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
async def setup(services: Services, http: httpx.AsyncClient) -> Setup:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    return Setup(services, http, client, processor, account)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["type"]


async def test_an_exchange_with_query_parameters_returns_a_bearer_token_with_scope_and_expiry(
    setup: Setup,
) -> None:
    code, before = await setup.code(), setup.services.clock.now()
    answer = await setup.exchange(code)
    after = setup.services.clock.now()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["scope"].split() == [
        f"user-guid:{setup.account.user_guid}",
        f"member-guid:{setup.account.member_guid}",
        f"account-guid:{setup.account.guid}",
        "read-protected",
    ]
    assert body["expires_at"].endswith("Z")
    issued_at = datetime.fromisoformat(body["expires_at"]) - timedelta(days=60)
    assert before.replace(microsecond=0) <= issued_at <= after
    assert (await setup.read("/account/account_numbers", body["access_token"])).status_code == 200


async def test_the_legacy_exchange_returns_an_equal_token_in_the_legacy_format(setup: Setup) -> None:
    body = (await setup.exchange(await setup.code(), "/payment_processor_token")).json()
    assert {name: body[name] for name in body if name != "access_token"} == {
        "token_type": "bearer",
        "scope": "payment_accounts",
    }
    assert (await setup.read("/payment_account", body["access_token"])).status_code == 200


@pytest.mark.parametrize("path", EXCHANGES)
async def test_an_exchange_accepts_the_form_body_of_rfc_6749(setup: Setup, path: str) -> None:
    answer = await setup.http.post(
        path,
        data={"grant_type": "authorization_code", "code": await setup.code(), "redirect_uri": "x"},
        auth=setup.processor.auth,
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("path", EXCHANGES)
async def test_malformed_exchanges_have_distinct_errors_and_do_not_consume_the_code(
    setup: Setup, path: str
) -> None:
    code = await setup.code()
    grant = "grant_type=authorization_code"
    post, auth = setup.http.post, setup.processor.auth
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
            await setup.exchange(code, path, headers={"Idempotency-Key": "k" * 256}),
            (400, "invalid_request"),
        ),
        (await setup.http.get(path, auth=auth), (405, "method_not_allowed_error")),
    ]
    for answer, expected in refusals:
        assert error_of(answer) == expected
        assert code not in answer.text
        assert answer.headers["cache-control"] == "no-store"
    assert refusals[-1][0].headers["allow"] == "POST"
    assert (await setup.exchange(code, path)).status_code == 200


@pytest.mark.parametrize("path", EXCHANGES)
async def test_unknown_expired_used_and_other_processors_codes_get_the_same_answer(
    setup: Setup, clock: MovableClock, path: str
) -> None:
    expired = await setup.code()
    clock.advance(timedelta(minutes=11))
    used, other_code = await setup.code(), await setup.code()
    await setup.exchange(used, path)
    other = await make_processor(setup.services)
    answers = [
        await setup.exchange("9nN-9D8_4Z3WYazx7-zXfmqsD3jwgL_2W927Sb3otI", path),
        await setup.exchange(used[:-1] + ("A" if used[-1] != "A" else "B"), path),
        await setup.exchange(expired, path),
        await setup.exchange(used, path),
        await setup.exchange(other_code, path, auth=other.auth),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(400, answers[0].text)}
    assert error_of(answers[0]) == (400, "invalid_grant")


@pytest.mark.parametrize("path", EXCHANGES)
async def test_an_unauthenticated_processor_gets_401_with_a_basic_challenge_and_no_reason(
    setup: Setup, path: str
) -> None:
    code = await setup.code()
    invalid: list[dict[str, Any]] = [
        {"auth": (setup.processor.guid, "guess")},
        {"auth": ("PPR-unknown", setup.processor.api_key)},
        {"auth": setup.client.auth},
        {"auth": None, "headers": {"Authorization": "Basic !!!"}},
        {"auth": None, "headers": {"Authorization": "Basic " + b64encode(b"no colon").decode()}},
        {"auth": None, "headers": {"Authorization": "Basic " + b64encode(b"\xff:\xfe").decode()}},
        {"auth": None, "headers": {"Authorization": f"Bearer {await setup.token()}"}},
    ]
    answers = [await setup.exchange(code, path, **more) for more in invalid]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    unauthenticated = await setup.exchange(code, path, auth=None)
    assert error_of(unauthenticated) == (401, "invalid_client")
    for answer in (*answers, unauthenticated):
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert (await setup.exchange(code, path)).status_code == 200


async def test_a_key_of_the_wrong_kind_is_logged_without_the_key_and_not_disclosed_to_the_caller(
    setup: Setup,
) -> None:
    code = await setup.code()
    with capture_logs() as logs:
        answers = [
            await setup.exchange(code, auth=setup.client.auth),
            await setup.http.get("/users", auth=setup.processor.auth),
            await setup.exchange(code, auth=(setup.processor.guid, "ccp_guess")),
        ]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert [(line["operation"], line["detail"]) for line in logs] == [
        ("exchangeCode", "The API key is a cck_ key; this endpoint requires a ccp_ key."),
        ("listUsers", "The API key is a ccp_ key; this endpoint requires a cck_ key."),
    ]
    for key in (setup.client.api_key, setup.processor.api_key):
        assert key[4:] not in str(logs)


async def test_a_replayed_code_revokes_its_token(setup: Setup, clock: MovableClock) -> None:
    code = await setup.code()
    token = (await setup.exchange(code)).json()["access_token"]
    assert error_of(await setup.exchange(code)) == (400, "invalid_grant")
    assert (await setup.read("/account/account_numbers", token)).status_code == 200
    clock.advance(timedelta(seconds=10))
    assert error_of(await setup.exchange(code)) == (400, "invalid_grant")
    assert error_of(await setup.read("/account/account_numbers", token)) == (401, "token_revoked")


async def test_a_retry_with_the_same_idempotency_key_gets_the_same_answer(setup: Setup) -> None:
    code = await setup.code()
    first, second = [await setup.exchange(code, headers={"Idempotency-Key": "one"}) for _ in range(2)]
    assert first.status_code == second.status_code == 200
    assert first.content == second.content


@pytest.mark.parametrize("path", READS)
async def test_a_request_without_a_valid_token_gets_the_challenge_of_rfc_6750(
    setup: Setup, path: str, clock: MovableClock
) -> None:
    token = await setup.token()
    unauthenticated = await setup.http.get(path)
    assert unauthenticated.status_code == 401
    assert unauthenticated.headers["www-authenticate"] == 'Bearer realm="coatcheck"'
    basic = await setup.http.get(path, auth=setup.processor.auth)
    assert (basic.status_code, basic.headers["www-authenticate"]) == (401, 'Bearer realm="coatcheck"')
    for invalid in ("x", token[:-1], token + "A", setup.processor.api_key, await setup.code()):
        answer = await setup.read(path, invalid)
        assert error_of(answer) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer realm="coatcheck", error="invalid_token"'
    in_url = await setup.http.get(f"{path}?access_token={token}")
    assert error_of(in_url) == (400, "invalid_request")
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        in_form = await setup.http.request("GET", path, data={"access_token": token}, headers=headers)
        assert error_of(in_form) == (400, "invalid_request")
    repeated = await setup.http.get(
        path, headers=[("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    )
    assert error_of(repeated) == (400, "invalid_request")
    assert (await setup.read(path, token)).status_code == 200
    assert (await setup.http.get(path, headers={"Authorization": f"bEaReR {token}"})).status_code == 200
    clock.advance(timedelta(days=60))
    expired = await setup.read(path, token)
    assert error_of(expired) == (401, "token_expired")
    assert expired.headers["www-authenticate"] == (
        'Bearer realm="coatcheck", error="invalid_token", error_description="token_expired"'
    )


async def test_a_token_without_read_protected_reads_balances_but_neither_numbers_nor_owners(
    setup: Setup,
) -> None:
    token = await setup.token(reads_protected=False)
    for path in ("/account/account_numbers", "/account/account_owners", "/account/account_owner"):
        answer = await setup.read(path, token)
        assert error_of(answer) == (403, "insufficient_scope")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert (await setup.read("/account/transactions", token)).status_code == 200
    account = (await setup.read("/payment_account", token)).json()["payment_account"]
    assert account["balance"] == 1000
    assert account["routing_number"] is None
    assert "1234567890" not in str(account)


async def test_numbers_are_integers_only_if_no_json_reader_loses_a_digit(setup: Setup) -> None:
    async def returned(number: str, routing: str, processor: Keyed = setup.processor) -> tuple[Any, Any]:
        user = await make_user(setup.services, setup.client)
        account = await make_account(setup.services, user, account_number=number, routing_number=routing)
        token = await make_token(setup.services, account, processor)
        (item,) = (await setup.read("/account/account_numbers", token)).json()["account_numbers"]
        payment_account = (await setup.read("/payment_account", token)).json()["payment_account"]
        assert (payment_account["account_number"], payment_account["routing_number"]) == (number, routing)
        return item["account_number"], item["routing_number"]

    with_strings = await make_processor(setup.services, setup.client, numbers_as_strings=True)
    assert await returned("6366816006", "242722023") == (6366816006, 242722023)
    assert await returned("0012345678", "091000019") == ("0012345678", "091000019")
    assert await returned("12345678901234567", "242722023") == ("12345678901234567", 242722023)
    assert await returned("6366816006", "242722023", with_strings) == ("6366816006", "242722023")


async def test_only_a_processor_with_owners_at_transactions_gets_owners_at_that_path(setup: Setup) -> None:
    with_owners = await make_processor(setup.services, setup.client, owners_at_transactions=True)
    owners = (await setup.read("/account/transactions", await setup.token(with_owners))).json()
    assert [owner["owner_name"] for owner in owners["account_owners"]] == ["Ada Example"]
    token = await setup.token()
    assert "transactions" in (await setup.read("/account/transactions", token)).json()
    at_owners = (await setup.read("/account/account_owners", token)).json()
    assert at_owners["account_owners"][0]["owner_name"] == "Ada Example"
    assert (await setup.read("/account/account_owner", token)).json() == at_owners
    unprotected = await setup.token(with_owners, reads_protected=False)
    assert error_of(await setup.read("/account/transactions", unprotected)) == (403, "insufficient_scope")


async def test_an_invalid_filter_is_400_only_for_a_processor_with_a_valid_token_that_reads_transactions(
    setup: Setup,
) -> None:
    path = "/account/transactions?from_date=x"
    assert error_of(await setup.read(path, await setup.token())) == (400, "invalid_request")
    assert error_of(await setup.read(path, "cct_0")) == (401, "invalid_token")
    with_owners = await make_processor(setup.services, setup.client, owners_at_transactions=True)
    assert "account_owners" in (await setup.read(path, await setup.token(with_owners))).json()


async def test_a_read_is_recorded_as_a_disclosure_to_the_processor_and_a_refusal_is_not(
    setup: Setup,
) -> None:
    async def disclosed() -> list[tuple[str, int]]:
        async with setup.services.db.connection() as connection:
            cursor = await connection.execute(
                "SELECT what, shown FROM disclosure WHERE reader_guid = %s", (setup.processor.guid,)
            )
            return await cursor.fetchall()

    refused = await setup.token(reads_protected=False)
    await setup.read("/account/account_numbers", refused)
    await setup.read("/account/account_numbers", "garbage")
    assert await disclosed() == []
    await setup.read("/account/account_numbers", await setup.token())
    assert await disclosed() == [("ACCOUNT_NUMBERS", 1)]


async def test_one_of_32_simultaneous_exchanges_succeeds_and_all_others_get_invalid_grant(
    setup: Setup,
) -> None:
    code = await setup.code()
    answers = await asyncio.gather(*(setup.exchange(code) for _ in range(32)))
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
async def test_the_version_is_negotiated_as_mx_does(
    setup: Setup, headers: dict[str, str], status: int
) -> None:
    token = await setup.token()
    answer = await setup.http.get(
        "/payment_account", headers={"Authorization": f"Bearer {token}", "Accept": "*/*"} | headers
    )
    assert answer.status_code == status
    if headers.get("Accept", "").startswith("application/vnd"):
        assert answer.headers["content-type"] == "application/vnd.mx.api.v1+json"


async def test_an_oversized_body_is_refused_with_and_without_content_length(setup: Setup) -> None:
    async def chunks() -> Any:
        for _ in range(5):
            yield b"x" * 65536

    whole = await setup.http.post("/users", content=b"x" * (256 * 1024 + 1), auth=setup.client.auth)
    streamed = await setup.http.post("/users", content=chunks(), auth=setup.client.auth)
    assert error_of(whole) == error_of(streamed) == (413, "content_too_large_error")


async def test_an_unknown_path_is_404_with_an_error_body(setup: Setup) -> None:
    answer = await setup.http.get("/users/USR-1/budgets", auth=setup.client.auth)
    assert answer.json() == {
        "error": {"message": "The object does not exist.", "status": "not_found", "type": "not_found_error"}
    }


async def test_a_client_revokes_the_token_of_one_processor_only(setup: Setup) -> None:
    other = await make_processor(setup.services, setup.client)
    token, kept = await setup.token(), await setup.token(other)
    listed = (await setup.http.get("/coatcheck/grants", auth=setup.client.auth)).json()["grants"]
    (grant,) = [each for each in listed if each["processor"]["guid"] == setup.processor.guid]
    assert (grant["status"], grant["account_guid"]) == ("active", setup.account.guid)
    assert token not in str(listed)
    path = f"/coatcheck/grants/{grant['guid']}/revoke"
    other_client = await make_client(setup.services)
    assert (await setup.http.post(path, auth=other_client.auth)).status_code == 404
    assert (await setup.http.post(path, auth=setup.client.auth)).status_code == 200
    assert error_of(await setup.read("/payment_account", token)) == (401, "token_revoked")
    assert (await setup.read("/payment_account", kept)).status_code == 200
    listed = (await setup.http.get("/coatcheck/grants", auth=setup.client.auth)).json()["grants"]
    assert {each["guid"]: each["revoked_by"] for each in listed}[grant["guid"]] == setup.client.guid
