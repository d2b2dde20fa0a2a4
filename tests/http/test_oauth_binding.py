"""A sign-in at a bank ends only in the browser in which its window was opened, and after the user was asked."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.server import create_app
from tests.api_client import Api
from tests.bank_windows import Inputs, come_back, decide, decide_at, start
from tests.factories import make_client
from tests.widget_client import oauth, open_page

OAUTH = {"member": {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}}


@asynccontextmanager
async def another_browser(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url=services.settings.base_url) as http:
        yield http


async def begin(api: Api, user: str, **more: Any) -> tuple[str, str]:
    """A PENDING member's guid, and its window."""
    created = await api.post(f"/users/{user}/members", json=OAUTH | more)
    member = created.json()["member"]
    return member["guid"], member["oauth_window_uri"]


async def status_of(api: Api, user: str, guid: str) -> str:
    member = (await api.get(f"/users/{user}/members/{guid}")).json()["member"]
    return str(member["connection_status"])


async def test_a_victim_s_browser_that_is_sent_the_bank_s_url_connects_nothing(api: Api, user: str) -> None:
    guid, window = await begin(api, user)
    at_bank = await start(api.http, window)
    async with another_browser(api.services) as victim:
        back = await decide_at(victim, at_bank, login="victim")
        page = await victim.get(back)
    assert (page.status_code, "not started here" in page.text) == (403, True)
    # The attacker cannot go on either: the state is used up.
    assert (await api.http.get(back)).status_code == 410
    assert (
        await api.http.post("/oauth/callback", data=dict(parse_qsl(urlsplit(back).query)))
    ).status_code == 410
    assert await status_of(api, user, guid) == "PENDING"
    async with api.services.db.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM sealed_secret WHERE owner_guid = %s", (user,))
        assert await cursor.fetchone() == (0,)


async def test_the_refusal_is_recorded_and_the_widget_sees_that_the_window_ended(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = (await page.send("POST", "/members", oauth(api)))["member"]
    at_bank = await start(api.http, member["oauth_window_uri"])
    async with another_browser(api.services) as victim:
        assert (await victim.get(await decide_at(victim, at_bank))).status_code == 403
    (state,) = (await page.get(f"/oauth_states?outbound_member_guid={member['guid']}"))["oauth_states"]
    assert (state["auth_status"], state["error_reason_name"]) == (3, "SESSION_ERROR")
    async with api.services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT body FROM audit_entry WHERE client_guid = %s", (api.caller.guid,)
        )
        entries = [json.loads(body) for (body,) in await cursor.fetchall()]
    (refused,) = [each for each in entries if each["action"] == "member.oauth_browser_refused"]
    assert refused["subject"] == member["guid"]


async def test_a_window_opens_in_one_browser_and_there_again(api: Api, user: str) -> None:
    _, window = await begin(api, user)
    first = await start(api.http, window)
    async with another_browser(api.services) as other:
        assert (await other.get(window)).status_code == 403
    assert await start(api.http, window) == first
    page = await come_back(api.http, await decide_at(api.http, first))
    assert 'data-type="oauthComplete/success"' in page.text


async def test_previews_of_a_window_do_not_bind_it(api: Api, user: str) -> None:
    _, window = await begin(api, user)
    async with another_browser(api.services) as preview:
        assert (await preview.head(window)).status_code == 405
        assert (await preview.get(window, headers={"Sec-Purpose": "prefetch"})).status_code == 503
    assert (await api.http.get(window)).status_code == 303


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 303), ("cross-site", 403), ("same-site", 403), ("none", 403), (None, 303)],
)
async def test_the_widget_s_window_opens_from_the_widget_only(
    api: Api, user: str, site: str | None, status: int
) -> None:
    page = await open_page(api, user)
    member = (await page.send("POST", "/members", oauth(api)))["member"]
    headers = {"Sec-Fetch-Site": site} if site else {}
    assert (await api.http.get(member["oauth_window_uri"], headers=headers)).status_code == status


@pytest.mark.parametrize("options", [{"is_mobile_webview": True}, {"oauth_referral_source": "APP"}])
async def test_an_app_opens_the_widget_s_window_itself(api: Api, user: str, options: dict[str, Any]) -> None:
    page = await open_page(api, user, **options)
    member = (await page.send("POST", "/members", oauth(api)))["member"]
    answer = await api.http.get(member["oauth_window_uri"], headers={"Sec-Fetch-Site": "none"})
    assert answer.status_code == 303


async def test_a_client_s_own_page_opens_the_window_of_the_api(api: Api, user: str) -> None:
    _, window = await begin(api, user)
    assert (await api.http.get(window, headers={"Sec-Fetch-Site": "cross-site"})).status_code == 303


async def test_the_question_names_the_bank_the_client_and_the_user(api: Api) -> None:
    user = await api.create_user(email="mia@example.com", id="mia")
    _, window = await begin(api, user, referral_source="APP", ui_message_webview_url_scheme="acme")
    back = await decide(api, window)
    page = await api.http.get(back)
    assert page.status_code == 200
    assert "<h1>Connect MXCU (OAuth) to Acme?</h1>" in page.text
    assert "for mia@example.com" in page.text
    assert re.findall("<button[^>]*>(.*?)</button>", page.text) == ["Connect", "Cancel"]
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' acme:; frame-ancestors 'none'" in policy
    assert (await api.http.get(back)).text == page.text, "a reload asks again"
    answer = await come_back(api.http, back)
    assert answer.headers["location"].startswith("acme://oauth_complete?status=success&")


async def test_a_name_with_markup_stays_text(api: Api) -> None:
    user = await api.create_user(email="<script>alert(1)</script>")
    _, window = await begin(api, user)
    page = await api.http.get(await decide(api, window))
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


async def test_cancel_connects_nothing(api: Api, user: str) -> None:
    page = await open_page(api, user)
    member = (await page.send("POST", "/members", oauth(api)))["member"]
    answer = await come_back(api.http, await decide(api, member["oauth_window_uri"]), "cancel")
    assert 'data-error-reason="CANCELLED"' in answer.text
    (state,) = (await page.get(f"/oauth_states?outbound_member_guid={member['guid']}"))["oauth_states"]
    assert (state["auth_status"], state["error_reason_name"]) == (3, "CANCELLED")
    assert await status_of(api, user, member["guid"]) == "DENIED"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_a_form_of_another_site_decides_nothing(api: Api, user: str, site: str) -> None:
    guid, window = await begin(api, user)
    back = await decide(api, window)
    form = {**Inputs((await api.http.get(back)).text).values, "decision": "connect"}
    answer = await api.http.post("/oauth/callback", data=form, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert await status_of(api, user, guid) == "PENDING"
    assert (await come_back(api.http, back)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"state=%ff", b"state=x&code=y&decision=connect", b"\xff", b"&".join([b"a=1"] * 11), b"a" * 20_000],
)
async def test_an_answer_that_is_none_is_refused(api: Api, body: bytes) -> None:
    answer = await api.http.post("/oauth/callback", content=body)
    assert answer.status_code in {400, 410}


@pytest.mark.parametrize(
    ("base_url", "name", "is_secure"),
    [
        ("https://coatcheck.example", "__Host-coatcheck_window", True),
        ("http://coatcheck.test", "coatcheck_window", False),
    ],
)
async def test_no_script_and_no_other_site_gets_the_cookie(
    services: Services, clock: MovableClock, base_url: str, name: str, is_secure: bool
) -> None:
    async with build(replace(services.settings, base_url=base_url), clock) as built:
        transport = httpx.ASGITransport(create_app(built))
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as http:
            api = Api(http, built, await make_client(built))
            _, window = await begin(api, await api.create_user())
            cookie = (await http.get(window)).headers["set-cookie"]
    value, *attributes = cookie.split("; ")
    assert value.startswith(f"{name}=")
    assert len(value) >= len(name) + 40
    expected = {"HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax"} | ({"Secure"} if is_secure else set())
    assert set(attributes) == expected
