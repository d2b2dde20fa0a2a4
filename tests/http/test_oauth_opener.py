"""The message to the window that opened the bank's page: in a browser, without network."""

from typing import Any

import httpx
from playwright.async_api import Browser, Route

from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.model.widgets import WidgetAppearance
from tests.api_client import Api
from tests.bank_windows import start

APP = """<!doctype html><title>The opener</title>
<script>const received = []; addEventListener("message", ({ data }) => received.push(data));</script>"""
LISTED, OTHER, OURS = "https://app.example", "https://app.example:8443", "http://coatcheck.test"


async def received_by(api: Api, browser: Browser, opener: str, **member: Any) -> tuple[str, list[Any]]:
    """A member that is refused at the bank, and the messages that a page at `opener` receives."""
    fields = {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}
    created = await api.post(f"/users/{await api.create_user()}/members", json={"member": fields} | member)
    bank_url = httpx.URL(await start(api.http, created.json()["member"]["oauth_window_uri"]))
    back = f"{OURS}/oauth/callback?state={bank_url.params['state']}&error=access_denied"

    async def answer(route: Route) -> None:
        url = route.request.url
        if not url.startswith(f"{OURS}/oauth/"):
            await route.fulfill(body=APP, content_type="text/html")
            return
        page = await api.http.get(url)
        await route.fulfill(status=page.status_code, headers=dict(page.headers), body=page.content)

    context = await browser.new_context()
    await context.route("**/*", answer)
    page = await context.new_page()
    await page.goto(opener)
    async with page.expect_popup() as opening:
        await page.evaluate("url => void open(url)", back)
    window = await opening.value
    await window.wait_for_load_state()
    # Messages between two windows arrive in order, so that none is pending after this one.
    await window.evaluate("opener.postMessage('last', '*')")
    await page.wait_for_function("received.includes('last')")
    messages: list[Any] = await page.evaluate("received")
    await context.close()
    return created.json()["member"]["guid"], messages[:-1]


async def allow(api: Api, *origins: str) -> None:
    async with api.services.db.transaction() as connection:
        await put_widget_appearance(connection, api.caller.guid, WidgetAppearance(origins=list(origins)))


async def test_a_page_on_the_client_s_list_receives_the_result_and_the_member(
    api: Api, browser: Browser
) -> None:
    await allow(api, "https://another.example", LISTED)
    guid, messages = await received_by(api, browser, LISTED)
    metadata = {"member_guid": guid, "error_reason": "DENIED"}
    assert messages == [{"mx": True, "type": "oauthComplete/error", "metadata": metadata}]


async def test_our_own_page_receives_the_result_without_a_list(api: Api, browser: Browser) -> None:
    guid, messages = await received_by(api, browser, OURS)
    assert [message["metadata"]["member_guid"] for message in messages] == [guid]


async def test_a_page_of_client_redirect_url_receives_the_result(api: Api, browser: Browser) -> None:
    guid, messages = await received_by(api, browser, OTHER, client_redirect_url=f"{OTHER}/done")
    assert [message["metadata"]["member_guid"] for message in messages] == [guid]


async def test_a_page_that_is_not_on_the_list_receives_nothing(api: Api, browser: Browser) -> None:
    assert (await received_by(api, browser, OTHER))[1] == []
    await allow(api, LISTED, "http://localhost:*")
    assert (await received_by(api, browser, OTHER))[1] == []
    assert (await received_by(api, browser, LISTED, client_redirect_url=f"{OTHER}/done"))[1] == []
