"""The settings of a client's widget in the dashboard, and the page of their preview."""

import json
import re
from base64 import b64encode
from html import unescape

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.model.widgets import MAX_LOGO_BYTES, WidgetAppearance, widget_appearance
from coatcheck.staff.roles import CLIENT_ROLES, Role
from tests.factories import Keyed, make_processor
from tests.staff import Window, signed_in

LOGO = f"data:image/png;base64,{b64encode(bytes(MAX_LOGO_BYTES)).decode()}"
"""The largest that is allowed."""


@pytest.fixture
async def window(services: Services, http: httpx.AsyncClient, client: Keyed) -> Window:
    return await signed_in(services, http, Role.CLIENT_DEVELOPER, client, name="Dev Lee")


async def appearance_of(services: Services, client: Keyed) -> WidgetAppearance:
    async with services.db.connection() as connection:
        return await widget_appearance(connection, client.guid)


async def changes(services: Services, client: Keyed) -> list[tuple[str, str]]:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json -> 'detail' ->> 'actor_name', body::json -> 'detail' ->> 'changed'
               FROM audit_entry WHERE client_guid = %s AND body::json ->> 'action' = 'client.widget_changed'
               ORDER BY number""",
            (client.guid,),
        )
        return [(name, changed) for name, changed in await cursor.fetchall()]


async def test_the_look_is_saved_and_the_audit_log_names_what_changed(
    services: Services, window: Window, client: Keyed
) -> None:
    look = {"accent_color": "#0a7", "privacy_url": "https://app.example/privacy", "logo": LOGO}
    assert (await window.post("/dashboard/widget", **look)).status_code == 303
    assert await appearance_of(services, client) == WidgetAppearance([], **look)
    page = await window.get("/dashboard/widget")
    assert 'value="#0a7"' in page.text
    await window.post("/dashboard/widget", **look | {"accent_color": ""})
    await window.post("/dashboard/widget", **look | {"accent_color": ""})
    assert (await appearance_of(services, client)).accent_color is None
    assert await changes(services, client) == [
        ("Dev Lee", "accent_color,logo,privacy_url"),
        ("Dev Lee", "accent_color"),
    ]


async def test_the_pages_that_embed_the_widget_are_saved_and_leave_the_look(
    services: Services, window: Window, client: Keyed
) -> None:
    await window.post("/dashboard/widget", accent_color="#123456")
    path = "/dashboard/widget/origins"
    answer = await window.post(path, origins="https://App.example\r\nhttp://localhost:*\nhttps://app.example")
    assert answer.status_code == 303
    saved = await appearance_of(services, client)
    assert saved == WidgetAppearance(["https://app.example", "http://localhost:*"], accent_color="#123456")
    assert "https://app.example" in (await window.get("/dashboard/widget")).text
    await window.post(path, origins="")
    assert (await appearance_of(services, client)).origins == []


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/widget", {"accent_color": "red"}),
        ("/widget", {"privacy_url": "javascript:alert(1)"}),
        ("/widget", {"logo": "data:text/html;base64,AAAA"}),
        ("/widget", {"logo": "https://elsewhere.example/logo.png"}),
        ("/widget", {"logo": LOGO[:-4] + "AAAA" * 2}),
        ("/widget/origins", {"origins": "https://app.example/path"}),
        ("/widget/origins", {"origins": "https://ok.example *"}),
    ],
)
async def test_what_is_not_valid_is_refused_and_changes_nothing(
    services: Services, window: Window, client: Keyed, path: str, fields: dict[str, str]
) -> None:
    assert (await window.post(f"/dashboard{path}", **fields)).status_code == 400
    assert await appearance_of(services, client) == WidgetAppearance()
    assert await changes(services, client) == []


@pytest.mark.parametrize("role", CLIENT_ROLES)
async def test_administrators_and_developers_change_the_widget(
    services: Services, http: httpx.AsyncClient, client: Keyed, role: Role
) -> None:
    window = await signed_in(services, http, role, client)
    status = 200 if role in (Role.CLIENT_ADMIN, Role.CLIENT_DEVELOPER) else 403
    for path in ("/widget", "/widget/origins"):
        assert (await window.get(f"/dashboard{path}")).status_code == status


async def test_the_settings_frame_the_preview_with_the_names_that_a_user_would_see(
    services: Services, window: Window, client: Keyed
) -> None:
    await make_processor(services, client, name='Ledger "Books"')
    page = await window.get("/dashboard/widget")
    assert 'sandbox="allow-forms allow-scripts allow-same-origin"' in page.text
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    found = re.search(r"data-readers='([^']*)'", page.text)
    assert found
    assert json.loads(unescape(found[1])) == ['Ledger "Books"']


async def test_the_preview_has_no_session_no_client_and_can_send_nothing(http: httpx.AsyncClient) -> None:
    answer = await http.get("/md/preview?locale=es")
    policy = answer.headers["content-security-policy"]
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    )
    assert "set-cookie" not in answer.headers
    found = re.search(r'<script type="application/json" id="boot">(.*?)</script>', answer.text)
    assert found
    boot = json.loads(found[1])
    assert "session_token" not in boot
    assert (boot["session_guid"], boot["user_guid"], boot["client"]["name"]) == ("", "", "")
    assert (boot["locale"], boot["start"]["step"]) == ("es", "consent")
    assert 0 < len(boot["institutions"]) <= 5
    assert [each["field_type"] for each in boot["credentials"]] == [3, 1]
