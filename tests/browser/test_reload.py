"""What the user does not lose: the session after a reload, what was typed, the screen before. How the user leaves."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from playwright.async_api import expect

from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.model.widgets import WidgetAppearance
from tests.browser.scene import Embedded, Scene, Site, side_by_side
from tests.factories import Keyed
from tests.processes import free_port
from tests.widget_client import link

Reach: TypeAlias = Callable[[Scene], Awaitable[Embedded]]
CONSENT, SEARCH = "Connect your bank to Harbour Pay", "Find your bank"
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


@pytest.mark.slow
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


async def to_search(scene: Scene, **options: Any) -> Embedded:
    widget = await window(scene, await link(scene.api, scene.user, **options))
    await widget.agree()
    await widget.sees(SEARCH)
    return widget


def at(bank: str) -> Reach:
    async def reach(scene: Scene) -> Embedded:
        widget = await to_search(scene)
        await widget.choose(bank)
        return widget

    return reach


def signed_in(login: str = "ann", password: str = "correct", **options: Any) -> Reach:
    async def reach(scene: Scene) -> Embedded:
        widget = await to_search(scene, **options)
        await widget.choose("MX Bank")
        await widget.sign_in(login, password)
        return widget

    return reach


def pressed(name: str, reach: Reach) -> Reach:
    async def press(scene: Scene) -> Embedded:
        widget = await reach(scene)
        await widget.press(name)
        return widget

    return press


async def without_a_result(scene: Scene) -> Embedded:
    widget = await to_search(scene, mode="verification")
    await widget.search("Nonesuch")
    return widget


async def at_consent(scene: Scene) -> Embedded:
    return await window(scene, await link(scene.api, scene.user))


IMPEDED = "MX Bank needs you to do something"
NUMBERS = pressed("Use account and routing numbers", without_a_result)
REMOVAL = pressed("Remove this connection", signed_in("ann+impeded"))
STEPS: Mapping[str, tuple[Reach, str, str, str | None]] = {
    "consent": (at_consent, CONSENT, CONSENT, None),
    "search": (to_search, SEARCH, SEARCH, None),
    "credentials": (at("MX Bank"), "Sign in to MX Bank", SEARCH, SEARCH),
    "credentials-refused": (
        signed_in(password="INVALID"),
        *("Sign in to MX Bank again", "Sign in to MX Bank again", SEARCH),
    ),
    "oauth": (at("MXCU (OAuth)"), "Sign in at MXCU (OAuth)", SEARCH, SEARCH),
    "mfa": (signed_in(password="options"), "Verify your identity", "Verify your identity", SEARCH),
    "mfa-code": (signed_in(password="token"), "Enter your code", "Enter your code", SEARCH),
    "accounts": (signed_in(mode="verification"), "Choose an account", "Choose an account", SEARCH),
    "problem": (signed_in("ann+impeded"), IMPEDED, IMPEDED, SEARCH),
    "no-accounts": (
        signed_in("ann+empty", mode="verification"),
        *("No eligible accounts", "No eligible accounts", SEARCH),
    ),
    "removal": (REMOVAL, "Remove the connection to MX Bank?", IMPEDED, IMPEDED),
    "numbers": (NUMBERS, "Enter your account details", SEARCH, SEARCH),
    "files": (pressed("Add a bank file", to_search), "Add a bank file", SEARCH, SEARCH),
    "connected": (signed_in(), "MX Bank is connected", "MX Bank is connected", None),
    "closed": (pressed("Close", to_search), "You can close this page", SEARCH, None),
}
"""How a user gets to each step; its title, that after a reload, and that after Back if there is a way."""


async def reloads_and_goes_back(
    scene: Scene, reach: Reach, title: str, after_reload: str, before: str | None
) -> None:
    # A user of its own: a bank that is connected already would lead elsewhere.
    scene = replace(scene, user=await scene.api.create_user())
    widget = await reach(scene)
    await widget.sees(title)
    if before is not None:
        await widget.page.evaluate("history.back()")
        await widget.sees(before)
        widget = await reach(replace(scene, user=await scene.api.create_user()))
        await widget.sees(title)
    await widget.page.reload()
    await widget.sees(after_reload)


async def test_reload_and_back_keep_the_user_in_the_widget(scene: Scene) -> None:
    await side_by_side(scene, reloads_and_goes_back, [STEPS[each] for each in ("credentials", "removal")])


@pytest.mark.slow
async def test_reload_and_back_keep_the_user_in_the_widget_at_every_step(scene: Scene) -> None:
    await side_by_side(scene, reloads_and_goes_back, STEPS.values())


async def test_mx_s_sdk_passes_the_close_event_on_although_mx_defines_none(scene: Scene) -> None:
    widget = await scene.embed("sdkUrl")
    await widget.agree()
    await widget.sees(SEARCH)
    await widget.press("Close")
    await widget.sees("You can close this page")
    assert [each["data"]["type"] for each in await widget.undecoded()] == ["mx/connect/closed"]
    assert (await widget.types())[-1] == "connect/closed"


async def test_the_close_button_tells_the_host_and_shows_a_screen_that_stays(scene: Scene) -> None:
    widget = await scene.embed("frame")
    await widget.agree()
    await widget.sees("Find your bank")
    await widget.press("Close")
    await widget.sees("You can close this page")
    assert (await widget.messages())[-1]["type"] == "mx/connect/closed"
    await widget.press("Continue here")
    await widget.sees("Find your bank")
