"""What breaks in the middle: a link, a session, the server, the network. The page says so, and recovers."""

from datetime import timedelta

import pytest
from playwright.async_api import Page, Response, expect
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AppScope

from coatcheck.clock import MovableClock
from coatcheck.server import create_app
from tests.browser.scene import Embedded, Scene
from tests.member_setup import until
from tests.widget_client import link

LINK_OVER = "This link no longer works"
CUT_OFF = "No connection. Retrying…"
KEPT = "Your entries are still here"


async def members(stage: Scene) -> list[str]:
    found = (await stage.api.get(f"/users/{stage.user}/members")).json()["members"]
    return [each["connection_status"] for each in found]


# --- the link ------------------------------------------------------------------------------------------


async def follow(page: Page, url: str) -> Response:
    """The answer to a link that is not good any more."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    response = await page.goto(url, wait_until="networkidle")
    assert response is not None
    await expect(page.get_by_role("heading", name=LINK_OVER)).to_be_visible()
    await expect(page.get_by_text("Go back to the app and start again.")).to_be_visible()
    assert asked[0] == f"GET {url}"
    assert not [each for each in asked if "/md/api" in each or not each.startswith("GET ")]
    assert await page.get_by_role("button").count() == 0
    return response


async def test_a_link_that_was_used_says_so_and_sends_nothing(stage: Scene) -> None:
    url = await link(stage.api, stage.user)
    first, second = [await stage.context.new_page() for _ in range(2)]
    await first.goto(url)
    await expect(first.get_by_role("heading", name="Connect your bank to Harbour Pay")).to_be_visible()
    assert (await follow(second, url)).status == 410
    await first.get_by_role("button", name="Agree and continue").click()
    await expect(first.get_by_role("heading", name="Find your bank")).to_be_visible()
    assert (await follow(first, first.url)).status == 410, "and so does a page that is loaded again"


async def test_a_link_that_is_too_old_says_so_where_it_is_embedded(stage: Scene, clock: MovableClock) -> None:
    url = await link(stage.api, stage.user)
    clock.advance(timedelta(minutes=11))
    page = await stage.context.new_page()
    await page.goto(stage.app.origin)
    await page.evaluate("(url) => embed('frame', url)", url)
    await expect(page.frame_locator("iframe").get_by_role("heading", name=LINK_OVER)).to_be_visible()
    assert await page.evaluate("heard") == []


# --- the session ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("idle", [timedelta(minutes=31), timedelta(hours=3)], ids=["idle", "old"])
async def test_a_session_that_ends_under_a_typed_form_is_told_and_nothing_typed_stays(
    stage: Scene, clock: MovableClock, idle: timedelta
) -> None:
    widget = await stage.embed("frame", current_institution_code="mxbank")
    await widget.agree()
    await widget.sees("Sign in to MX Bank")
    clock.advance(idle)
    await widget.sign_in("mxuser", "a-secret-word")
    await widget.sees("Your session has expired")
    await expect(widget.frame.get_by_text("Go back to Harbour Pay and start again.")).to_be_visible()
    assert await widget.frame.get_by_role("textbox").count() == 0
    assert "a-secret-word" not in await widget.frame.content()
    assert await members(stage) == []


async def test_a_session_that_ends_while_the_page_waits_is_told(stage: Scene, clock: MovableClock) -> None:
    await stage.rest()
    widget = await stage.at_bank("mxuser", "correct")
    await widget.sees("Connecting to MX Bank")
    clock.advance(timedelta(hours=3))
    await widget.sees("Your session has expired")
    asked = len(stage.requested)
    stage.is_at_work.set()

    async def is_read() -> bool:
        return await members(stage) == ["CONNECTED"]

    await until(is_read)
    assert len(stage.requested) == asked, "and nothing more is asked"


async def test_disabling_the_user_ends_the_page_at_its_next_question(stage: Scene) -> None:
    widget = await stage.embed("frame")
    await stage.api.put(f"/users/{stage.user}", json={"user": {"is_disabled": True}})
    await widget.agree()
    await widget.sees("Your session has expired")


# --- the server ----------------------------------------------------------------------------------------


async def test_a_server_that_restarts_while_the_page_waits_is_found_again(stage: Scene) -> None:
    await stage.rest()
    widget = await stage.at_bank("mxuser", "challenge")
    await widget.sees("Connecting to MX Bank")
    await stage.server.stop()
    await expect(widget.frame.get_by_text(CUT_OFF)).to_be_visible()
    stage.is_at_work.set()
    stage.server.start(create_app(stage.services))
    await widget.answer("correct")
    await widget.sees("MX Bank is connected")
    assert await widget.frame.get_by_text(CUT_OFF).count() == 0
    assert len(await widget.told("memberConnected")) == 1


# --- a form on its way ---------------------------------------------------------------------------------


async def type_nothing(_: Embedded) -> None:
    """An agreement is a button alone."""


async def type_the_sign_in(widget: Embedded) -> None:
    await widget.frame.get_by_label("Username").fill("mxuser")
    await widget.frame.get_by_label("Password", exact=True).fill("challenge")


async def type_the_answer(widget: Embedded) -> None:
    await widget.sees("Verify your identity")
    await widget.frame.get_by_role("main").get_by_role("textbox").fill("correct")


async def choose_the_account(widget: Embedded) -> None:
    await widget.frame.get_by_role("radio", name="Checking").check()


FORMS = (
    (type_nothing, "Agree and continue"),
    (type_the_sign_in, "Continue"),
    (type_the_answer, "Continue"),
    (choose_the_account, "Continue"),
)
"""In the order in which a user who verifies an account meets them."""


async def send(widget: Embedded, button: str) -> None:
    """Sends a form whose answer does not come."""
    await widget.press(button)
    await expect(widget.frame.get_by_role("alert")).to_contain_text(KEPT)


async def test_every_form_is_kept_while_the_server_is_away_and_sent_when_it_is_back(stage: Scene) -> None:
    widget = await stage.embed("frame", mode="verification", current_institution_code="mxbank")
    for fill, button in FORMS:
        await fill(widget)
        await stage.server.stop()
        await send(widget, button)
        stage.server.start(create_app(stage.services))
        await widget.press(button)
    await widget.sees("MX Bank is connected")
    assert await members(stage) == ["CONNECTED"]
    assert len(await widget.told("memberConnected")) == 1


async def test_every_form_whose_answer_was_lost_is_sent_again_and_counts_once(stage: Scene) -> None:
    widget = await stage.embed("frame", mode="verification", current_institution_code="mxbank")
    for fill, button in FORMS:
        await fill(widget)
        await restart(stage, is_mute=True)
        await send(widget, button)
        await restart(stage)
        await widget.press(button)
    await widget.sees("MX Bank is connected")
    assert await members(stage) == ["CONNECTED"]
    assert len(await widget.told("memberConnected")) == 1


async def restart(stage: Scene, *, is_mute: bool = False) -> None:
    """Stops the server and starts it again, whole or such that it dies of each write, after it was done."""
    await stage.server.stop()
    whole = create_app(stage.services)

    async def mute(scope: AppScope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await whole(scope, receive, send)
            return
        await whole(scope, receive, nowhere)
        raise ConnectionResetError

    stage.server.start(mute if is_mute else whole)


async def nowhere(_: Message) -> None:
    """Where an answer goes that is lost."""


async def test_a_server_that_stops_while_a_form_is_on_its_way_has_done_all_of_it_or_nothing(
    stage: Scene,
) -> None:
    widget = await stage.embed("frame", current_institution_code="mxbank")
    await widget.agree()
    async with stage.services.db.transaction() as connection:
        await connection.execute("SELECT FROM end_user WHERE guid = %s FOR UPDATE", (stage.user,))
        await widget.sign_in()
        await expect(widget.frame.get_by_role("button", name="Sending securely…")).to_be_visible()
        await stage.server.stop()
        await expect(widget.frame.get_by_role("alert")).to_contain_text(KEPT)
    assert await members(stage) == []
    await expect(widget.frame.get_by_label("Username")).to_have_value("mxuser")
    stage.server.start(create_app(stage.services))
    await widget.press("Continue")
    await widget.sees("MX Bank is connected")
    assert await members(stage) == ["CONNECTED"]


async def test_a_failure_of_ours_is_told_and_what_it_stopped_can_be_tried_again(stage: Scene) -> None:
    widget = await stage.embed("frame", current_institution_code="mxbank")
    await widget.agree()
    await widget.sees("Sign in to MX Bank")
    failure = {"error": {"message": "Something went wrong on our side.", "type": "internal_error"}}
    await stage.server.stop()
    stage.server.start(JSONResponse(failure, 500))
    await widget.sign_in()
    await widget.sees("Something went wrong")
    (told,) = await widget.told("createMemberError")
    assert told["institution_code"] == "mxbank"
    await restart(stage)
    await widget.press("Try again")
    await widget.sign_in()
    await widget.sees("MX Bank is connected")


# --- the network ---------------------------------------------------------------------------------------


async def test_a_page_that_is_offline_says_so_and_goes_on_by_itself(stage: Scene) -> None:
    await stage.rest()
    widget = await stage.at_bank("mxuser", "correct")
    await widget.sees("Connecting to MX Bank")
    await stage.context.set_offline(True)
    await expect(widget.frame.get_by_text(CUT_OFF)).to_be_visible()
    stage.is_at_work.set()
    await stage.context.set_offline(False)
    await widget.sees("MX Bank is connected")


async def test_a_search_that_is_offline_finds_when_the_network_is_back(stage: Scene) -> None:
    widget = await stage.embed("frame")
    await widget.agree()
    await widget.sees("Find your bank")
    await stage.context.set_offline(True)
    await widget.frame.get_by_role("searchbox").fill("Lanternfish")
    await expect(widget.frame.get_by_text(CUT_OFF)).to_be_visible()
    await stage.context.set_offline(False)
    await widget.frame.get_by_role("button", name="Lanternfish Bank").click()
    await widget.sees("Sign in to Lanternfish Bank")


async def test_a_screen_whose_script_got_lost_on_the_way_is_fetched_again(stage: Scene) -> None:
    await stage.context.route("**/steps/credentials.js", lambda route: route.abort())
    widget = await stage.embed("frame", current_institution_code="mxbank")
    await widget.agree()
    await widget.sees("Something went wrong")
    await stage.context.unroute_all()
    await widget.press("Try again")
    await widget.sees("Sign in to MX Bank")
