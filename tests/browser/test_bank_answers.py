"""The screen of every result of a bank, and what its buttons do."""

from collections.abc import Sequence

import pytest
from playwright.async_api import expect

from coatcheck.members.institutions import ClientAt
from coatcheck.model.institution_statuses import ClientStatus
from coatcheck.model.mx_codes import CONNECTION_STATUS_IDS
from coatcheck.model.statuses import ConnectionStatus as Status
from coatcheck.widget.messages import ACTION_LABELS, STATUS_MESSAGES, Action
from tests.browser.scene import Embedded, Scene, side_by_side
from tests.guides import ROOT, table

SANDBOX_BANK = ROOT / "docs" / "reference" / "sandbox-bank.md"
ANOTHER, AGAIN, REMOVE = "Choose another bank", "Try again", "Remove this connection"
VISIT, DETAILS = "Go to MX Bank", "Sign in again"
FORM = "Sign in to MX Bank again"

PASSWORDS = {
    "BAD_REQUEST": (Status.FAILED, "We could not connect to MX Bank", [AGAIN, ANOTHER, REMOVE]),
    "UNAUTHORIZED": (Status.DENIED, FORM, ["Continue"]),
    "INVALID": (Status.DENIED, FORM, ["Continue"]),
    "LOCKED": (Status.LOCKED, "Your login is locked", [VISIT, AGAIN, ANOTHER, REMOVE]),
    "DISABLED": (Status.DENIED, FORM, ["Continue"]),
    "SERVER_ERROR": (Status.FAILED, "We could not connect to MX Bank", [AGAIN, ANOTHER, REMOVE]),
    "UNAVAILABLE": (Status.FAILED, "We could not connect to MX Bank", [AGAIN, ANOTHER, REMOVE]),
    "challenge": (Status.CHALLENGED, "Verify your identity", ["Continue"]),
    "options": (Status.CHALLENGED, "Verify your identity", ["Continue"]),
    "image": (Status.CHALLENGED, "Verify your identity", ["Continue"]),
    "image_options": (Status.CHALLENGED, "Verify your identity", ["Continue"]),
    "token": (Status.CHALLENGED, "Enter your code", ["Continue"]),
}
"""By the password: the member's status, the title, and the buttons."""
CONTROLS = {
    "impeded": (Status.IMPEDED, "MX Bank needs you to do something", [VISIT, AGAIN, ANOTHER, REMOVE]),
    "locked": (Status.LOCKED, "Your login is locked", [VISIT, AGAIN, ANOTHER, REMOVE]),
    "consent_revoked": (Status.DISCONNECTED, "This connection has ended", [DETAILS, ANOTHER, REMOVE]),
    "login_closed": (Status.CLOSED, "This login is closed", [ANOTHER, REMOVE]),
    "discontinued": (Status.DISCONTINUED, "This connection is no longer available", [ANOTHER, REMOVE]),
    "timed_out": (Status.DELAYED, "MX Bank is taking too long", [AGAIN, ANOTHER, REMOVE]),
    "http_500": (Status.FAILED, "We could not connect to MX Bank", [AGAIN, ANOTHER, REMOVE]),
    "http_503": (Status.FAILED, "We could not connect to MX Bank", [AGAIN, ANOTHER, REMOVE]),
    "empty": (Status.CONNECTED, "No accounts found", [ANOTHER, REMOVE]),
}


@pytest.mark.parametrize(
    "passwords",
    [("UNAUTHORIZED", "LOCKED"), pytest.param(tuple(PASSWORDS), marks=pytest.mark.slow)],
    ids=["two", "all"],
)
async def test_every_password_of_the_sandbox_bank_has_a_screen_with_a_next_step(
    scene: Scene, passwords: Sequence[str]
) -> None:
    listed = {row[0].strip("`"): Status(row[1]) for row in table(SANDBOX_BANK, "Passwords")}
    assert listed == {password: status for password, (status, *_) in PASSWORDS.items()}

    async def play(scene: Scene, password: str, status: Status, title: str, offers: list[str]) -> None:
        widget = await scene.at_bank(f"for-{password.lower()}", password)
        await assert_screen(widget, status, title, offers)

    await side_by_side(scene, play, [(password, *PASSWORDS[password]) for password in passwords])


@pytest.mark.slow
async def test_every_failing_control_has_a_screen_with_a_next_step(
    scene: Scene,
) -> None:
    async def play(scene: Scene, control: str, status: Status, title: str, offers: list[str]) -> None:
        widget = await scene.at_bank(f"ann+{control}", "correct")
        await assert_screen(widget, status, title, offers)

    await side_by_side(scene, play, [(control, *seen) for control, seen in CONTROLS.items()])


async def assert_screen(widget: Embedded, status: Status, title: str, offers: list[str]) -> None:
    await widget.sees(title)
    assert await widget.offers() == offers
    posted = [each["connection_status"] for each in await widget.posted("memberStatusUpdate")]
    assert posted == [CONNECTION_STATUS_IDS[Status.CREATED], CONNECTION_STATUS_IDS[status]]
    errors = [each["member"]["connection_status"] for each in await widget.posted("memberError")]
    assert errors == ([] if status is Status.CHALLENGED else [CONNECTION_STATUS_IDS[status]])
    assert await widget.posted("memberConnected") == []
    alerts = await widget.frame.get_by_role("alert").all_inner_texts()
    assert [text.partition("\n")[0] for text in alerts] == (
        ["Check your sign-in details"] if status is Status.DENIED else []
    )


# --- every status that stops ---------------------------------------------------------------------------

RETRIED_AT_ONCE = {Status.REJECTED, Status.EXPIRED}
"""Statuses that a returning user retries at once."""
LEADS_TO = {
    Action.ENTER_CREDS: FORM,
    Action.RETRY: "MX Bank is connected",
    Action.SEARCH: "Find your bank",
}


@pytest.mark.parametrize(
    "statuses",
    [(Status.IMPEDED, Status.FAILED), pytest.param(tuple(STATUS_MESSAGES), marks=pytest.mark.slow)],
    ids=["two", "all"],
)
async def test_every_status_that_stops_has_a_message_and_its_first_button_works(
    scene: Scene, statuses: Sequence[Status]
) -> None:
    async def play(scene: Scene, status: Status) -> None:
        guid = await scene.member(f"for-{status.lower()}")
        await put_status(scene, guid, status)
        widget = await scene.embed("frame", current_member_guid=guid)
        if status in RETRIED_AT_ONCE:
            await widget.sees("MX Bank is connected")
            return
        message = STATUS_MESSAGES[status]
        if message.primary is None:
            await widget.sees(FORM)
            await expect(widget.frame.get_by_role("alert")).to_contain_text(message.title)
            return
        await widget.sees(message.title.replace("{name}", "MX Bank"))
        await expect(widget.frame.get_by_text(message.text.replace("{name}", "MX Bank"))).to_be_visible()
        label = ACTION_LABELS[message.primary].replace("{name}", "MX Bank")
        assert (await widget.offers())[0] == label
        if message.primary is Action.VISIT:
            await scene.context.route(
                "https://www.mxbank.example/**", lambda route: route.fulfill(body="The bank's own site")
            )
            async with widget.page.expect_popup() as opened:
                await widget.frame.get_by_role("link", name=label).click()
            await expect((await opened.value).get_by_text("The bank's own site")).to_be_visible()
            await widget.press(AGAIN)
            await widget.sees("MX Bank is connected")
        else:
            await widget.press(label)
            await widget.sees(LEADS_TO[message.primary])
        assert [each["member_guid"] for each in await widget.posted("memberError/primaryAction")] == [guid]

    await side_by_side(scene, play, [(status,) for status in statuses])


async def put_status(scene: Scene, member_guid: str, status: Status) -> None:
    async with scene.services.db.transaction() as connection:
        await connection.execute(
            "UPDATE member SET connection_status = %(status)s WHERE user_guid = %(user)s AND guid = %(guid)s",
            {"status": status, "user": scene.user, "guid": member_guid},
        )


# --- next steps ------------------------------------------------------------------------------------------


async def test_refused_credentials_are_entered_again_until_they_are_right(scene: Scene) -> None:
    widget = await scene.at_bank("mxuser", "INVALID")
    await widget.sees(FORM)
    await expect(widget.frame.get_by_label("Password", exact=True)).to_have_value("")
    await widget.sign_in("mxuser", "UNAUTHORIZED")
    await widget.sees("Connecting to MX Bank")
    await widget.sees(FORM)
    await widget.sign_in("mxuser", "correct")
    await widget.sees("MX Bank is connected")
    assert [each["connection_status"] for each in await widget.posted("memberStatusUpdate")] == [
        CONNECTION_STATUS_IDS[each]
        for each in (
            *(Status.CREATED, Status.DENIED),
            *(Status.UPDATED, Status.DENIED),
            *(Status.UPDATED, Status.CONNECTED),
        )
    ]
    assert len(await widget.posted("updateCredentials")) == 2


@pytest.mark.slow
async def test_trying_again_calls_the_bank_again_and_shows_another_failure(scene: Scene) -> None:
    widget = await scene.at_bank("mxuser", "SERVER_ERROR")
    await widget.sees("We could not connect to MX Bank")
    await scene.pause_worker()
    await widget.press(AGAIN)
    await widget.sees("Connecting to MX Bank")
    scene.worker_may_run.set()
    await widget.sees("We could not connect to MX Bank")
    assert len(await widget.posted("memberError")) == 2


@pytest.mark.slow
async def test_a_failed_connection_can_be_removed_in_the_session_that_made_it(scene: Scene) -> None:
    widget = await scene.at_bank("mxuser", "SERVER_ERROR")
    await widget.press(REMOVE)
    await widget.sees("Remove the connection to MX Bank?")
    await widget.press("Remove")
    await widget.sees("MX Bank is no longer connected")
    (posted,) = await widget.posted("memberDeleted")
    members = (await scene.api.get(f"/users/{scene.user}/members")).json()["members"]
    assert posted["member_guid"].startswith("MBR-")
    assert members == []
    await widget.press(ANOTHER)
    await widget.sees("Find your bank")


async def test_a_bank_without_an_eligible_account_offers_account_numbers(scene: Scene) -> None:
    widget = await scene.at_bank("ann+empty", "correct", mode="verification")
    await widget.sees("No eligible accounts")
    (posted,) = await widget.posted("invalidData")
    assert posted["member_guid"].startswith("MBR-")
    assert posted["code"] == 1000
    assert await widget.offers() == [ANOTHER, "Use account and routing numbers", REMOVE]
    await widget.press("Use account and routing numbers")
    await widget.sees("Enter your account details")


async def test_a_slow_bank_has_a_note_and_can_be_left(scene: Scene) -> None:
    await scene.context.clock.install()
    await scene.pause_worker()
    widget = await scene.at_bank("mxuser", "correct")
    await widget.sees("Connecting to MX Bank")
    await widget.page.clock.fast_forward(16_000)
    await expect(widget.frame.get_by_text("This is taking longer than usual.").first).to_be_visible()
    await widget.page.clock.fast_forward(46_000)
    await widget.press("Connect another bank while you wait")
    await widget.sees("Find your bank")
    assert len(await widget.posted("backToSearch")) == 1


async def test_a_bank_that_the_operator_switched_off_has_a_screen_and_is_found_no_more(scene: Scene) -> None:
    widget = await scene.embed("frame")
    await widget.agree()
    await widget.choose("MX Bank")
    await scene.services.institutions.set_client_status(
        ClientAt(scene.api.caller.guid, "mxbank"), ClientStatus.PREVENT_ALL, actor="operator"
    )
    await widget.sign_in()
    await widget.sees("This bank is not available right now")
    assert await widget.offers() == [ANOTHER]
    await widget.press(ANOTHER)
    await widget.sees("Find your bank")
    await widget.search("MX Bank")
    found = await widget.frame.get_by_role("list").locator("strong").all_inner_texts()
    assert "MX Bank (OAuth)" in found
    assert "MX Bank" not in found
