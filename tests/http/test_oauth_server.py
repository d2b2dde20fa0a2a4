"""The OAuth endpoints: exchange, revocation, introspection and metadata (RFC 6749, 7009, 7662, 8414, 9728)."""

import asyncio
import json
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.crypto import base64url_sha256
from coatcheck.members.member_rows import change_member
from coatcheck.model.accounts import Account
from coatcheck.model.processor_authentication import ClientAuthentication, Profile, SenderConstraint
from coatcheck.model.statuses import ConnectionStatus
from tests.dpop import Holder, assertion, new_key
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_processor,
    make_token,
    make_user,
    scope_of,
)

URL = "/oauth/token"
VERIFIER = "v" * 43


@dataclass
class Setup:
    services: Services
    http: httpx.AsyncClient
    processor: Keyed
    account: Account

    async def code(self, **issued: Any) -> str:
        async with self.services.db.connection() as connection:
            return await self.services.issuer.issue_authenticated(
                connection, client_guid=self.account.client_guid, scope=scope_of(self.account), **issued
            )

    async def exchange(self, code: str, **more: Any) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, **more.pop("form", {})}
        return await self.http.post(URL, data=form, **{"auth": self.processor.auth} | more)

    async def read(self, token: str, path: str = "/account/account_numbers") -> httpx.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {token}"})

    async def post(self, path: str, auth: Any = None, **form: str) -> httpx.Response:
        return await self.http.post(path, data=form, auth=auth or self.processor.auth)

    async def audited(self, action: str) -> list[dict[str, Any]]:
        async with self.services.db.connection() as connection:
            cursor = await connection.execute(
                """SELECT body::jsonb FROM audit_entry WHERE body::jsonb ->> 'action' = %s
                   AND body::jsonb ->> 'actor' = %s""",
                (action, self.processor.guid),
            )
            return [body for (body,) in await cursor.fetchall()]

    async def use_assertions(self) -> Any:
        """Moves the processor to `private_key_jwt`, and returns its key."""
        key = new_key()
        jwks = json.dumps({"keys": [key.as_dict(private=False)]})
        settings = self.services.processors.security
        async with self.services.db.transaction() as connection:
            await settings.set_jwks(connection, self.processor.guid, jwks, actor="operator")
            await settings.set_client_authentication(
                connection, self.processor.guid, ClientAuthentication.PRIVATE_KEY_JWT, actor="operator"
            )
        return key


@pytest.fixture
async def setup(services: Services, http: httpx.AsyncClient) -> Setup:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    return Setup(services, http, processor, account)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error", "error_description"}
    assert all(isinstance(value, str) for value in body.values())
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    return answer.status_code, body["error"]


async def test_an_exchange_answers_in_the_shape_of_rfc_6749(setup: Setup) -> None:
    answer = await setup.exchange(await setup.code())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "grant_receipt"}
    assert body["token_type"] == "Bearer"
    assert type(body["expires_in"]) is int
    assert body["expires_in"] == 60 * 86400
    assert f"account-guid:{setup.account.guid}" in body["scope"].split()
    assert body["grant_receipt"].count(".") == 2
    assert (await setup.read(body["access_token"])).status_code == 200


async def test_the_key_is_accepted_in_the_form_and_percent_encoded_in_the_header(setup: Setup) -> None:
    guid, key = setup.processor.auth
    in_form = {"client_id": guid, "client_secret": key}
    assert (await setup.exchange(await setup.code(), auth=None, form=in_form)).status_code == 200
    encoded = "".join(f"%{byte:02X}" for byte in guid.encode()) + ":" + key.replace("_", "%5F")
    header = {"Authorization": f"Basic {b64encode(encoded.encode()).decode()}"}
    assert (await setup.exchange(await setup.code(), auth=None, headers=header)).status_code == 200


async def test_malformed_exchanges_have_distinct_errors_and_do_not_redeem_the_code(setup: Setup) -> None:
    code = await setup.code()
    guid, key = setup.processor.auth
    form = {"grant_type": "authorization_code", "code": code}
    post, auth = setup.http.post, setup.processor.auth
    typed = {"Content-Type": "application/x-www-form-urlencoded"}
    grant = "grant_type=authorization_code"
    refusals: list[tuple[httpx.Response, tuple[int, str]]] = [
        (await post(URL, auth=auth), (400, "invalid_request")),
        (await post(URL, data={"code": code}, auth=auth), (400, "invalid_request")),
        (await post(URL, data={**form, "code": ""}, auth=auth), (400, "invalid_request")),
        (await post(URL, data={**form, "grant_type": ""}, auth=auth), (400, "invalid_request")),
        (
            await post(URL, data={**form, "grant_type": "password"}, auth=auth),
            (400, "unsupported_grant_type"),
        ),
        (await post(URL, data={"grant_type": "refresh_token"}, auth=auth), (400, "unsupported_grant_type")),
        (await post(URL, json=form, auth=auth), (400, "invalid_request")),
        (
            await post(f"{URL}?code={code}", data={"grant_type": form["grant_type"]}, auth=auth),
            (400, "invalid_request"),
        ),
        (await post(f"{URL}?code={code}", data=form, auth=auth), (400, "invalid_request")),
        (await post(f"{URL}?client_secret={key}", data=form, auth=auth), (400, "invalid_request")),
        (
            await post(URL, content=f"{grant}&code={code}&code={code}", headers=typed, auth=auth),
            (400, "invalid_request"),
        ),
        (
            await post(URL, content=f"{grant}&code={code}&x=1&x=1", headers=typed, auth=auth),
            (400, "invalid_request"),
        ),
        (await post(URL, content=b"code=%ff", headers=typed, auth=auth), (400, "invalid_request")),
        (await post(URL, content=b"\xff", headers=typed, auth=auth), (400, "invalid_request")),
        (
            await post(URL, content="&".join(["a=1"] * 101), headers=typed, auth=auth),
            (400, "invalid_request"),
        ),
        (await post(URL, content=b"a" * 70_000, headers=typed, auth=auth), (413, "invalid_request")),
        (await post(URL, data={**form, "client_secret": key}, auth=auth), (400, "invalid_request")),
        (await post(URL, data={**form, "client_assertion": "a.b.c"}, auth=auth), (400, "invalid_request")),
        (await post(URL, data={**form, "client_id": "PPR-other"}, auth=auth), (400, "invalid_request")),
        (
            await post(URL, data={**form, "client_id": guid, "client_assertion": "a.b.c"}),
            (400, "invalid_request"),
        ),
        (await setup.exchange(code, headers={"Idempotency-Key": "k" * 256}), (400, "invalid_request")),
        (await setup.http.get(URL, auth=auth), (405, "invalid_request")),
    ]
    for answer, expected in refusals:
        assert error_of(answer) == expected, answer.request.content
        assert code not in answer.text
        assert key not in answer.text
    assert refusals[-1][0].headers["allow"] == "POST"
    assert (await setup.exchange(code, form={"client_id": guid, "x": "1"})).status_code == 200


async def test_a_processor_that_does_not_authenticate_gets_one_answer_and_the_code_stays(
    setup: Setup,
) -> None:
    code = await setup.code()
    guid, key = setup.processor.auth
    other = await make_processor(setup.services)
    refused = [
        await setup.exchange(code, auth=(guid, "guess")),
        await setup.exchange(code, auth=(guid, other.api_key)),
        await setup.exchange(code, auth=("PPR-unknown", key)),
        await setup.exchange(code, auth=("PPR-\0", key)),
        await setup.exchange(code, auth=None, form={"client_id": guid, "client_secret": "guess"}),
        await setup.exchange(code, auth=None, headers={"Authorization": f"Bearer {key}"}),
        await setup.exchange(code, auth=None, headers={"Authorization": "Basic !"}),
    ]
    assert {(answer.text, error_of(answer)) for answer in refused} == {
        (refused[0].text, (401, "invalid_client"))
    }
    refused += [
        await setup.exchange(code, auth=None),
        await setup.exchange(code, auth=None, form={"client_id": guid}),
        await setup.exchange(code, auth=None, form={"client_secret": key}),
        await setup.exchange(code, auth=None, form={"client_id": "PPR-\0", "client_secret": key}),
    ]
    for answer in refused:
        assert error_of(answer) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
        assert key not in answer.text
    assert (await setup.exchange(code)).status_code == 200
    recorded = await setup.audited("processor.authentication_refused")
    assert [each["detail"]["reason"] for each in recorded] == ["The API key is wrong or has expired."] * 3
    assert recorded[0]["detail"]["address"] == "127.0.0.1"
    assert {each["detail"]["request_id"] for each in recorded} <= {
        answer.headers["x-request-id"] for answer in refused
    }
    assert key not in str(recorded)


async def test_what_exceeds_60_refusals_in_a_minute_is_counted_in_the_next_entry(
    setup: Setup, clock: MovableClock
) -> None:
    guid, _ = setup.processor.auth
    for _ in range(63):
        await setup.exchange("x", auth=(guid, "guess"))
    assert len(await setup.audited("processor.authentication_refused")) == 60
    clock.advance(timedelta(minutes=1))
    await setup.exchange("x", auth=(guid, "guess"))
    recorded = await setup.audited("processor.authentication_refused")
    assert [each["detail"]["suppressed"] for each in recorded if "suppressed" in each["detail"]] == ["3"]


async def test_unknown_expired_used_and_other_processors_codes_get_the_same_answer(
    setup: Setup, clock: MovableClock
) -> None:
    expired = await setup.code()
    clock.advance(timedelta(minutes=11))
    used, others = await setup.code(), await setup.code()
    await setup.exchange(used)
    other = await make_processor(setup.services)
    answers = [
        await setup.exchange("x"),
        await setup.exchange(expired),
        await setup.exchange(used),
        await setup.exchange(others, auth=other.auth),
    ]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert {error_of(answer) for answer in answers} == {(400, "invalid_grant")}
    assert (await setup.exchange(others)).status_code == 200


async def test_one_of_32_concurrent_exchanges_gets_a_token_and_a_later_replay_revokes_it(
    setup: Setup, clock: MovableClock
) -> None:
    code = await setup.code()
    answers = await asyncio.gather(*(setup.exchange(code) for _ in range(32)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 31}
    (token,) = (answer.json()["access_token"] for answer in answers if answer.status_code == 200)
    assert (await setup.read(token)).status_code == 200
    clock.advance(timedelta(seconds=11))
    assert error_of(await setup.exchange(code)) == (400, "invalid_grant")
    assert (await setup.read(token)).status_code == 401


async def test_a_retry_with_the_same_idempotency_key_gets_the_same_token(setup: Setup) -> None:
    code = await setup.code()
    first, second = [await setup.exchange(code, headers={"Idempotency-Key": "one"}) for _ in range(2)]
    assert first.json()["access_token"] == second.json()["access_token"]


# --- PKCE ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [URL, "/token", "/payment_processor_token"])
async def test_a_code_with_a_challenge_needs_its_verifier_and_one_without_refuses_a_verifier(
    setup: Setup, path: str
) -> None:
    async def exchange(code: str, **form: str) -> int:
        form = {"grant_type": "authorization_code", "code": code, **form}
        return (await setup.http.post(path, data=form, auth=setup.processor.auth)).status_code

    code = await setup.code(code_challenge=base64url_sha256(VERIFIER.encode()))
    assert await exchange(code) == 400
    assert await exchange(code, code_verifier="w" * 43) == 400
    assert await exchange(code, code_verifier=base64url_sha256(VERIFIER.encode())) == 400
    assert await exchange(code, code_verifier=VERIFIER) == 200
    without = await setup.code()
    assert await exchange(without, code_verifier=VERIFIER) == 400
    assert await exchange(without, code_verifier="") == 200


async def test_a_retry_with_an_idempotency_key_needs_the_verifier_too(setup: Setup) -> None:
    code = await setup.code(code_challenge=base64url_sha256(VERIFIER.encode()))
    sent = {"headers": {"Idempotency-Key": "retry"}}
    first = await setup.exchange(code, form={"code_verifier": VERIFIER}, **sent)
    for form in ({}, {"code_verifier": "w" * 43}):
        assert error_of(await setup.exchange(code, form=form, **sent)) == (400, "invalid_grant")
    again = await setup.exchange(code, form={"code_verifier": VERIFIER}, **sent)
    assert again.json()["access_token"] == first.json()["access_token"]


async def test_a_client_sends_the_challenge_with_the_request_for_the_code(
    setup: Setup, services: Services
) -> None:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))

    async def request(**fields: str) -> httpx.Response:
        body = {"authorization_code": {"scope": str(scope_of(account)), **fields}}
        return await setup.http.post("/authorization_code", json=body, auth=client.auth)

    challenge = base64url_sha256(VERIFIER.encode())
    for invalid in (
        {"code_challenge": challenge, "code_challenge_method": "plain"},
        {"code_challenge": "short"},
        {"code_challenge": challenge + "\n"},
    ):
        assert (await request(**invalid)).status_code == 400
    for valid in (
        {"code_challenge": challenge},
        {"code_challenge": challenge, "code_challenge_method": "S256"},
    ):
        code = (await request(**valid)).json()["authorization_code"]["code"]
        answer = await setup.exchange(code, auth=processor.auth, form={"code_verifier": VERIFIER})
        assert answer.status_code == 200


# --- private_key_jwt -------------------------------------------------------------------------------------------


async def test_a_signed_assertion_authenticates_once_and_the_api_key_no_more(setup: Setup) -> None:
    key, now = await setup.use_assertions(), setup.services.clock.now()
    for audience in ("http://coatcheck.test", "http://coatcheck.test/oauth/token"):
        form = assertion(key, setup.processor.guid, now, aud=audience)
        assert (await setup.exchange(await setup.code(), auth=None, form=form)).status_code == 200
        replayed = await setup.exchange(await setup.code(), auth=None, form=form)
        assert error_of(replayed) == (401, "invalid_client")
    code = await setup.code()
    assert error_of(await setup.exchange(code)) == (401, "invalid_client")
    query = {"grant_type": "authorization_code", "code": code}
    assert (await setup.http.post("/token", params=query, auth=setup.processor.auth)).status_code == 401
    named = assertion(key, setup.processor.guid, now) | {"client_id": setup.processor.guid}
    assert (await setup.exchange(code, auth=None, form=named)).status_code == 200


async def test_the_api_key_of_a_processor_with_another_method_lists_no_grants(setup: Setup) -> None:
    await setup.exchange(await setup.code())
    listed = await setup.http.get("/coatcheck/grants", auth=setup.processor.auth)
    assert len(listed.json()["grants"]) == 1
    await setup.use_assertions()
    grant = listed.json()["grants"][0]["guid"]
    for path in ("/coatcheck/grants", f"/coatcheck/grants/{grant}"):
        refused = await setup.http.get(path, auth=setup.processor.auth)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "invalid_client")


async def test_a_wrong_assertion_is_refused_in_one_answer_and_audited_with_its_reason(setup: Setup) -> None:
    key, now = await setup.use_assertions(), setup.services.clock.now()
    code, guid = await setup.code(), setup.processor.guid
    stranger = await make_processor(setup.services)
    wrong = [
        assertion(new_key(), guid, now),
        assertion(key, guid, now, aud="http://other.test"),
        assertion(key, guid, now, exp=int(now.timestamp()) - 60),
        assertion(key, guid, now, iat=int(now.timestamp()) + 120),
        assertion(key, guid, now, sub="PPR-other"),
        assertion(key, stranger.guid, now),
        assertion(key, "PPR-unknown", now),
        {**assertion(key, guid, now), "client_assertion": "a.b.c"},
    ]
    answers = [await setup.exchange(code, auth=None, form=form) for form in wrong]
    assert {(answer.text, error_of(answer)) for answer in answers} == {
        (answers[0].text, (401, "invalid_client"))
    }
    form = assertion(key, guid, now) | {"client_assertion_type": "x"}
    assert error_of(await setup.exchange(code, auth=None, form=form)) == (400, "invalid_request")
    recorded = [each["detail"]["reason"] for each in await setup.audited("processor.authentication_refused")]
    assert len(recorded) == 5
    assert all(reason.startswith("The client assertion is refused: ") for reason in recorded)
    assert (await setup.exchange(code, auth=None, form=assertion(key, guid, now))).status_code == 200


async def test_of_32_requests_with_one_assertion_one_is_authenticated(setup: Setup) -> None:
    key, now = await setup.use_assertions(), setup.services.clock.now()
    form = assertion(key, setup.processor.guid, now) | {"token": "x"}
    answers = await asyncio.gather(*(setup.http.post("/oauth/introspect", data=form) for _ in range(32)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 31}


# --- revocation and introspection -------------------------------------------------------------------------------


async def test_a_processor_revokes_its_own_token_at_once_and_nothing_else(setup: Setup) -> None:
    token = await make_token(setup.services, setup.account, setup.processor)
    kept = await make_token(setup.services, setup.account, setup.processor)
    for hint in ({}, {"token_type_hint": "refresh_token"}):
        answer = await setup.post("/oauth/revoke", token=token, **hint)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert (await setup.read(token)).status_code == 401
    assert (await setup.read(kept)).status_code == 200
    assert len(await setup.audited("token.revoked")) == 1
    for unknown in ("x", "cct_0", kept[:-1]):
        answer = await setup.post("/oauth/revoke", token=unknown)
        assert (answer.status_code, answer.content) == (200, b"")


async def test_revoking_the_token_of_another_processor_has_no_effect_and_is_audited(setup: Setup) -> None:
    other = await make_processor(setup.services, Keyed(setup.account.client_guid, ""))
    token = await make_token(setup.services, setup.account, other)
    answer = await setup.post("/oauth/revoke", token=token)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await setup.read(token)).status_code == 200
    (recorded,) = await setup.audited("token.revocation_refused")
    assert recorded["client_guid"] == setup.account.client_guid
    assert token not in str(recorded)


async def test_introspection_shows_the_state_of_an_own_token_only(setup: Setup, clock: MovableClock) -> None:
    token = await make_token(setup.services, setup.account, setup.processor)
    shown = (await setup.post("/oauth/introspect", token=token)).json()
    assert set(shown) == {
        "active", "scope", "client_id", "token_type", "exp", "iat", "sub", "aud", "iss", "jti",
    }  # fmt: skip
    assert shown["active"] is True
    assert shown["client_id"] == setup.processor.guid
    assert shown["sub"] == setup.account.user_guid
    assert shown["aud"] == shown["iss"] == "http://coatcheck.test"
    assert shown["exp"] - shown["iat"] in {60 * 86400 - 1, 60 * 86400}
    revoked = await make_token(setup.services, setup.account, setup.processor)
    await setup.post("/oauth/revoke", token=revoked)
    other = await make_processor(setup.services, Keyed(setup.account.client_guid, ""))
    foreign = await make_token(setup.services, setup.account, other)
    for inactive in (revoked, foreign, "x", "cct_0", setup.processor.api_key, token[:-1]):
        answer = await setup.post("/oauth/introspect", token=inactive)
        assert (answer.status_code, answer.json()) == (200, {"active": False})
    clock.advance(timedelta(days=60))
    assert (await setup.post("/oauth/introspect", token=token)).json() == {"active": False}


async def test_a_token_that_cannot_read_now_is_not_active(setup: Setup) -> None:
    exhausted = await make_token(setup.services, setup.account, setup.processor, atoms="max-reads:1")
    assert (await setup.post("/oauth/introspect", token=exhausted)).json()["active"] is True
    assert (await setup.read(exhausted)).status_code == 200
    assert (await setup.post("/oauth/introspect", token=exhausted)).json() == {"active": False}
    token = await make_token(setup.services, setup.account, setup.processor)
    for status, is_active in (("DISCONNECTED", False), ("CONNECTED", True)):
        async with setup.services.db.transaction() as connection:
            await change_member(
                connection,
                setup.account.user_guid,
                setup.account.member_guid,
                {"connection_status": ConnectionStatus(status)},
            )
        assert (await setup.post("/oauth/introspect", token=token)).json()["active"] is is_active


@pytest.mark.parametrize("path", ["/oauth/revoke", "/oauth/introspect"])
async def test_revocation_and_introspection_need_authentication_and_a_token(setup: Setup, path: str) -> None:
    token = await make_token(setup.services, setup.account, setup.processor)
    assert error_of(await setup.http.post(path, data={"token": token})) == (401, "invalid_client")
    refused = await setup.post(path, auth=(setup.processor.guid, "guess"), token=token)
    assert error_of(refused) == (401, "invalid_client")
    assert error_of(await setup.post(path)) == (400, "invalid_request")
    assert error_of(await setup.post(f"{path}?token={token}")) == (400, "invalid_request")
    assert (await setup.read(token)).status_code == 200


# --- metadata ----------------------------------------------------------------------------------------------------


async def test_the_metadata_names_the_configured_address_whatever_the_host_header_says(setup: Setup) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    server = (await setup.http.get("/.well-known/oauth-authorization-server", headers=headers)).json()
    resource = (await setup.http.get("/.well-known/oauth-protected-resource", headers=headers)).json()
    assert "evil.example" not in str([server, resource])
    assert server["issuer"] == "http://coatcheck.test"
    assert server["token_endpoint"] == "http://coatcheck.test/oauth/token"
    assert server["revocation_endpoint"] == "http://coatcheck.test/oauth/revoke"
    assert server["introspection_endpoint"] == "http://coatcheck.test/oauth/introspect"
    assert server["code_challenge_methods_supported"] == ["S256"]
    assert {"ES256", "PS256"} <= set(server["dpop_signing_alg_values_supported"])
    assert server["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "self_signed_tls_client_auth",
    ]
    assert (await setup.http.get(server["jwks_uri"])).json()["keys"]
    assert resource["resource"] == "http://coatcheck.test"
    assert resource["authorization_servers"] == [server["issuer"]]
    assert resource["bearer_methods_supported"] == ["header"]


# --- FAPI 2.0 ------------------------------------------------------------------------------------------------------


async def test_fapi_2_needs_a_fresh_code_a_bound_token_and_no_secret(
    setup: Setup, clock: MovableClock
) -> None:
    key = await setup.use_assertions()
    guid, settings = setup.processor.guid, setup.services.processors.security
    async with setup.services.db.transaction() as connection:
        await settings.set_sender_constraint(connection, guid, SenderConstraint.DPOP, actor="operator")
        await settings.set_profile(connection, guid, Profile.FAPI2, actor="operator")
    late = await setup.code()
    clock.advance(timedelta(seconds=61))
    code, holder = await setup.code(), Holder(clock.now())

    async def exchange(code: str, *, aud: Any = "http://coatcheck.test", **more: Any) -> httpx.Response:
        form = assertion(key, guid, clock.now(), aud=aud)
        headers = {"DPoP": holder.proof("POST", URL)}
        return await setup.exchange(code, **{"auth": None, "form": form, "headers": headers} | more)

    query = {"grant_type": "authorization_code", "code": code}
    assert (await setup.http.post("/token", params=query, auth=setup.processor.auth)).status_code == 401
    assert error_of(await exchange(code, auth=setup.processor.auth, form={})) == (401, "invalid_client")
    assert error_of(await exchange(code, headers={})) == (400, "invalid_dpop_proof")
    assert error_of(await exchange(late)) == (400, "invalid_grant")
    for audience in ("http://coatcheck.test/oauth/token", ["http://coatcheck.test"]):
        assert error_of(await exchange(code, aud=audience)) == (401, "invalid_client")
    body = (await exchange(code)).json()
    assert body["token_type"] == "DPoP"
    assert (await setup.read(body["access_token"])).status_code == 401
