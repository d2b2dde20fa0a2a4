"""The bank's challenges and the results of the answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.async_api import Locator, expect

from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.model.mx_codes import CONNECTION_STATUS_IDS
from coatcheck.model.statuses import ConnectionStatus as Status
from coatcheck.worker_services import build_worker
from tests.browser.scene import Embedded, Scene, side_by_side

ASKED = "Verify your identity"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with which a challenge expires before a session."""
    return replace(settings, mfa_ttl=10 * MINUTE)


KINDS = {
    "challenge": ("What city were you born in?", "wrong", "correct"),
    "options": ("On which of these streets have you lived?", "Kettle Court", "Lantern Lane"),
    "image": ("What does the picture say?", "wrong", "correct"),
    "image_options": ("Which picture did you choose when you signed up?", "Square", "Circle"),
    "token": ("Enter the code we sent to your phone ending in 0142.", "000000", "correct"),
}
"""By the password: the question, a wrong answer and the right one."""


@pytest.mark.parametrize(
    "kinds", [("options", "token"), pytest.param(tuple(KINDS), marks=pytest.mark.slow)], ids=["two", "all"]
)
async def test_every_kind_of_challenge_takes_a_wrong_answer_and_then_the_right_one(
    scene: Scene, kinds: Sequence[str]
) -> None:
    async def play(scene: Scene, password: str, question: str, wrong: str, right: str) -> None:
        widget = await scene.at_bank(f"for-{password}", password)
        await answer_question(widget, question, wrong)
        await widget.sees("Incorrect answer")
        await widget.press("Try again")
        await answer_question(widget, question, right)
        await widget.sees("MX Bank is connected")
        assert len(await widget.posted("submitMFA")) == 2
        assert len(await widget.posted("memberConnected")) == 1
        assert [each["connection_status"] for each in await widget.posted("memberStatusUpdate")] == [
            CONNECTION_STATUS_IDS[each]
            for each in (
                *(Status.CREATED, Status.CHALLENGED, Status.RESUMED, Status.REJECTED),
                *(Status.RECONNECTED, Status.CHALLENGED, Status.RESUMED, Status.CONNECTED),
            )
        ]

    await side_by_side(scene, play, [(password, *KINDS[password]) for password in kinds])


async def answer_question(widget: Embedded, question: str, answer: str) -> None:
    """Types the answer, or chooses the option that starts with it."""
    await expect(widget.frame.get_by_text(question)).to_be_visible()
    options = widget.frame.get_by_role("group", name=question).get_by_role("radio", name=answer)
    typed = widget.frame.get_by_label(question, exact=True)
    if await options.count():
        await options.check()
    else:
        await typed.fill(answer)
    await widget.press("Continue")


@pytest.mark.slow
async def test_images_are_displayed_with_a_challenge_and_its_options(scene: Scene) -> None:
    async def play(scene: Scene, password: str, pictures: str, count: int) -> None:
        widget = await scene.at_bank(f"for-{password}", password)
        await widget.sees(ASKED)
        shown = await widget.frame.locator(pictures).all()
        assert [await width_of(picture) > 0 for picture in shown] == [True] * count

    security_image = 'img[alt="Security image from your bank"]'
    await side_by_side(scene, play, [("image", security_image, 1), ("image_options", "label img", 3)])


async def width_of(picture: Locator) -> int:
    """The width of the drawn image; 0 if it could not be drawn."""
    return int(await picture.evaluate("async (image) => (await image.decode(), image.naturalWidth)"))


async def test_a_code_is_offered_from_the_phone_s_messages(scene: Scene) -> None:
    widget = await scene.at_bank("ann", "token")
    await widget.sees("Enter your code")
    box = widget.frame.get_by_role("main").get_by_role("textbox")
    await expect(box).to_have_attribute("autocomplete", "one-time-code")


@pytest.mark.slow
async def test_a_challenge_without_an_answer_is_not_sent(scene: Scene) -> None:
    async def play(scene: Scene, password: str, message: str) -> None:
        widget = await scene.at_bank(f"for-{password}", password)
        await widget.sees(ASKED)
        await widget.press("Continue")
        await expect(widget.frame.get_by_text(message)).to_be_visible()
        assert await widget.posted("submitMFA") == []

    await side_by_side(
        scene, play, [("challenge", "This field is required."), ("options", "Choose an option.")]
    )


@pytest.mark.slow
async def test_numbers_and_owners_take_one_answer_and_a_bank_that_asks_again_is_named(scene: Scene) -> None:
    again = "MX Bank asks again before it shares more of what you agreed to."
    asked = {"mode": "verification", "include_identity": True}
    widget = await scene.at_bank("ann", "challenge", **asked)
    await widget.answer("correct")
    await widget.sees("Choose an account")
    assert len(await widget.posted("submitMFA")) == 1
    widget = await scene.at_bank("ben+mfa_every_job", "correct", **asked)
    await widget.answer("correct")
    await expect(widget.frame.get_by_text(again)).to_be_visible()
    await widget.answer("correct")
    await widget.sees("Choose an account")


async def test_a_code_is_sent_where_the_user_chooses_and_sent_again_by_keyboard(scene: Scene) -> None:
    widget = await scene.at_bank("ann+mfa_otp", "correct")
    await widget.sees(ASKED)
    await widget.frame.get_by_role("radio", name="Email to").check()
    await widget.press("Continue")
    await widget.sees("Enter your code")
    await widget.frame.get_by_role("button", name="Send a new code").press("Enter")
    await expect(widget.frame.get_by_text("We sent a new code. Enter the new code.")).to_be_visible()
    await widget.press("Get the code another way")
    await widget.frame.get_by_role("radio", name="Text message to").check()
    await widget.press("Continue")
    await expect(widget.frame.get_by_text("your phone ending in 0142")).to_be_visible()
    await widget.frame.get_by_role("main").get_by_role("textbox").fill("correct")
    await widget.press("Continue")
    await widget.sees("MX Bank is connected")
    assert len(await widget.posted("submitMFA")) == 5


@pytest.mark.slow
async def test_a_bank_asks_a_second_time(scene: Scene) -> None:
    widget = await scene.at_bank("ann", "challenge")
    await widget.answer("challenge")
    await widget.sees("Connecting to MX Bank")
    await widget.answer("correct")
    await widget.sees("MX Bank is connected")
    statuses = [each["connection_status"] for each in await widget.posted("memberStatusUpdate")]
    assert statuses.count(CONNECTION_STATUS_IDS[Status.CHALLENGED]) == 2


@pytest.mark.slow
async def test_an_answer_can_lock_the_login(scene: Scene) -> None:
    widget = await scene.at_bank("ann", "options")
    await answer_question(widget, KINDS["options"][0], "Padlock Place")
    await widget.sees("Your login is locked")
    assert len(await widget.posted("memberError")) == 1


@pytest.mark.slow
async def test_a_challenge_that_expires_while_the_page_is_open_is_repeated(
    scene: Scene, clock: MovableClock
) -> None:
    widget = await scene.at_bank("ann", "challenge")
    await widget.sees(ASKED)
    clock.advance(11 * MINUTE)
    await build_worker(scene.services).sweep()
    await widget.answer("correct")
    await widget.sees("You ran out of time")
    await widget.press("Try again")
    await widget.answer("correct")
    await widget.sees("MX Bank is connected")


@pytest.mark.slow
async def test_a_challenge_that_was_answered_elsewhere_is_not_repeated(scene: Scene) -> None:
    guid = await scene.member("ann", "challenge")
    pages = [await scene.embed("frame", current_member_guid=guid) for _ in range(2)]
    for page in pages:
        await page.answer("correct")
        await page.sees("MX Bank is connected")
