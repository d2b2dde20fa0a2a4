"""What the user does not lose: the session after a reload, what was typed, the screen before. How the user leaves."""

import pytest
from playwright.async_api import expect

from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.model.widgets import WidgetAppearance
from tests.browser.scene import Embedded, Scene, Site
from tests.factories import Keyed
from tests.processes import free_port
from tests.widget_client import link

LINK_OVER = "This link no longer works"


@pytest.fixture
def app() -> Site:
    """On the site of the server. The browser of the tests gives frames of other sites no storage."""
    return Site(free_port())


async def window(scene: Scene, url: str) -> Embedded:
    page = await scene.context.new_page()
    await page.goto(url)
    return Embedded(scene, page, page.main_frame)


async def test_a_reload_continues_the_session(scene: Scene) -> None:
    widget = await window(scene, await link(scene.api, scene.user))
    await widget.agree()
    await widget.sees("Find your bank")
    await widget.page.reload()
    await widget.sees("Find your bank")
    await widget.choose("MX Bank")
    await widget.sign_in(password="challenge")
    await widget.sees("Verify your identity")
    await widget.page.reload()
    await widget.answer("correct")
    await widget.sees("MX Bank is connected")


async def test_a_frame_whose_page_is_loaded_again_continues_the_session(scene: Scene) -> None:
    url = await link(scene.api, scene.user)
    page = await scene.context.new_page()
    for title in ("Connect your bank to Harbour Pay", "Find your bank"):
        await page.goto(scene.app.origin)
        await page.evaluate("(url) => embed('frame', url)", url)
        frame = page.frame_locator("iframe")
        await expect(frame.get_by_role("heading", name=title)).to_be_visible()
        if title != "Find your bank":
            await frame.get_by_role("button", name="Agree and continue").click()
            await expect(frame.get_by_role("heading", name="Find your bank")).to_be_visible()


async def test_another_tab_or_another_link_does_not_continue_it(scene: Scene) -> None:
    first, second = await link(scene.api, scene.user), await link(scene.api, scene.user)
    widget = await window(scene, first)
    await widget.agree()
    other = await window(scene, first)
    await other.sees(LINK_OVER)
    await widget.page.goto(second)
    await widget.sees("Connect your bank to Harbour Pay")
    await widget.page.goto(first)
    await widget.sees(LINK_OVER)


async def test_a_page_that_may_not_embed_the_widget_cannot_frame_a_session_that_goes_on(
    scene: Scene, client: Keyed
) -> None:
    async with scene.services.db.transaction() as connection:
        other = WidgetAppearance(origins=["https://app.example"])
        await put_widget_appearance(connection, client.guid, other)
    url = await link(scene.api, scene.user)
    widget = await window(scene, url)
    await widget.agree()
    await widget.sees("Find your bank")
    page = widget.page
    await page.goto(scene.app.origin)
    await page.evaluate("(url) => embed('frame', url)", url)
    await expect(page.frame_locator("iframe").get_by_role("heading", name=LINK_OVER)).to_be_visible()


async def test_after_a_wrong_password_the_user_name_stays_and_the_password_is_asked_for(scene: Scene) -> None:
    widget = await scene.at_bank("ann", "INVALID")
    await widget.sees("Sign in to MX Bank again")
    await expect(widget.frame.get_by_label("Username")).to_have_value("ann")
    password = widget.frame.get_by_label("Password", exact=True)
    await expect(password).to_have_value("")
    await expect(password).to_be_focused()


async def test_back_in_the_browser_goes_to_the_screen_before(scene: Scene) -> None:
    widget = await window(scene, await link(scene.api, scene.user))
    await widget.agree()
    await widget.choose("MX Bank")
    await widget.sees("Sign in to MX Bank")
    await widget.page.evaluate("history.back()")
    await widget.sees("Find your bank")
    await widget.choose("MX Bank")
    await widget.sees("Sign in to MX Bank")
    await widget.page.evaluate("history.back()")
    await widget.sees("Find your bank")


async def test_the_close_button_tells_the_host_and_shows_a_screen_that_stays(scene: Scene) -> None:
    widget = await scene.embed("frame")
    await widget.agree()
    await widget.sees("Find your bank")
    await widget.press("Close")
    await widget.sees("You can close this page")
    assert (await widget.messages())[-1]["type"] == "mx/connect/closed"
    await widget.press("Continue here")
    await widget.sees("Find your bank")
