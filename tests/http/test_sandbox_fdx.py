"""The FDX bank of a sandbox: registration, consent, tokens, reads, and what it refuses."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from tests.api_client import Api
from tests.databases import copied_database
from tests.fdx_bank import BANK, CALLBACK, FDX, METADATA, VERIFIER, FdxApp
from tests.sandbox_members import by_login, sandbox_api


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with sandbox_api(settings) as api:
        yield api


@pytest.fixture
async def app(api: Api) -> FdxApp:
    app = FdxApp(api.http)
    assert (await app.register()).status_code == 201
    return app


def issuer(app: FdxApp) -> str:
    return f"http://coatcheck.test{BANK}"


def move(api: Api, by: timedelta) -> None:
    assert isinstance(api.services.clock, MovableClock)
    api.services.clock.advance(by)


# --- where it is --------------------------------------------------------------------------------------------


async def test_a_production_server_has_no_fdx_bank(http: Any) -> None:
    for path in (METADATA, f"{BANK}/oauth/authorize", f"{FDX}/accounts"):
        assert (await http.get(path)).status_code == 404
    assert (await http.post(f"{BANK}/oauth/register", json={})).status_code == 404


async def test_the_metadata_name_every_endpoint(app: FdxApp) -> None:
    metadata = (await app.http.get(METADATA)).json()
    assert metadata["issuer"] == issuer(app)
    assert metadata["pushed_authorization_request_endpoint"] == f"{issuer(app)}/oauth/par"
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "private_key_jwt"]


async def test_the_same_seed_and_the_same_calls_give_the_same_secrets(
    settings: Settings, server_url: str
) -> None:
    async def made(seed: int) -> list[Any]:
        with copied_database(server_url) as url:
            async with sandbox_api(replace(settings, database_url=url), seed=seed) as api:
                app = FdxApp(api.http)
                bodies = [(await app.register()).json(), (await app.push()).json()]
                tokens = (await app.consent()).tokens
                refreshed = (await app.refresh(tokens["refresh_token"])).json()
                assert refreshed["access_token"] != tokens["access_token"]
                return [*[{**each, "client_id_issued_at": 0} for each in bodies], tokens, refreshed]

    first, other = await made(7), await made(8)
    assert await made(7) == first
    for one, another in zip(first, other, strict=True):
        assert one != another


# --- clients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {"redirect_uris": []},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": "https://app.example"},
        {"token_endpoint_auth_method": "none"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}},
    ],
)
async def test_unusable_client_metadata_are_refused(api: Api, metadata: dict[str, Any]) -> None:
    answer = await FdxApp(api.http).register(**metadata)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


async def test_a_client_with_a_wrong_secret_gets_no_token(app: FdxApp) -> None:
    code = (await app.sign_in("mxuser", app.request()))["code"]
    wrong = await replace(app, secret="wrong").exchange(code)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert (await app.exchange(code)).status_code == 200


async def test_a_client_signs_its_assertion(api: Api) -> None:
    key = ECKey.generate_key("P-256", {"kid": "a"})
    app = FdxApp(api.http)
    registered = await app.register(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.as_dict(private=False)]}
    )
    assert "client_secret" not in registered.json()
    code = (await app.sign_in("mxuser", app.request()))["code"]

    def assertion(signing_key: ECKey) -> dict[str, str]:
        now = int(api.services.clock.now().timestamp())
        claims = {"iss": app.client_id, "sub": app.client_id, "aud": issuer(app), "jti": str(uuid4())}
        signed = jwt.encode({"alg": "ES256", "kid": "a"}, claims | {"iat": now, "exp": now + 60}, signing_key)
        return {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": signed,
        }

    parameters = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    foreign = assertion(ECKey.generate_key("P-256", {"kid": "a"}))
    refused = await app.http.post(f"{BANK}/oauth/token", data=parameters | foreign)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    accepted = await app.http.post(f"{BANK}/oauth/token", data=parameters | assertion(key))
    assert accepted.status_code == 200


async def test_a_client_without_credentials_is_refused(app: FdxApp) -> None:
    for endpoint in ("token", "par", "revoke"):
        answer = await app.http.post(f"{BANK}/oauth/{endpoint}", data={"client_id": app.client_id})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


# --- consent ------------------------------------------------------------------------------------------------


async def test_the_user_signs_in_and_allows(app: FdxApp) -> None:
    answer = await app.sign_in("mxuser", app.request())
    assert (answer["state"], answer["iss"]) == ("of-this-window", issuer(app))
    tokens = (await app.exchange(answer["code"])).json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert "fdx:transactions:read" in tokens["scope"].split()


async def test_a_pushed_request_is_used_once(app: FdxApp) -> None:
    pushed = await app.push()
    assert (pushed.status_code, pushed.json()["expires_in"]) == (201, 60)
    parameters = {"client_id": app.client_id, "request_uri": pushed.json()["request_uri"]}
    assert "code" in await app.sign_in("mxuser", parameters)
    again = await app.http.get(f"{BANK}/oauth/authorize", params=parameters)
    assert again.status_code == 400


async def test_a_pushed_request_expires(api: Api, app: FdxApp) -> None:
    pushed = (await app.push()).json()["request_uri"]
    move(api, timedelta(seconds=61))
    parameters = {"client_id": app.client_id, "request_uri": pushed}
    assert (await app.http.get(f"{BANK}/oauth/authorize", params=parameters)).status_code == 400


async def test_a_pushed_request_of_another_client_is_refused(api: Api, app: FdxApp) -> None:
    other = FdxApp(api.http)
    await other.register()
    pushed = (await app.push()).json()["request_uri"]
    answer = await app.http.get(
        f"{BANK}/oauth/authorize", params={"client_id": other.client_id, "request_uri": pushed}
    )
    assert answer.status_code == 400


async def test_denying_returns_access_denied(app: FdxApp) -> None:
    answer = await app.sign_in("mxuser", app.request(), decision="deny")
    assert answer == {"error": "access_denied", "state": "of-this-window", "iss": issuer(app)}


@pytest.mark.parametrize("redirect_uri", ["https://elsewhere.example", f"{CALLBACK}/more", ""])
async def test_an_unregistered_redirect_uri_is_never_followed(app: FdxApp, redirect_uri: str) -> None:
    answer = await app.http.get(f"{BANK}/oauth/authorize", params=app.request(redirect_uri=redirect_uri))
    assert (answer.status_code, answer.headers.get("location")) == (400, None)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type": "FDX_CONSENT"}]'}, "invalid_authorization_details"),
    ],
)
async def test_a_wrong_request_is_answered_with_its_error(
    app: FdxApp, changes: dict[str, str], error: str
) -> None:
    answer = await app.http.get(f"{BANK}/oauth/authorize", params=app.request(**changes))
    assert answer.status_code == 303
    assert f"error={error}" in answer.headers["location"]
    pushed = await app.push(**changes)
    assert (pushed.status_code, pushed.json()["error"]) == (400, error)


async def test_an_unknown_control_in_the_login_is_refused_on_the_page(app: FdxApp) -> None:
    with pytest.raises(AssertionError, match="control that the sandbox bank does not know"):
        await app.sign_in("mxuser+nonsense", app.request())


# --- tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{"code_verifier": "x" * 43}, {"redirect_uri": "https://elsewhere.example"}]
)
async def test_a_code_belongs_to_its_request(app: FdxApp, changes: dict[str, str]) -> None:
    code = (await app.sign_in("mxuser", app.request()))["code"]
    answer = await app.exchange(code, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_code_expires_after_a_minute(api: Api, app: FdxApp) -> None:
    code = (await app.sign_in("mxuser", app.request()))["code"]
    move(api, timedelta(seconds=61))
    assert (await app.exchange(code)).status_code == 400


async def test_a_code_of_another_client_is_refused(api: Api, app: FdxApp) -> None:
    other = FdxApp(api.http)
    await other.register()
    code = (await app.sign_in("mxuser", app.request()))["code"]
    assert (await other.exchange(code)).json()["error"] == "invalid_grant"


async def test_a_code_that_is_used_twice_ends_its_consent(app: FdxApp) -> None:
    code = (await app.sign_in("mxuser", app.request()))["code"]
    tokens = (await app.exchange(code)).json()
    assert (await app.exchange(code)).json()["error"] == "invalid_grant"
    answer = await app.http.get(
        f"{FDX}/accounts", headers={"authorization": f"Bearer {tokens['access_token']}"}
    )
    assert answer.status_code == 401


async def test_a_refresh_token_is_replaced_and_its_reuse_ends_the_consent(app: FdxApp) -> None:
    consent = await app.consent()
    old = consent.tokens["refresh_token"]
    consent.tokens = (await app.refresh(old)).json()
    assert consent.tokens["refresh_token"] != old
    assert (await consent.get("/accounts")).status_code == 200
    assert (await app.refresh(old)).json()["error"] == "invalid_grant"
    assert (await app.refresh(consent.tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await consent.get("/accounts")).status_code == 401


async def test_a_token_that_was_never_issued_ends_nothing(app: FdxApp) -> None:
    consent = await app.consent()
    assert (await app.refresh(f"{consent.id}.guessed")).json()["error"] == "invalid_grant"
    assert (await consent.get("/accounts")).status_code == 200


async def test_an_access_token_expires_after_15_minutes(api: Api, app: FdxApp) -> None:
    consent = await app.consent()
    move(api, timedelta(minutes=15))
    answer = await consent.get("/accounts")
    assert (answer.status_code, answer.json()["code"]) == (401, 602)
    assert (await app.refresh(consent.tokens["refresh_token"])).status_code == 200


async def test_a_client_revokes_its_own_token_only(api: Api, app: FdxApp) -> None:
    consent = await app.consent()
    other = FdxApp(api.http)
    await other.register()
    for owner, status in ((other, 200), (app, 401)):
        token = {"token": consent.tokens["refresh_token"]}
        assert (await api.http.post(f"{BANK}/oauth/revoke", data=token, auth=owner.basic)).status_code == 200
        assert (await consent.get("/accounts")).status_code == status


async def test_another_grant_type_is_refused(app: FdxApp) -> None:
    answer = await app.token(grant_type="password")
    assert answer.json()["error"] == "unsupported_grant_type"


# --- reads --------------------------------------------------------------------------------------------------


async def test_a_consent_opens_what_it_includes_and_no_more(app: FdxApp) -> None:
    consent = await app.consent(scope="fdx:accountbasic:read")
    (account, *_) = (await consent.read("/accounts"))["accounts"]
    for path in ("", "/contact", "/payment-networks", "/transactions", "/statements"):
        answer = await consent.get(f"/accounts/{account['accountId']}{path}")
        assert (answer.status_code, answer.json()["code"]) == (403, 706), path
    assert (await consent.get("/customers/current")).status_code == 403


async def test_no_token_and_a_foreign_token_open_nothing(app: FdxApp) -> None:
    await app.consent()
    for headers in ({}, {"authorization": "Bearer nothing"}, {"authorization": "Basic nothing"}):
        answer = await app.http.get(f"{FDX}/accounts", headers=headers)
        assert (answer.status_code, answer.json()) == (
            401,
            {"code": 602, "message": "Customer not authorized"},
        )


async def test_the_fdx_bank_has_the_data_of_the_native_connector(api: Api, app: FdxApp) -> None:
    member = await by_login(api, [])
    native = {each["account_number"]: each for each in await member.listed("accounts")}
    numbers = {
        each["account_number"]: each["routing_number"] for each in await member.listed("account_numbers")
    }
    consent = await app.consent("ann+persona=salaried")
    listed = (await consent.read("/accounts"))["accounts"]
    assert {each["accountNumberDisplay"] for each in listed} == set(native)
    for each in listed:
        path = f"/accounts/{each['accountId']}"
        entity = await consent.read(path)
        balance = next(
            entity[name] for name in ("currentBalance", "principalBalance", "currentValue") if name in entity
        )
        assert Decimal(str(balance)) == Decimal(str(native[each["accountNumberDisplay"]]["balance"]))
        for network in (await consent.read(f"{path}/payment-networks"))["paymentNetworks"]:
            assert numbers[network["identifier"]] == network["bankId"]
    owner = (await member.listed("account_owners"))[0]
    contact = await consent.read(f"/accounts/{listed[0]['accountId']}/contact")
    (holder,) = contact["holders"]
    assert f"{holder['name']['first']} {holder['name']['last']}" == owner["owner_name"]
    assert contact["emails"] == [owner["email"]]


async def test_a_list_is_read_page_by_page(app: FdxApp) -> None:
    consent = await app.consent()
    account = (await consent.read("/accounts", limit=1))["accounts"][0]["accountId"]
    everything = (await consent.read(f"/accounts/{account}/transactions", limit=500))["transactions"]
    found: list[Any] = []
    offset: str | None = "0"
    while offset is not None:
        page = await consent.read(f"/accounts/{account}/transactions", limit=7, offset=offset)
        found += page["transactions"]
        assert page["page"]["totalElements"] == len(everything)
        offset = page["page"].get("nextOffset")
    assert found == everything
    assert len({each["transactionId"] for each in found}) == len(found) > 14


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"offset": "x"}, 401),
        ({"limit": "0"}, 401),
        ({"startTime": "yesterday"}, 702),
        ({"startTime": "2026-11-02", "endTime": "2026-11-01"}, 703),
    ],
)
async def test_wrong_parameters_are_refused_in_fdx_shape(
    app: FdxApp, parameters: dict[str, str], code: int
) -> None:
    consent = await app.consent()
    account = (await consent.read("/accounts"))["accounts"][0]["accountId"]
    answer = await consent.get(f"/accounts/{account}/transactions", **parameters)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_an_account_of_another_customer_is_not_found(app: FdxApp) -> None:
    ann, ben = await app.consent("ann"), await app.consent("ben")
    account = (await ann.read("/accounts"))["accounts"][0]["accountId"]
    for path in ("", "/contact", "/payment-networks", "/transactions", "/statements"):
        answer = await ben.get(f"/accounts/{account}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, 701)


async def test_statements_are_listed_and_read_as_pdf(app: FdxApp) -> None:
    consent = await app.consent()
    account = (await consent.read("/accounts"))["accounts"][0]["accountId"]
    listed = (await consent.read(f"/accounts/{account}/statements"))["statements"]
    assert len(listed) == 12
    answer = await app.http.get(listed[0]["links"][0]["href"], headers=consent.headers)
    assert answer.content.startswith(b"%PDF")
    missing = await consent.get(f"/accounts/{account}/statements/none")
    assert missing.status_code == 404


async def test_a_consent_looks_back_as_far_as_it_says(api: Api, app: FdxApp) -> None:
    details = [
        {
            "type": "FDX_CONSENT",
            "consentRequest": {
                "durationType": "TIME_BOUND",
                "durationPeriod": 30,
                "lookbackPeriod": 14,
                "resources": [
                    {"resourceType": "ACCOUNT", "dataClusters": ["ACCOUNT_DETAILED", "TRANSACTIONS"]}
                ],
            },
        }
    ]
    consent = await app.consent(authorization_details=json.dumps(details))
    assert consent.tokens["authorization_details"] == details
    account = (await consent.read("/accounts"))["accounts"][0]["accountId"]
    rows = (await consent.read(f"/accounts/{account}/transactions", startTime="2025-01-01"))["transactions"]
    entity = await consent.read(f"/consents/{consent.id}")
    assert (entity["lookbackPeriod"], entity["durationPeriod"]) == (14, 30)
    assert entity["resources"][0]["dataClusters"] == ["ACCOUNT_DETAILED", "TRANSACTIONS"]
    oldest = min(row["transactionTimestamp"] for row in rows)[:10]
    assert oldest >= str((api.services.clock.now() - timedelta(days=14)).date())


async def test_a_revoked_consent_says_so_and_opens_nothing(app: FdxApp) -> None:
    consent = await app.consent()
    assert (await consent.get(f"/consents/{consent.id}/revocation")).status_code == 404
    assert (await consent.revoke()).status_code == 204
    assert (await consent.get("/accounts")).status_code == 401
    assert (await consent.read(f"/consents/{consent.id}"))["status"] == "REVOKED"
    (revocation,) = (await consent.read(f"/consents/{consent.id}/revocation"))["revocations"]
    assert (revocation["reason"], revocation["initiator"]) == ("USER_ACTION", "INDIVIDUAL")
    assert (await consent.revoke()).status_code == 409
    assert (await app.refresh(consent.tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_consent_is_shown_to_its_own_token_only(app: FdxApp) -> None:
    first, second = await app.consent(), await app.consent()
    assert (await first.get(f"/consents/{second.id}")).status_code == 404
    body = {"reason": "USER_ACTION", "initiator": "INDIVIDUAL"}
    foreign = await app.http.put(f"{FDX}/consents/{second.id}/revocation", json=body, headers=first.headers)
    assert foreign.status_code == 404
    wrong = await app.http.put(f"{FDX}/consents/{first.id}/revocation", json={}, headers=first.headers)
    assert wrong.status_code == 400


async def test_a_consent_expires(api: Api, app: FdxApp) -> None:
    consent = await app.consent()
    move(api, timedelta(days=365))
    assert (await app.refresh(consent.tokens["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("control", "status", "code"),
    [
        ("http_500", 500, 500),
        ("http_503", 503, 503),
        ("timeout", 504, 501),
        ("http_429=5s", 429, 1203),
        ("locked", 403, 706),
        ("consent_revoked", 401, 602),
        ("login_closed", 404, 601),
    ],
)
async def test_a_control_of_the_login_fails_the_read(
    app: FdxApp, control: str, status: int, code: int
) -> None:
    answer = await (await app.consent(f"mxuser+{control}")).get("/accounts")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("5" if status == 429 else None)


async def test_a_control_truncates_the_answer(app: FdxApp) -> None:
    answer = await (await app.consent("mxuser+truncated_body")).get("/accounts")
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_the_first_refresh_is_taken_for_a_reused_token(app: FdxApp) -> None:
    consent = await app.consent("mxuser+token_reuse")
    assert (await consent.get("/accounts")).status_code == 200
    refused = await app.refresh(consent.tokens["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await consent.get("/accounts")).status_code == 401
    (revocation,) = (await consent.read(f"/consents/{consent.id}/revocation"))["revocations"]
    assert (revocation["reason"], revocation["initiator"]) == ("BUSINESS_RULE", "DATA_PROVIDER")


async def test_an_account_is_listed_and_not_readable_after_the_first_refresh(app: FdxApp) -> None:
    consent = await app.consent("mxuser+unreadable_account")
    first, second, *_ = (each["accountId"] for each in (await consent.read("/accounts"))["accounts"])
    assert (await consent.get(f"/accounts/{first}")).status_code == 200
    consent.tokens = (await app.refresh(consent.tokens["refresh_token"])).json()
    assert first in {each["accountId"] for each in (await consent.read("/accounts"))["accounts"]}
    for path in ("", "/transactions", "/payment-networks"):
        answer = await consent.get(f"/accounts/{first}{path}")
        assert (answer.status_code, answer.json()["code"]) == (403, 706)
        assert (await consent.get(f"/accounts/{second}{path}")).status_code == 200


async def test_the_default_period_is_that_of_the_bank_s_own_day(api: Api, app: FdxApp) -> None:
    day = api.services.clock.now().date() - timedelta(days=400)
    consent = await app.consent(f"mxuser+clock={day}")
    account = (await consent.read("/accounts"))["accounts"][0]["accountId"]
    given = {"startTime": day - timedelta(days=90), "limit": 500}
    expected = await consent.read(f"/accounts/{account}/transactions", **given)
    assert await consent.read(f"/accounts/{account}/transactions", limit=500) == expected
    assert expected["transactions"]
    # Two years before the bank's day, and not before the server's.
    oldest = await consent.read(
        f"/accounts/{account}/transactions", startTime=day - timedelta(days=700), limit=500
    )
    assert min(each["transactionTimestamp"] for each in oldest["transactions"])[:10] < str(
        day - timedelta(days=600)
    )
    assert len((await consent.read(f"/accounts/{account}/statements"))["statements"]) == 12


async def test_a_tokenized_number_says_that_it_is_one(app: FdxApp) -> None:
    consent = await app.consent("mxuser+tokenized_number")
    (account, *_) = (await consent.read("/accounts"))["accounts"]
    networks = (await consent.read(f"/accounts/{account['accountId']}/payment-networks"))["paymentNetworks"]
    assert {each["identifierType"] for each in networks} == {"TOKENIZED_ACCOUNT_NUMBER"}
    assert not networks[0]["identifier"].endswith(account["accountNumberDisplay"])


async def test_the_interaction_id_is_returned(app: FdxApp) -> None:
    consent = await app.consent()
    headers = consent.headers | {"x-fapi-interaction-id": "a1"}
    for path in ("/accounts", "/accounts/none"):
        answer = await app.http.get(f"{FDX}{path}", headers=headers)
        assert answer.headers["x-fapi-interaction-id"] == "a1"
