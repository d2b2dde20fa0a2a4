"""Returning users: the same login again, other credentials, a bank that is connected already."""

import pytest
from playwright.async_api import expect

from coatcheck.model.mx_codes import CONNECTION_STATUS_IDS
from coatcheck.model.statuses import ConnectionStatus as Status
from tests.browser.scene import Scene, side_by_side

AGAIN, CONNECTED = "Sign in to MX Bank again", "MX Bank is connected"


async def members(scene: Scene) -> list[str]:
    found = (await scene.api.get(f"/users/{scene.user}/members")).json()["members"]
    return [each["guid"] for each in found]


# --- the same login ------------------------------------------------------------------------------------


async def test_the_same_login_connects_the_existing_member_with_the_new_credentials(scene: Scene) -> None:
    guid = await scene.member("ann", "INVALID")
    widget = await scene.at_bank("ann", "correct")
    await widget.sees(CONNECTED)
    assert await members(scene) == [guid]
    assert [each["member_guid"] for each in await widget.posted("memberConnected")] == [guid]
    assert [each["member_guid"] for each in await widget.posted("updateCredentials")] == [guid]
    assert await widget.posted("createMemberError") == []
    assert "Remove this connection" not in await widget.offers()


@pytest.mark.slow
async def test_the_same_login_shows_the_running_job(scene: Scene) -> None:
    await scene.pause_worker()
    guid = await scene.api.connect(scene.user, login="ann")
    widget = await scene.at_bank("ann", "correct")
    await widget.sees("Connecting to MX Bank")
    assert await widget.posted("updateCredentials") == []
    scene.worker_may_run.set()
    await widget.sees(CONNECTED)
    assert await members(scene) == [guid]


async def test_a_login_beyond_the_limit_is_refused_in_the_form(scene: Scene) -> None:
    for number in range(25):
        await scene.api.connect(scene.user, login=f"ann{number}", skip_aggregation=True)
    widget = await scene.at_bank("ann25", "correct")
    await expect(widget.frame.get_by_role("alert")).to_contain_text("the maximum number of connections")
    assert len(await widget.posted("createMemberError")) == 1


# --- a member that the client names ---------------------------------------------------------------------


@pytest.mark.slow
async def test_other_credentials_are_entered_without_another_consent(scene: Scene) -> None:
    guid = await scene.member()
    widget = await scene.embed("frame", current_member_guid=guid, update_credentials=True)
    await widget.sees(AGAIN)
    assert await widget.frame.get_by_role("alert").count() == 0
    assert await widget.posted("memberConnected") == []
    await widget.sign_in("mxuser", "INVALID")
    await expect(widget.frame.get_by_role("alert")).to_contain_text("Check your sign-in details")
    await widget.sign_in("mxuser", "correct")
    await widget.sees(CONNECTED)
    assert [each["member_guid"] for each in await widget.posted("updateCredentials")] == [guid] * 2
    assert [each["member_guid"] for each in await widget.posted("memberConnected")] == [guid]


async def test_a_current_member_starts_at_its_step_and_the_host_gets_its_status(scene: Scene) -> None:
    async def play(scene: Scene, password: str, title: str, status: Status, event: str | None) -> None:
        guid = await scene.member(f"for-{password.lower()}", password)
        widget = await scene.embed("frame", current_member_guid=guid)
        await widget.sees(title)
        assert [each["connection_status"] for each in await widget.posted("memberStatusUpdate")] == [
            CONNECTION_STATUS_IDS[status]
        ]
        received = [each for each in await widget.types() if each.startswith("connect/member")]
        assert received == ["connect/memberStatusUpdate", *([f"connect/{event}"] if event else [])]

    await side_by_side(
        scene,
        play,
        [
            ("correct", CONNECTED, Status.CONNECTED, "memberConnected"),
            ("challenge", "Verify your identity", Status.CHALLENGED, None),
            ("INVALID", AGAIN, Status.DENIED, "memberError"),
            ("LOCKED", "Your login is locked", Status.LOCKED, "memberError"),
        ],
    )


@pytest.mark.slow
async def test_a_current_member_with_a_running_job_is_polled(scene: Scene) -> None:
    await scene.pause_worker()
    guid = await scene.api.connect(scene.user)
    widget = await scene.embed("frame", current_member_guid=guid)
    await widget.sees("Connecting to MX Bank")
    scene.worker_may_run.set()
    await widget.sees(CONNECTED)


async def test_a_member_that_was_aggregated_is_verified_without_signing_in(scene: Scene) -> None:
    guid = await scene.member()
    widget = await scene.embed("frame", mode="verification", current_member_guid=guid)
    await widget.sees("Connecting to MX Bank")
    await widget.select("Savings")
    await widget.sees(CONNECTED)
    (posted,) = await widget.posted("memberConnected")
    account = (await scene.api.get(f"/users/{scene.user}/accounts/{posted['account_guid']}")).json()[
        "account"
    ]
    assert (account["type"], account["member_guid"]) == ("SAVINGS", guid)


async def test_a_verification_offers_the_banks_that_are_connected_and_others(scene: Scene) -> None:
    guid = await scene.member()
    widget = await scene.embed("frame", mode="verification")
    await widget.agree()
    await widget.sees("Choose a bank")
    await widget.press("Connect another bank")
    await widget.sees("Find your bank")
    await widget.press("Back")
    await widget.sees("Choose a bank")
    await widget.frame.get_by_role("list").get_by_role("button", name="MX Bank").click()
    await widget.select()
    await widget.sees(CONNECTED)
    assert [each["member_guid"] for each in await widget.posted("memberConnected")] == [guid]
    assert await members(scene) == [guid]


async def test_a_member_deleted_while_its_page_is_open_leads_back_to_the_start(scene: Scene) -> None:
    guid = await scene.member("ann", "LOCKED")
    widget = await scene.embed("frame", current_member_guid=guid)
    await widget.sees("Your login is locked")
    assert (await scene.api.delete(f"/users/{scene.user}/members/{guid}")).status_code == 204
    await widget.press("Try again")
    await widget.sees("Something went wrong")
    await widget.press("Try again")
    await widget.sees("Connect your bank to Harbour Pay")
