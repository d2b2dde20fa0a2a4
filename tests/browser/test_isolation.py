"""Isolation: allowed origins, no secrets in messages or storage, no markup from outside."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Frame, Page

from coatcheck.app import build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.model.widgets import WidgetAppearance
from coatcheck.server import create_app
from tests.api_client import Api
from tests.browser.hostile import BANK, OAUTH_BANK, PLANTED, HostileBank
from tests.browser.scene import Embedded, Scene, Site, open_scene
from tests.connector_setup import register_connector
from tests.factories import make_client
from tests.member_setup import until
from tests.widget_client import link

SECRETS = ("ccl_", "cws_", "cck_")


async def allow(scene: Scene, *origins: str) -> None:
    async with scene.services.db.transaction() as connection:
        await put_widget_appearance(
            connection, scene.api.caller.guid, WidgetAppearance(origins=list(origins))
        )


async def frames(page: Page, url: str) -> bool:
    """Whether a frame of this page shows the widget."""
    await page.evaluate("(url) => embed('frame', url)", url)
    frame = await (await page.wait_for_selector("iframe")).content_frame()
    assert frame is not None
    return await shows_widget(frame)


async def shows_widget(frame: Frame) -> bool:
    """Whether the page in the frame, once it has arrived, is the widget. The browser's own page follows a refusal."""

    async def has_arrived() -> bool:
        return frame.url not in {"", "about:blank"}

    await until(has_arrived)
    await frame.wait_for_load_state()
    return await frame.locator("#app").count() > 0


# --- allowed origins -----------------------------------------------------------------------------------


async def test_a_page_that_is_not_on_the_allow_list_neither_frames_it_nor_gets_a_message(
    scene: Scene,
) -> None:
    await allow(scene, scene.app.origin)
    page = await scene.context.new_page()
    await page.goto(scene.app.origin)
    assert await frames(page, await link(scene.api, scene.user))
    other = Site(scene.app.port, "127.0.0.1")
    await page.goto(other.origin)
    assert not await frames(page, await link(scene.api, scene.user))
    assert await page.evaluate("received") == []


async def test_without_an_allow_list_no_other_origin_frames_the_page(scene: Scene) -> None:
    await allow(scene)
    page = await scene.context.new_page()
    await page.goto(scene.app.origin)
    assert not await frames(page, await link(scene.api, scene.user))


async def test_an_allowed_page_inside_a_foreign_page_does_not_show_the_widget(scene: Scene) -> None:
    await allow(scene, scene.app.origin)
    page = await scene.context.new_page()
    await page.goto(Site(scene.app.port, "127.0.0.1").origin)
    await page.evaluate("(url) => embed('frame', url)", scene.app.origin)
    middle = page.frames[1]
    await middle.wait_for_function("typeof embed === 'function'")
    await middle.evaluate("(url) => embed('frame', url)", await link(scene.api, scene.user))
    inner = await (await middle.wait_for_selector("iframe")).content_frame()
    assert inner is not None
    assert not await shows_widget(inner)
    assert await middle.evaluate("received") == []


async def test_a_foreign_page_that_opens_a_window_gets_no_message(scene: Scene) -> None:
    """A framing policy does not prevent a window from being opened, so messages go to allowed origins only."""
    await allow(scene, "https://app.example")
    page = await scene.context.new_page()
    await page.goto(scene.app.origin)
    async with page.expect_popup() as popup:
        await page.evaluate("(url) => { window.open(url) }", await link(scene.api, scene.user))
    window = await popup.value
    widget = Embedded(scene, window, window.main_frame)
    await widget.connect()
    await widget.sees("MX Bank is connected")
    assert await window.evaluate("window.opener !== null")
    assert await page.evaluate("received") == []


async def test_the_widget_ignores_messages_of_a_page_that_is_not_on_the_list(scene: Scene) -> None:
    await allow(scene, "https://app.example")
    page = await scene.context.new_page()
    await page.goto(scene.app.origin)
    async with page.expect_popup() as popup:
        url = await link(scene.api, scene.user)
        await page.evaluate("(url) => { window.opened = window.open(url) }", url)
    window = await popup.value
    widget = Embedded(scene, window, window.main_frame)
    await widget.agree()
    await widget.choose("MX Bank")
    await widget.sees("Sign in to MX Bank")
    back = '{"mx": true, "type": "mx/navigation", "payload": {"action": "back"}}'
    await page.evaluate("(back) => opened.postMessage(back, '*')", back)
    await widget.sign_in()  # the page did not go back
    await widget.sees("MX Bank is connected")


async def test_no_message_or_request_contains_a_secret(scene: Scene) -> None:
    widget = await scene.embed()
    await widget.connect(login="mxuser", password="s3cret-of-mine")
    await widget.sees("MX Bank is connected")
    posted = str(await widget.messages())
    requested = " ".join(url for url in scene.requested if "/md/connect/" not in url)
    for secret in (*SECRETS, "s3cret-of-mine"):
        assert secret not in posted + requested
    assert await widget.frame.evaluate("location.href") == f"{scene.server.origin}/md/connect"
    assert await scene.context.cookies() == []


async def test_nothing_but_the_session_of_the_tab_is_stored_in_the_browser(scene: Scene) -> None:
    widget = await scene.open()
    await widget.connect()
    await widget.sees("MX Bank is connected")
    assert await scene.context.storage_state(indexed_db=True) == {"cookies": [], "origins": []}
    kept = await widget.frame.evaluate(
        "Object.values(sessionStorage).map((each) => Object.keys(JSON.parse(each)))"
    )
    assert kept == [["link", "token", "member"]]
    assert await widget.frame.evaluate("history.length") <= 3, (
        "the blank page, this one, and one to go back from"
    )


# --- markup in texts from outside ----------------------------------------------------------------------


@pytest.fixture
async def hostile(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: Settings,
    clock: MovableClock,
    server: Site,
    app: Site,
    browser: Browser,
) -> AsyncIterator[Scene]:
    """Services with a hostile bank and a client with a hostile name."""
    monkeypatch.syspath_prepend(register_connector(tmp_path, "hostile", HostileBank))
    async with build(replace(settings, connectors=("sandbox", "hostile")), clock) as services:
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url=server.origin) as http:
            api = Api(http, services, await make_client(services, name=PLANTED))
            async with open_scene(services, api, server, app, browser) as one:
                await allow(one, app.origin)
                await one.context.add_init_script(
                    """window.effects = [];
                    window.planted = () => effects.push("ran");
                    document.addEventListener("securitypolicyviolation", ({ blockedURI }) => {
                      // Firefox asks for the icon of a page that names none.
                      if (!blockedURI.endsWith("/favicon.ico")) effects.push(blockedURI);
                    });"""
                )
                yield one


async def is_text(widget: Embedded) -> None:
    """The planted markup is visible as text and had no effect."""
    shown = await widget.frame.locator("body").inner_text()
    assert PLANTED in shown
    assert await widget.frame.evaluate("effects") == []
    assert await widget.frame.locator('img[src="x"], [onload], [onerror], b, body script').count() == 0
    assert await widget.frame.locator('[href^="javascript:"]').count() == 0


@pytest.mark.parametrize(
    "kind",
    [
        "TEXT",
        "IMAGE_OPTIONS",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("OPTIONS", "IMAGE_DATA", "TOKEN")),
    ],
)
async def test_markup_in_names_labels_questions_and_accounts_stays_text(hostile: Scene, kind: str) -> None:
    widget = await hostile.embed(mode="verification")
    await widget.sees(f"Connect your bank to {PLANTED}")
    await is_text(widget)
    await widget.agree()
    await widget.search("Signs in")
    await widget.frame.get_by_role("button", name=BANK).click()
    await widget.sees(f"Sign in to {BANK}")
    await is_text(widget)
    await widget.frame.get_by_label("LOGIN").fill("mallory")
    await widget.frame.locator('input[type="password"]').fill(kind)
    await widget.press("Continue")
    await widget.sees("Enter your code" if kind == "TOKEN" else "Verify your identity")
    await is_text(widget)
    if kind.endswith("OPTIONS"):
        await widget.frame.get_by_role("radio").first.check()
    else:
        await widget.frame.get_by_role("main").get_by_role("textbox").fill("right")
    await widget.press("Continue")
    await widget.sees("Choose an account")
    await is_text(widget)
    await widget.select(f"1 {PLANTED}")
    await widget.sees(f"{BANK} is connected")
    await is_text(widget)


@pytest.mark.parametrize("password", [pytest.param("impeded", marks=pytest.mark.slow), "TEXT"])
async def test_markup_in_a_bank_s_error_stays_text(hostile: Scene, password: str) -> None:
    widget = await hostile.embed(current_institution_code="hostile")
    await widget.agree()
    await widget.frame.get_by_label("LOGIN").fill("mallory")
    await widget.frame.locator('input[type="password"]').fill(password)
    await widget.press("Continue")
    if password == "TEXT":
        await widget.answer("wrong")
        await widget.sees("Incorrect answer")
    else:
        await widget.sees(f"{BANK} needs you to do something")
    await is_text(widget)
    member: dict[str, Any] = (await widget.messages())[-2]["metadata"]
    assert PLANTED not in str(member)


async def test_markup_in_a_bank_s_oauth_answer_stays_text_in_every_window(hostile: Scene) -> None:
    widget = await hostile.embed(current_institution_code="hostile_oauth")
    await widget.agree()
    await widget.sees(f"Sign in at {OAUTH_BANK}")
    await is_text(widget)
    await widget.press(f"Continue to {OAUTH_BANK}")
    await widget.sees("Your bank is not connected")
    await is_text(widget)
    # Another window, because the widget closes the one it opened when it has the result.
    body = {"member": {"institution_code": "hostile_oauth", "credentials": [], "is_oauth": True}}
    made = await hostile.api.post(f"/users/{await hostile.api.create_user()}/members", json=body)
    page = await hostile.context.new_page()
    await page.goto(made.json()["member"]["oauth_window_uri"])
    window = Embedded(hostile, page, page.main_frame)
    await window.sees(f"{OAUTH_BANK} is not connected")
    await is_text(window)


async def test_the_check_finds_markup(hostile: Scene) -> None:
    widget = await hostile.open()
    await widget.sees(f"Connect your bank to {PLANTED}")
    await widget.frame.evaluate("(planted) => { document.querySelector('h1').innerHTML = planted }", PLANTED)
    with pytest.raises(AssertionError):
        await is_text(widget)
