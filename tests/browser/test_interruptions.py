"""Interruptions: of a link, a session, the server, the network. The page shows them and recovers."""

from datetime import timedelta

import pytest
from playwright.async_api import Page, Response, expect
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AppScope

from coatcheck.clock import MovableClock
from coatcheck.server import create_app
from tests.browser.scene import Embedded, Scene
from tests.firefox import IN_BOTH_BROWSERS
from tests.member_setup import until
from tests.widget_client import link

LINK_OVER = "This link no longer works"
CUT_OFF = "No connection. Retrying…"
KEPT = "Your entries are still here"


async def members(scene: Scene) -> list[str]:
    found = (await scene.api.get(f"/users/{scene.user}/members")).json()["members"]
    return [each["connection_status"] for each in found]


def asked(scene: Scene) -> int:
    """How many requests the widgets have sent to their API. The modules of other screens are loaded meanwhile."""
    return sum("/md/api/" in url for url in scene.requested)


# --- the link ------------------------------------------------------------------------------------------


async def follow(page: Page, url: str) -> Response:
    """The answer to a link that no longer works."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
    response = await page.goto(url, wait_until="networkidle")
    assert response is not None
    await expect(page.get_by_role("heading", name=LINK_OVER)).to_be_visible()
    await expect(page.get_by_text("Go back to the app and start again.")).to_be_visible()
    assert requests[0] == f"GET {url}"
    assert not [each for each in requests if "/md/api" in each or not each.startswith("GET ")]
    assert await page.get_by_role("button").count() == 0
    return response


async def test_a_used_link_shows_a_message_and_sends_nothing(scene: Scene) -> None:
    url = await link(scene.api, scene.user)
    first, second = [await scene.context.new_page() for _ in range(2)]
    await first.goto(url)
    await expect(first.get_by_role("heading", name="Connect your bank to Harbour Pay")).to_be_visible()
    assert (await follow(second, url)).status == 410
    await first.get_by_role("button", name="Agree and continue").click()
    await expect(first.get_by_role("heading", name="Find your bank")).to_be_visible()


async def test_an_expired_link_shows_a_message_where_it_is_embedded(
    scene: Scene, clock: MovableClock
) -> None:
    url = await link(scene.api, scene.user)
    clock.advance(timedelta(minutes=11))
    page = await scene.context.new_page()
    await page.goto(scene.app.origin)
    await page.evaluate("(url) => embed('frame', url)", url)
    await expect(page.frame_locator("iframe").get_by_role("heading", name=LINK_OVER)).to_be_visible()
    assert await page.evaluate("received") == []


# --- the session ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("idle", [timedelta(minutes=31), timedelta(hours=3)], ids=["idle", "old"])
async def test_a_session_that_expires_while_a_form_is_open_shows_it_and_removes_the_form(
    scene: Scene, clock: MovableClock, idle: timedelta
) -> None:
    widget = await scene.embed("frame", current_institution_code="mxbank")
    await widget.agree()
    await widget.sees("Sign in to MX Bank")
    clock.advance(idle)
    await widget.sign_in("mxuser", "a-secret-word")
    await widget.sees("Your session has expired")
    await expect(widget.frame.get_by_text("Go back to Harbour Pay and start again.")).to_be_visible()
    assert await widget.frame.get_by_role("textbox").count() == 0
    assert "a-secret-word" not in await widget.frame.content()
    assert await members(scene) == []


async def test_a_session_that_expires_while_the_page_polls_shows_it(
    scene: Scene, clock: MovableClock
) -> None:
    await scene.pause_worker()
    widget = await scene.at_bank("mxuser", "correct")
    await widget.sees("Connecting to MX Bank")
    clock.advance(timedelta(hours=3))
    await widget.sees("Your session has expired")
    requests = asked(scene)
    scene.worker_may_run.set()

    async def is_read() -> bool:
        return await members(scene) == ["CONNECTED"]

    await until(is_read)
    assert asked(scene) == requests, "no further request is sent"


async def test_disabling_the_user_ends_the_page_at_its_next_request(scene: Scene) -> None:
    widget = await scene.embed("frame")
    await scene.api.put(f"/users/{scene.user}", json={"user": {"is_disabled": True}})
    await widget.agree()
    await widget.sees("Your session has expired")


# --- the server ----------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_polling_survives_a_restart_of_the_server(scene: Scene) -> None:
    await scene.pause_worker()
    widget = await scene.at_bank("mxuser", "challenge")
    await widget.sees("Connecting to MX Bank")
    await scene.server.stop()
    await expect(widget.frame.get_by_text(CUT_OFF)).to_be_visible()
    scene.worker_may_run.set()
    scene.server.start(create_app(scene.services))
    await widget.answer("correct")
    await widget.sees("MX Bank is connected")
    assert await widget.frame.get_by_text(CUT_OFF).count() == 0
    assert len(await widget.posted("memberConnected")) == 1


# --- a form that is being sent ---------------------------------------------------------------------------------


async def type_nothing(_: Embedded) -> None:
    """The consent has only a button."""


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
"""In the order of a verification."""


async def send(widget: Embedded, button: str) -> None:
    """Sends a form whose answer is lost."""
    await widget.press(button)
    await expect(widget.frame.get_by_role("alert")).to_contain_text(KEPT)


async def test_every_form_keeps_its_values_while_the_server_is_down_and_can_be_sent_later(
    scene: Scene,
) -> None:
    widget = await scene.embed("frame", mode="verification", current_institution_code="mxbank")
    for fill, button in FORMS:
        await fill(widget)
        await scene.server.stop()
        await send(widget, button)
        scene.server.start(create_app(scene.services))
        await widget.press(button)
    await widget.sees("MX Bank is connected")
    assert await members(scene) == ["CONNECTED"]
    assert len(await widget.posted("memberConnected")) == 1


async def test_every_form_whose_answer_was_lost_is_sent_again_and_takes_effect_once(scene: Scene) -> None:
    widget = await scene.embed("frame", mode="verification", current_institution_code="mxbank")
    for fill, button in FORMS:
        await fill(widget)
        await restart(scene, loses_answers=True)
        await send(widget, button)
        await restart(scene)
        await widget.press(button)
    await widget.sees("MX Bank is connected")
    assert await members(scene) == ["CONNECTED"]
    assert len(await widget.posted("memberConnected")) == 1


async def restart(scene: Scene, *, loses_answers: bool = False) -> None:
    """Restarts the server, either intact or failing after each write."""
    await scene.server.stop()
    complete = create_app(scene.services)

    async def lose_answer(scope: AppScope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await complete(scope, receive, send)
            return
        await complete(scope, receive, drop)
        raise ConnectionResetError

    scene.server.start(lose_answer if loses_answers else complete)


async def drop(_: Message) -> None:
    """Drops an answer."""


async def test_a_server_that_stops_during_a_request_has_done_all_of_it_or_nothing(
    scene: Scene,
) -> None:
    widget = await scene.embed("frame", current_institution_code="mxbank")
    await widget.agree()
    async with scene.services.db.transaction() as connection:
        await connection.execute("SELECT FROM end_user WHERE guid = %s FOR UPDATE", (scene.user,))
        await widget.sign_in()
        await expect(widget.frame.get_by_role("button", name="Sending securely…")).to_be_visible()
        await scene.server.stop()
        await expect(widget.frame.get_by_role("alert")).to_contain_text(KEPT)
    assert await members(scene) == []
    await expect(widget.frame.get_by_label("Username")).to_have_value("mxuser")
    scene.server.start(create_app(scene.services))
    await widget.press("Continue")
    await widget.sees("MX Bank is connected")
    assert await members(scene) == ["CONNECTED"]


async def test_an_internal_error_shows_a_message_and_can_be_retried(scene: Scene) -> None:
    widget = await scene.embed("frame", current_institution_code="mxbank")
    await widget.agree()
    await widget.sees("Sign in to MX Bank")
    failure = {"error": {"message": "Something went wrong on our side.", "type": "internal_error"}}
    await scene.server.stop()
    scene.server.start(JSONResponse(failure, 500))
    await widget.sign_in()
    await widget.sees("Something went wrong")
    (posted,) = await widget.posted("createMemberError")
    assert posted["institution_code"] == "mxbank"
    await restart(scene)
    await widget.press("Try again")
    await widget.sign_in()
    await widget.sees("MX Bank is connected")


# --- the network ---------------------------------------------------------------------------------------


async def test_an_offline_page_shows_it_and_continues_by_itself(scene: Scene) -> None:
    await scene.pause_worker()
    widget = await scene.at_bank("mxuser", "correct")
    await widget.sees("Connecting to MX Bank")
    await scene.context.set_offline(True)
    await expect(widget.frame.get_by_text(CUT_OFF)).to_be_visible()
    scene.worker_may_run.set()
    await scene.context.set_offline(False)
    await widget.sees("MX Bank is connected")


async def test_an_offline_search_finishes_when_the_network_is_back(scene: Scene) -> None:
    widget = await scene.embed("frame")
    await widget.agree()
    await widget.sees("Find your bank")
    await scene.context.set_offline(True)
    await widget.frame.get_by_role("searchbox").fill("Lanternfish")
    await expect(widget.frame.get_by_text(CUT_OFF)).to_be_visible()
    await scene.context.set_offline(False)
    await widget.has_found()
    await widget.frame.get_by_role("button", name="Lanternfish Bank").click()
    await widget.sees("Sign in to Lanternfish Bank")


@IN_BOTH_BROWSERS
async def test_the_script_of_a_screen_is_fetched_again_after_a_failure(scene: Scene) -> None:
    await scene.context.route("**/steps/credentials.js*", lambda route: route.abort())
    widget = await scene.embed("frame", current_institution_code="mxbank")
    await widget.agree()
    await widget.sees("Something went wrong")
    await scene.context.unroute_all()
    await widget.press("Try again")
    await widget.sees("Sign in to MX Bank")
