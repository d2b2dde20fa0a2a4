"""The widget's session: its lifetime, its user, and the consent."""

import re
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from structlog.testing import capture_logs

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.client_rows import set_client_disabled
from coatcheck.server import create_app
from coatcheck.widget.routes import ROUTES
from tests.api_client import Api
from tests.factories import make_processor
from tests.widget_client import DEPOSIT, link, oauth, open_page, signing_in

# --- the session ---------------------------------------------------------------------------------------


async def test_a_request_without_a_session_is_refused(api: Api) -> None:
    for token in ("", "cws_nonsense", f"cct_{'0' * 52}"):
        answer = await api.http.get("/md/api/start", headers={"X-Widget-Session": token})
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "session_over")
    assert (await api.get("/md/api/start")).status_code == 401, "a client's key opens the API alone"


async def test_a_session_ends_when_it_is_idle_for_half_an_hour(
    api: Api, user: str, clock: MovableClock
) -> None:
    page = await open_page(api, user)
    for _ in range(3):
        clock.advance(timedelta(minutes=29))
        await page.get("/start")
    clock.advance(timedelta(minutes=31))
    assert await page.refused("GET", "/start") == (401, "session_over")


async def test_a_session_ends_after_two_hours_even_if_it_is_used(
    api: Api, user: str, clock: MovableClock
) -> None:
    page = await open_page(api, user)
    for _ in range(5):
        clock.advance(timedelta(minutes=20))
        await page.get("/start")
    clock.advance(timedelta(minutes=21))
    assert await page.refused("GET", "/start") == (401, "session_over")


async def test_a_session_ends_when_its_user_is_disabled_or_deleted(api: Api) -> None:
    disabled, deleted = await api.create_user(), await api.create_user()
    pages = [await open_page(api, each) for each in (disabled, deleted)]
    await api.put(f"/users/{disabled}", json={"user": {"is_disabled": True}})
    await api.delete(f"/users/{deleted}")
    for page in pages:
        assert await page.refused("GET", "/start") == (401, "session_over")


async def test_a_session_ends_when_its_client_is_disabled(api: Api, services: Services, user: str) -> None:
    page, url = await open_page(api, user), await link(api, user)
    async with services.db.transaction() as connection:
        await set_client_disabled(connection, api.caller.guid, True)
    assert await page.refused("GET", "/start") == (401, "session_over")
    assert (await api.http.get(url)).status_code == 410


async def test_another_process_accepts_the_session(
    api: Api, user: str, settings: Settings, clock: MovableClock
) -> None:
    page = await open_page(api, user)
    async with build(settings, clock) as restarted:
        transport = httpx.ASGITransport(create_app(restarted))
        async with httpx.AsyncClient(transport=transport, base_url=settings.base_url) as http:
            same_page = replace(page, api=replace(api, http=http, services=restarted))
            assert (await same_page.get("/start"))["step"] == "search"


async def test_only_the_hash_of_a_session_is_stored_and_its_token_is_in_no_log(api: Api, user: str) -> None:
    with capture_logs() as logs:
        page = await open_page(api, user)
        await page.get("/start")
        await page.refused("GET", "/members/MBR-none")
        await page("POST", "/members", content=b"{")
    token = page.boot["session_token"]
    assert token not in repr(logs)
    assert token not in repr(page.boot["config"])
    async with api.services.db.connection() as connection:
        for table in ("widget_session", "audit_event", "link", "disclosure"):
            cursor = await connection.execute(f"SELECT * FROM {table}")
            assert token not in repr(await cursor.fetchall())
        cursor = await connection.execute(
            "SELECT length(session_hash) FROM widget_session WHERE user_guid = %s", (user,)
        )
        assert await cursor.fetchone() == (32,)


async def test_only_the_session_s_own_user_is_accessible(api: Api, user: str) -> None:
    other = await api.create_user()
    other_page = await open_page(api, other, mode="verification")
    member = await other_page.connect("ann", "challenge")
    pending = (await other_page.send("POST", "/members", oauth(api)))["member"]
    state = (await other_page.get(f"/oauth_states?outbound_member_guid={pending['guid']}"))["oauth_states"][0]
    deposit = (await other_page.send("POST", "/micro_deposits", DEPOSIT))["micro_deposit"]
    page = await open_page(api, user, mode="verification")
    guid = member["guid"]
    values = {"credentials": [{"guid": "CRD-1", "value": "x"}]}
    for method, path, body in (
        ("GET", f"/members/{guid}", None),
        ("PUT", f"/members/{guid}", values),
        ("DELETE", f"/members/{guid}", None),
        ("GET", f"/members/{guid}/credentials", None),
        ("PUT", f"/members/{guid}/mfa", values),
        ("POST", f"/members/{guid}/jobs", {}),
        ("GET", f"/members/{pending['guid']}/oauth_window_uri", None),
        ("GET", f"/members/{guid}/accounts", None),
        ("POST", f"/members/{guid}/account_selection", {"account_guid": "ACT-1"}),
        ("GET", f"/jobs/{member['most_recent_job_guid']}", None),
        ("GET", f"/oauth_states/{state['guid']}", None),
        ("GET", f"/micro_deposits/{deposit['guid']}", None),
        (
            "PUT",
            f"/micro_deposits/{deposit['guid']}/verify",
            {"deposit_amount_1": "1", "deposit_amount_2": "2"},
        ),
    ):
        assert await page.refused(method, path, body) == (404, "not_found"), (method, path)
    assert (await page.get("/members"))["members"] == []
    again = await open_page(api, other)
    assert await again.refused("GET", f"/oauth_states/{state['guid']}") == (404, "not_found")
    assert (await again.get("/oauth_states"))["oauth_states"] == []
    assert (await other_page.get(f"/members/{guid}"))["step"] == "mfa"


async def test_every_route_refuses_requests_without_a_session_and_other_methods(api: Api) -> None:
    for route in ROUTES:
        path = "/md/api" + re.sub(r"{\w+}", "x", route.path)
        answer = await api.http.request(route.method, path, json={})
        assert answer.status_code == 401, route
        assert answer.headers["cache-control"] == "no-store"
        refused = await api.http.request("PATCH", path)
        assert (refused.status_code, route.method in refused.headers["allow"]) == (405, True)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"", (400, "invalid_request")),
        (b"{", (400, "invalid_request")),
        (b"[]", (400, "invalid_request")),
        (b'{"institution_guid": 7}', (400, "invalid_request")),
        (b'{"institution_guid": "INS-none"}', (404, "not_found")),
        (b'{"institution_guid": "\\u0000"}', (400, "invalid_request")),
        (b"[" * 60_000, (400, "invalid_request")),
        (b" " * 70_000, (413, "content_too_large")),
    ],
)
async def test_an_invalid_body_is_refused(api: Api, user: str, body: bytes, refusal: tuple[int, str]) -> None:
    page = await open_page(api, user)
    answer = await page("POST", "/members", content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == refusal


async def test_answers_are_compressed_if_the_request_accepts_gzip(api: Api, user: str) -> None:
    page = await open_page(api, user)
    headers = {"X-Widget-Session": page.boot["session_token"]}
    plain = await api.http.get("/md/api/institutions", headers=headers | {"Accept-Encoding": "identity"})
    compressed = await api.http.get("/md/api/institutions", headers=headers | {"Accept-Encoding": "br, gzip"})
    refused = await api.http.get("/md/api/institutions", headers=headers | {"Accept-Encoding": "gzip;q=0"})
    assert (plain.headers.get("content-encoding"), compressed.headers["content-encoding"]) == (None, "gzip")
    assert "content-encoding" not in refused.headers
    assert plain.json() == compressed.json()
    assert int(compressed.headers["content-length"]) < int(plain.headers["content-length"]) / 3


# --- consent -------------------------------------------------------------------------------------------


async def test_nothing_is_connected_before_the_user_agreed(api: Api, user: str) -> None:
    page = await open_page(api, user, mode="verification", consented=False)
    start = await page.get("/start")
    assert (start["step"], start["consent_needed"]) == ("consent", True)
    for path, body in (("/members", signing_in(api, "ann", "x")), ("/micro_deposits", DEPOSIT)):
        assert await page.refused("POST", path, body) == (403, "consent_required")
    assert await page.refused("POST", "/consent", {"accepted": False}) == (400, "invalid_request")
    assert (await page.get("/members"))["members"] == []
    await page.consent()
    start = await page.get("/start")
    assert (start["step"], start["consent_needed"]) == ("search", False)
    assert (await page.connect())["step"] in {"connected", "accountSelect"}


async def test_the_consent_lists_what_is_shared(api: Api, services: Services, user: str) -> None:
    await make_processor(services, api.caller, name="Zeta Pay")
    await make_processor(services, api.caller, name="Acme Pay")
    await make_processor(services, api.caller, name="Gone Pay", is_disabled=True)
    await make_processor(services, name="Pay of another client")
    page = await open_page(api, user)
    assert (await page.get("/start"))["consent"] == {
        "shares": ["accounts", "transactions"],
        "selects_accounts": False,
        "refreshes": "daily",
        "readers": ["Acme Pay", "Zeta Pay"],
        "reading_days": 60,
        "privacy_url": None,
    }
    page = await open_page(api, user, mode="verification", include_identity=True)
    consent = (await page.get("/start"))["consent"]
    assert consent["shares"] == ["accounts", "account_numbers", "identity"]
    assert consent["refreshes"] == "once"


async def test_a_consent_is_in_the_audit_log(api: Api, services: Services, user: str) -> None:
    await make_processor(services, api.caller, name="Acme Pay")
    page = await open_page(api, user)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body::jsonb FROM audit_entry WHERE client_guid = %s ORDER BY guid", (api.caller.guid,)
        )
        events = {body["action"]: body for (body,) in await cursor.fetchall()}
    consented, opened = events["widget.consented"], events["widget.opened"]
    assert (consented["actor"], opened["subject"]) == (user, page.boot["session_guid"])
    assert consented["detail"] == {
        "session_guid": page.boot["session_guid"],
        "shares": "accounts,transactions",
        "refreshes": "daily",
        "readers": "Acme Pay",
    }
