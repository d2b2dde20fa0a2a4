"""Verification by micro-deposits, without a sign-in at the bank."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from coatcheck.clock import MovableClock
from tests.browser.scene import Embedded, Scene, side_by_side
from tests.member_setup import until

ENTRY, VERIFY = "Enter your account details", "Enter the deposit amounts"
AT_ONCE, LATER = "3333567842", "1234567842"
"""An account whose deposits are 3 and 15 cents."""
ROUTING = "091000019"


async def at_account_form(scene: Scene) -> Embedded:
    widget = await scene.embed("frame", mode="verification")
    await widget.agree()
    await widget.press("Use account and routing numbers")
    await widget.sees(ENTRY)
    return widget


async def enter(
    widget: Embedded, account: str, *, routing: str = ROUTING, repeated: str | None = None
) -> None:
    await widget.frame.get_by_label("Routing number", exact=True).fill(routing)
    await widget.frame.get_by_label("Account number", exact=True).fill(account)
    await widget.frame.get_by_label("Confirm account number").fill(repeated or account)
    await widget.press("Continue")


async def check(widget: Embedded, first: str, second: str) -> None:
    await widget.sees(VERIFY)
    await widget.frame.get_by_label("First deposit").fill(first)
    await widget.frame.get_by_label("Second deposit").fill(second)
    await widget.press("Verify amounts")


async def reopen(scene: Scene, guid: str) -> Embedded:
    """The widget that the client opens on a later day."""
    return await scene.embed("frame", mode="verification", current_microdeposit_guid=guid)


async def arrived(scene: Scene) -> Embedded:
    """The widget of a user whose deposits were requested elsewhere."""
    body = {"account_number": AT_ONCE, "routing_number": ROUTING, "account_type": "CHECKING"}
    created = await scene.api.post(f"/users/{scene.user}/micro_deposits", json={"micro_deposit": body})
    await until_deposits_are(scene, "DEPOSITED")
    return await reopen(scene, created.json()["micro_deposit"][0]["guid"])


async def until_deposits_are(scene: Scene, status: str) -> None:
    async def have_status() -> bool:
        seen = await scene.api.get(f"/users/{scene.user}/micro_deposits")
        return [each["status"] for each in seen.json()["micro_deposits"]] == [status]

    await until(have_status)


async def accounts(scene: Scene) -> list[dict[str, Any]]:
    return list((await scene.api.get(f"/users/{scene.user}/accounts")).json()["accounts"])


async def test_account_numbers_and_later_the_amounts_verify_the_account(
    scene: Scene, clock: MovableClock
) -> None:
    await scene.context.clock.install()
    widget = await at_account_form(scene)
    await enter(widget, LATER)
    await widget.sees("We are sending two deposits")
    await until_deposits_are(scene, "REQUESTED")
    await widget.page.clock.fast_forward(5_000)
    await expect(widget.frame.get_by_text("should arrive in the account ending in 7842 by")).to_be_visible()
    (loaded,) = await widget.posted("microdeposits/loaded")
    (submitted,) = await widget.posted("microdeposits/detailsSubmitted")
    assert loaded["initial_step"] == "accountInfo"
    guid = submitted["microdeposit_guid"]
    await widget.press("Done")
    await widget.sees("You can close this page")
    assert len(await widget.posted("microdeposits/comeBack/primaryAction")) == 1

    clock.advance(timedelta(days=4))
    widget = await reopen(scene, guid)
    await check(widget, "0.15", "03")
    await widget.sees("Your account is verified")
    (loaded,) = await widget.posted("microdeposits/loaded")
    assert loaded["initial_step"] == "verifyDeposits"
    (posted,) = await widget.posted("microdeposits/verified")
    assert posted["microdeposit_guid"] == guid
    await widget.press("Done")
    assert len(await widget.posted("microdeposits/verified/primaryAction")) == 1
    (account,) = await accounts(scene)
    numbers = await scene.api.get(f"/users/{scene.user}/accounts/{account['guid']}/account_numbers")
    assert [each["account_number"] for each in numbers.json()["account_numbers"]] == [LATER]


async def test_deposits_that_arrive_while_the_page_polls_show_the_amounts_form(scene: Scene) -> None:
    await scene.context.clock.install()
    widget = await at_account_form(scene)
    await scene.pause_worker()
    await enter(widget, AT_ONCE)
    await widget.sees("We are sending two deposits")
    scene.worker_may_run.set()
    await until_deposits_are(scene, "DEPOSITED")
    await widget.page.clock.fast_forward(5_000)
    await widget.sees(VERIFY)


async def test_three_wrong_attempts_are_the_last_and_lead_back_to_the_search(scene: Scene) -> None:
    widget = await arrived(scene)
    alert = widget.frame.get_by_role("alert")
    await check(widget, "01", "02")
    await expect(alert).to_contain_text("You have 2 attempts left")
    await check(widget, "3", "14")
    await expect(alert).to_contain_text("You have 1 attempt left")
    await check(widget, "$0.03", "0,16")
    await widget.sees("We could not verify this account")
    await expect(widget.frame.get_by_text("The amounts were wrong three times.")).to_be_visible()
    await widget.press("Choose another bank")
    await widget.sees("Find your bank")
    assert len(await widget.posted("microdeposits/error/primaryAction")) == 1
    assert await widget.posted("microdeposits/verified") == []
    assert await accounts(scene) == []


async def test_invalid_numbers_are_refused_in_their_fields(scene: Scene) -> None:
    widget = await at_account_form(scene)
    for routing, account, repeated, message in (
        ("12345678", AT_ONCE, AT_ONCE, "Enter all 9 digits of the routing number."),
        (ROUTING, "123", "123", "Enter 4 to 17 digits."),
        (ROUTING, AT_ONCE, "3333567843", "The account numbers do not match."),
        ("091000018", AT_ONCE, AT_ONCE, "This routing number is not valid. Check it and try again."),
    ):
        await enter(widget, account, routing=routing, repeated=repeated)
        await expect(widget.frame.get_by_text(message)).to_be_visible()
    (blocked,) = await widget.posted("microdeposits/blockedRoutingNumber")
    assert (blocked["routing_number"], blocked["reason"]) == ("091000018", 0)
    assert await widget.posted("microdeposits/detailsSubmitted") == []


async def test_invalid_amounts_use_no_attempt(scene: Scene) -> None:
    widget = await arrived(scene)
    for amount in ("1.50", "seven", "007"):
        await check(widget, amount, "15")
        await expect(widget.frame.get_by_text("Enter only the cents, for example 07.")).to_be_visible()
    await check(widget, "03", "15")
    await widget.sees("Your account is verified")


async def test_signing_in_is_offered_before_deposits(scene: Scene) -> None:
    async def play(scene: Scene, button: str) -> None:
        widget = await at_account_form(scene)
        await enter(widget, AT_ONCE, routing="111111111")
        await expect(widget.frame.get_by_text("Connect MX Bank instantly")).to_be_visible()
        assert [each["reason"] for each in await widget.posted("microdeposits/blockedRoutingNumber")] == [3]
        await widget.press(button)
        if button == "Continue":
            await widget.sees("We are sending two deposits")
            return
        await widget.sees("Sign in to MX Bank")
        (chosen,) = await widget.posted("selectedInstitution")
        assert chosen["code"] == "mxbank"
        assert await widget.posted("microdeposits/detailsSubmitted") == []

    await side_by_side(scene, play, [("Sign in to MX Bank",), ("Continue",)])


@pytest.mark.slow
async def test_the_same_account_again_leads_to_its_existing_deposits(scene: Scene) -> None:
    await (await arrived(scene)).page.close()
    widget = await at_account_form(scene)
    await enter(widget, AT_ONCE)
    await check(widget, "03", "15")
    await widget.sees("Your account is verified")
    (submitted,) = await widget.posted("microdeposits/detailsSubmitted")
    assert submitted["microdeposit_guid"].startswith("MIC-")


@pytest.mark.slow
async def test_amounts_that_were_sent_elsewhere_are_not_requested_again(scene: Scene) -> None:
    first = await arrived(scene)
    await first.sees(VERIFY)
    guid = (await scene.api.get(f"/users/{scene.user}/micro_deposits")).json()["micro_deposits"][0]["guid"]
    second = await reopen(scene, guid)
    for widget in (first, second):
        await check(widget, "03", "15")
        await widget.sees("Your account is verified")
