"""Requests as real clients send them: what is accepted, and what a refusal names."""

import gzip
import json
import unicodedata
from datetime import timedelta
from typing import Any

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.model.accounts import Account
from tests.api_client import V1, V2, Api, connecting, refusal
from tests.factories import Keyed, make_transaction, make_user

JSON = {"Content-Type": "application/json"}
USER = json.dumps({"user": {"metadata": "m"}}).encode()
BROWSER_FIRST = [("Accept", "text/html"), ("Accept", "application/json")]


@pytest.mark.parametrize("path", ["widget_urls", "connect_widget_url"])
async def test_booleans_and_numbers_of_a_widget_may_be_text(api: Api, user: str, path: str) -> None:
    """MX's own proxy sends them so."""
    options: dict[str, Any] = {"is_mobile_webview": "true", "ui_message_version": "4"}
    options["ui_message_webview_url_scheme"] = "myapp"
    name = "config" if path == "connect_widget_url" else "widget_url"
    body = {name: options | ({"widget_type": "connect_widget"} if name == "widget_url" else {})}
    assert (await api.post(f"/users/{user}/{path}", json=body)).status_code == 200
    for wrong in ({"is_mobile_webview": "yes"}, {"ui_message_version": "5"}):
        answer = await api.post(f"/users/{user}/{path}", json={name: body[name] | wrong})
        assert refusal(answer) == (400, "invalid_request")


async def test_booleans_and_numbers_may_be_text_in_every_body_of_mxs_api(api: Api, user: str) -> None:
    account = {"name": "Jar", "account_type": "CASH", "is_hidden": "True", "balance": "12.5"}
    answer = (await api.post(f"/users/{user}/accounts", json={"account": account})).json()["account"]
    assert (answer["is_hidden"], answer["balance"]) == (True, 12.5)
    member = await api.post(f"/users/{user}/members", json=connecting(skip_aggregation="true"))
    assert (member.status_code, member.json()["member"]["is_being_aggregated"]) == (200, False)


async def test_text_is_no_boolean_in_our_own_api(api: Api) -> None:
    endpoint = {"url": "https://hooks.example.com/", "events": ["*"]}
    created = await api.post("/coatcheck/webhook_endpoints", json={"webhook_endpoint": endpoint})
    assert created.status_code in {200, 201}
    wrong = await api.post("/coatcheck/revocations", json={"revocation": {"user_guid": 5}})
    assert refusal(wrong) == (400, "invalid_request")
    grant = await api("PATCH", "/coatcheck/grants/TKN-1", json={"grant": {"max_reads": "5"}})
    assert grant.status_code in {400, 404}


async def test_a_byte_order_mark_before_the_body_is_ignored(api: Api) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        assert (await api.post("/users", content=mark + USER, headers=JSON)).status_code == 200
    answer = await api.post("/users", content=b"\xef\xbb\xbf" * 2 + USER, headers=JSON)
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "gzip, identity"])
async def test_a_compressed_body_is_415_and_says_what_to_send(api: Api, encoding: str) -> None:
    headers = {**JSON, "Content-Encoding": encoding}
    answer = await api.post("/users", content=gzip.compress(USER), headers=headers)
    assert refusal(answer) == (415, "unsupported_media_type_error")
    assert answer.headers["accept-encoding"] == "identity"
    for none in ("identity", "IDENTITY", ""):
        plain = await api.post("/users", content=USER, headers={**JSON, "Content-Encoding": none})
        assert plain.status_code == 200, none


async def test_a_compressed_body_is_refused_at_the_oauth_endpoints_and_in_the_widget_too(
    http: httpx.AsyncClient, processor: Keyed
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    answer = await http.post("/oauth/token", content=b"x", headers=headers, auth=processor.auth)
    assert (answer.status_code, answer.json()["error"]) == (415, "invalid_request")
    answer = await http.post("/md/api/consent", content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "media_type", ["APPLICATION/X-WWW-FORM-URLENCODED", "application/x-www-form-urlencoded ; charset=utf-8"]
)
async def test_the_content_type_of_an_exchange_may_be_in_capitals(
    http: httpx.AsyncClient, processor: Keyed, media_type: str
) -> None:
    body, headers = b"grant_type=authorization_code&code=none", {"Content-Type": media_type}
    answer = await http.post("/token", content=body, headers=headers, auth=processor.auth)
    assert refusal(answer) == (400, "invalid_grant")


@pytest.mark.parametrize("path", ["/token", "/payment_processor_token"])
@pytest.mark.parametrize("code", [{}, {"code": "none"}])
async def test_another_grant_type_is_named_as_the_reason_with_and_without_a_code(
    http: httpx.AsyncClient, processor: Keyed, path: str, code: dict[str, str]
) -> None:
    form = {"grant_type": "refresh_token"} | code
    answer = await http.post(path, data=form, auth=processor.auth)
    assert refusal(answer) == (400, "unsupported_grant_type")
    answer = await http.post(path, data=code, auth=processor.auth)
    assert refusal(answer) == (400, "invalid_request")


async def test_all_accept_headers_count(http: httpx.AsyncClient, client: Keyed) -> None:
    for headers in (BROWSER_FIRST, BROWSER_FIRST[::-1]):
        assert (await http.get("/users", auth=client.auth, headers=headers)).status_code == 200
    answer = await http.get("/users", auth=client.auth, headers=BROWSER_FIRST[:1] * 2)
    assert refusal(answer) == (406, "not_acceptable_error")


async def test_spaces_around_the_version_are_ignored(http: httpx.AsyncClient, client: Keyed) -> None:
    for version in (V1, V2):
        headers = {"Accept": "application/json", "Accept-Version": f" {version} "}
        assert (await http.get("/users", auth=client.auth, headers=headers)).status_code == 200
    headers = {"Accept": "application/json", "Accept-Version": "v2025 0224"}
    answer = await http.get("/users", auth=client.auth, headers=headers)
    assert refusal(answer) == (406, "not_acceptable_error")


async def test_a_date_without_hyphens_is_a_date(api: Api, services: Services, account: Account) -> None:
    now = services.clock.now()
    await make_transaction(services, account, date=now.date())
    yesterday, next_year = now.date() - timedelta(days=1), now.date().replace(year=now.year + 1, day=1)

    async def count(from_date: str) -> int:
        answer = await api.get(f"/users/{account.user_guid}/transactions", params={"from_date": from_date})
        assert answer.status_code == 200, answer.text
        found: int = answer.json()["pagination"]["total_entries"]
        return found

    assert await count(f"{yesterday:%Y%m%d}") == 1
    assert await count(f"{next_year:%Y%m%d}") == 0
    assert await count(str(int(now.timestamp()) - 86_400)) == 1
    answer = await api.get(f"/users/{account.user_guid}/transactions", params={"from_date": "20261301"})
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["accounts", "members", "transactions"])
async def test_an_unknown_use_case_is_refused_with_the_known_ones(api: Api, user: str, path: str) -> None:
    answer = await api.get(f"/users/{user}/{path}", params={"use_case": "GOLD"})
    assert refusal(answer) == (400, "invalid_request")
    assert answer.json()["error"]["message"] == "use_case must be one of MONEY_MOVEMENT, PFM."


@pytest.mark.parametrize("id", ["a b", "a/b", "ann@example.com", "a\n", "é"])
async def test_a_refused_id_of_a_user_names_what_is_allowed(api: Api, id: str) -> None:
    answer = await api.post("/users", json={"user": {"id": id}})
    assert answer.status_code == 400
    message = "user.id: it must be ASCII letters, digits, - and _."
    assert answer.json()["error"]["message"] == message


async def test_an_empty_user_is_refused_with_its_fields(api: Api, user: str) -> None:
    for answer in (
        await api.post("/users", json={"user": {}}),
        await api.put(f"/users/{user}", json={"user": {}}),
    ):
        assert answer.status_code == 400
        names = "email, id, is_disabled, metadata, skip_webhook"
        assert answer.json()["error"]["message"] == f"user: it must contain at least one of {names}."


@pytest.mark.parametrize(("size", "shown"), [(1000, 1000), (1001, 25), (10, 10), (9, 25)])
async def test_a_page_of_institutions_has_up_to_1000(api: Api, size: int, shown: int) -> None:
    page = (await api.get("/institutions", params={"records_per_page": size})).json()
    assert page["pagination"]["per_page"] == shown
    assert len(page["institutions"]) == min(shown, page["pagination"]["total_entries"])


async def test_a_login_is_one_login_in_both_unicode_forms(api: Api, services: Services) -> None:
    user = await make_user(services, api.caller)
    composed, decomposed = (unicodedata.normalize(form, "josé") for form in ("NFC", "NFD"))
    assert composed != decomposed
    path = f"/users/{user.guid}/members"
    assert (await api.post(path, json=connecting(composed, skip_aggregation=True))).status_code == 200
    answer = await api.post(path, json=connecting(decomposed, skip_aggregation=True))
    assert refusal(answer) == (409, "conflict_error")
