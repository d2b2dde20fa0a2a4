"""Sign-in on the bank's own page, in a window beside the widget."""

import json
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from coatcheck.clock import MovableClock
from tests.bank_windows import come_back, decide
from tests.browser.scene import Embedded, Scene, finish
from tests.member_setup import until

BANK, CODE = "MX Bank (OAuth)", "mx_bank_oauth"
SIGN_IN, CONNECTED = f"Sign in at {BANK}", f"{BANK} is connected"
TO_BANK = f"Continue to {BANK}"
REFUSED = "Your bank is not connected"


async def at_oauth_start(scene: Scene, way: str = "frame", **options: object) -> Embedded:
    """The widget of a user who agreed, at the first view of the sign-in."""
    widget = await scene.embed(way, current_institution_code=CODE, **options)
    await widget.agree()
    await widget.sees(SIGN_IN)
    return widget


async def open_bank(widget: Embedded, name: str = TO_BANK) -> Page:
    """The bank's page, in the window that the click opened."""
    async with widget.page.expect_popup() as opened:
        await widget.press(name)
    bank = await opened.value
    await expect(bank.get_by_role("heading", name=f"Sign in to {BANK}")).to_be_visible()
    return bank


async def allow(bank: Page) -> None:
    """Gives access at the bank, and answers the question of our page."""
    await bank.get_by_role("button", name="Allow").click()
    await expect(bank.get_by_role("heading", name=f"Connect {BANK} to")).to_be_visible()
    await finish(bank, "Connect")


async def test_allowing_it_at_the_bank_connects(scene: Scene) -> None:
    widget = await at_oauth_start(scene, "sdkUrl")
    bank = await open_bank(widget)
    await expect(widget.frame.get_by_role("status").last).to_have_text(
        f"Waiting for you to finish at {BANK}…"
    )
    assert await bank.evaluate("opener") is None
    async with bank.expect_event("close"):
        await allow(bank)
    await widget.sees(CONNECTED)
    (requested,) = await widget.posted("oauthRequested")
    (connected,) = await widget.posted("memberConnected")
    assert requested["member_guid"] == connected["member_guid"]
    assert requested["url"].startswith(scene.server.origin)
    assert await widget.undecoded() == []
    assert {"OAuthRequested", "MemberConnected"} <= {each["name"] for each in await widget.decoded()}


async def test_denying_it_shows_that_nothing_was_shared_and_can_be_retried(scene: Scene) -> None:
    widget = await at_oauth_start(scene, "sdkUrl")
    bank = await open_bank(widget)
    await finish(bank, "Deny")
    await widget.sees(REFUSED)
    (posted,) = await widget.posted("oauthError")
    assert posted["error_reason"] == "DENIED"
    assert "OAuthError" in {each["name"] for each in await widget.decoded()}
    assert await widget.offers() == ["Try again", "Choose another bank"]
    bank = await open_bank(widget, "Try again")
    await allow(bank)
    await widget.sees(CONNECTED)
    (connected,) = await widget.posted("memberConnected")
    assert connected["member_guid"] == posted["member_guid"]


@pytest.mark.slow
async def test_a_window_that_was_closed_is_noticed_and_opens_again(scene: Scene) -> None:
    widget = await at_oauth_start(scene)
    bank = await open_bank(widget)
    await bank.close()
    await expect(widget.frame.get_by_text("The sign-in window seems to be closed").first).to_be_visible()
    assert await widget.posted("oauthError") == []
    bank = await open_bank(widget, "Try again")
    await allow(bank)
    await widget.sees(CONNECTED)
    members = (await scene.api.get(f"/users/{scene.user}/members")).json()["members"]
    assert len(members) == 1


@pytest.mark.slow
async def test_a_window_that_was_finished_and_closed_at_once_connects(scene: Scene) -> None:
    widget = await at_oauth_start(scene)
    bank = await open_bank(widget)
    await bank.get_by_role("button", name="Allow").click()
    await bank.get_by_role("button", name="Connect").wait_for()
    async with bank.expect_response("**/oauth/callback"):
        await finish(bank, "Connect")
    await bank.close()
    await widget.sees(CONNECTED)


async def test_a_victim_who_is_sent_the_bank_s_page_connects_nothing(scene: Scene, browser: Browser) -> None:
    widget = await at_oauth_start(scene)
    bank = await open_bank(widget)
    victim = await browser.new_context()
    page = await victim.new_page()
    await page.goto(bank.url)
    await page.get_by_role("button", name="Allow").click()
    await expect(page.get_by_role("heading", name="This sign-in was not started here")).to_be_visible()
    await victim.close()
    await widget.sees(REFUSED)
    assert [each["error_reason"] for each in await widget.posted("oauthError")] == ["SESSION_ERROR"]
    members = (await scene.api.get(f"/users/{scene.user}/members")).json()["members"]
    assert [each["connection_status"] for each in members] == ["PENDING"]


async def test_a_victim_who_is_sent_the_widget_s_window_does_not_reach_the_bank(
    scene: Scene, browser: Browser
) -> None:
    widget = await at_oauth_start(scene)
    await widget.frame.evaluate("() => { window.open = () => null; }")
    await widget.press(TO_BANK)
    link = widget.frame.get_by_role("link", name=f"Open {BANK} here")
    url = await link.get_attribute("href")
    assert url is not None
    victim = await browser.new_context()
    page = await victim.new_page()
    await page.set_content(f'<a href="{url}">Win a prize</a>')
    await page.get_by_role("link").click()
    await expect(page.get_by_role("heading", name="This sign-in was not started here")).to_be_visible()
    await victim.close()
    async with widget.page.expect_popup() as opened:
        await link.click()
    await allow(await opened.value)
    await widget.sees(CONNECTED)


@pytest.mark.slow
async def test_cancelling_the_question_connects_nothing(scene: Scene) -> None:
    widget = await at_oauth_start(scene)
    bank = await open_bank(widget)
    await bank.get_by_role("button", name="Allow").click()
    await finish(bank, "Cancel")
    await widget.sees(REFUSED)
    assert [each["error_reason"] for each in await widget.posted("oauthError")] == ["CANCELLED"]


@pytest.mark.slow
async def test_without_a_window_there_is_a_link(scene: Scene) -> None:
    widget = await at_oauth_start(scene)
    # What a pop-up blocker does.
    await widget.frame.evaluate("() => { window.open = () => null; }")
    await widget.press(TO_BANK)
    link = widget.frame.get_by_role("link", name=f"Open {BANK} here")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    async with widget.page.expect_popup() as opened:
        await link.click()
    await allow(await opened.value)
    await widget.sees(CONNECTED)


@pytest.mark.slow
async def test_a_sign_in_that_was_started_in_another_widget_is_continued(scene: Scene) -> None:
    first = await at_oauth_start(scene)
    bank = await open_bank(first)
    await bank.close()
    guid = (await first.posted("oauthRequested"))[0]["member_guid"]
    await first.page.close()
    widget = await scene.embed("frame", current_member_guid=guid)
    await widget.sees(SIGN_IN)
    bank = await open_bank(widget)
    await allow(bank)
    await widget.sees(CONNECTED)
    assert (await widget.posted("memberConnected"))[0]["member_guid"] == guid


@pytest.mark.slow
async def test_a_withdrawn_consent_is_given_again_at_the_bank(scene: Scene) -> None:
    widget = await at_oauth_start(scene)
    bank = await open_bank(widget)
    await bank.get_by_label("Username").fill("ann+consent_revoked")
    await allow(bank)
    await widget.sees("This connection has ended")
    assert (await widget.offers())[0] == SIGN_IN
    await widget.press(SIGN_IN)
    await widget.sees(SIGN_IN)
    bank = await open_bank(widget)
    await bank.get_by_label("Username").fill("ann")
    await allow(bank)
    await widget.sees(CONNECTED)


@pytest.mark.slow
async def test_choosing_another_bank_closes_the_window(scene: Scene) -> None:
    widget = await at_oauth_start(scene)
    bank = await open_bank(widget)
    async with bank.expect_event("close"):
        await widget.press("Cancel")
    await widget.sees("Find your bank")


@pytest.mark.slow
async def test_a_window_without_a_return_is_an_error_after_its_time(
    scene: Scene, clock: MovableClock
) -> None:
    widget = await at_oauth_start(scene)
    await open_bank(widget)
    clock.advance(timedelta(minutes=11))
    await widget.sees(REFUSED)
    assert [each["error_reason"] for each in await widget.posted("oauthError")] == ["SESSION_ERROR"]


@pytest.mark.slow
async def test_the_bank_returns_to_the_client_s_own_page(scene: Scene) -> None:
    return_target = {
        "oauth_referral_source": "APP",
        "client_redirect_url": f"{scene.app.origin}/?from=bank",
    }
    widget = await at_oauth_start(scene, **return_target)
    bank = await open_bank(widget)
    async with bank.expect_navigation(url=f"{scene.app.origin}/**") as arrived:
        await allow(bank)
    response = await arrived.value
    assert response is not None
    query = parse_qs(urlsplit(response.url).query)
    await widget.sees(CONNECTED)
    (posted,) = await widget.posted("memberConnected")
    assert query == {"from": ["bank"], "status": ["success"], "member_guid": [posted["member_guid"]]}


@pytest.mark.chromium("Playwright waits for each navigation that the app prevents in Firefox")
async def test_an_app_opens_the_bank_itself_and_posts_when_it_is_done(scene: Scene) -> None:
    widget = await scene.open(
        current_institution_code=CODE, is_mobile_webview=True, ui_message_webview_url_scheme="harbour"
    )
    await widget.agree()
    await widget.press(TO_BANK)

    async def requested() -> list[str]:
        return [
            url
            for url in await widget.page.evaluate("navigations")
            if url.startswith("harbour://connect/oauthRequested")
        ]

    async def is_requested() -> bool:
        return bool(await requested())

    await until(is_requested)
    assert len(scene.context.pages) == 1
    posted = json.loads(parse_qs(urlsplit((await requested())[0]).query)["metadata"][0])
    back = await come_back(scene.api.http, await decide(scene.api, posted["url"]))
    assert back.headers["location"].startswith("harbour://oauth_complete?status=success&")
    done = {"type": "oauthComplete/success", "metadata": {"member_guid": posted["member_guid"]}}
    await widget.page.evaluate("(text) => postMessage(text, location.origin)", json.dumps(done))
    await widget.sees(CONNECTED)
