"""After a reload, a session is at the same step: the server keeps all that the step depends on."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from coatcheck.widget.steps import Step
from tests.api_client import Api
from tests.widget_client import DEPOSIT, Page, oauth, open_page, signing_in

Reach: TypeAlias = Callable[[Api, str], Awaitable[tuple[Page, str | None]]]
"""Opens a session and goes to a step. Returns its page and the guid of the member that it is about."""


def at_start(*, consented: bool = True, **options: Any) -> Reach:
    async def reach(api: Api, user: str) -> tuple[Page, None]:
        return await open_page(api, user, consented=consented, **options), None

    return reach


def at_member(login: str = "ann", password: str = "correct", **options: Any) -> Reach:
    async def reach(api: Api, user: str) -> tuple[Page, str]:
        page = await open_page(api, user, **options)
        return page, (await page.connect(login, password))["guid"]

    return reach


async def at_oauth(api: Api, user: str) -> tuple[Page, str]:
    page = await open_page(api, user)
    return page, (await page.send("POST", "/members", oauth(api)))["member"]["guid"]


async def while_connecting(api: Api, user: str) -> tuple[Page, str]:
    page = await open_page(api, user)
    return page, (await page.send("POST", "/members", signing_in(api, "ann", "correct")))["member"]["guid"]


async def at_deposits(api: Api, user: str) -> tuple[Page, None]:
    page = await open_page(api, user, mode="verification")
    deposit = (await page.send("POST", "/micro_deposits", DEPOSIT))["micro_deposit"]
    return await open_page(api, user, current_microdeposit_guid=deposit["guid"]), None


async def with_a_bank(api: Api, user: str) -> tuple[Page, None]:
    await (await open_page(api, user, mode="verification")).connect()
    return await open_page(api, user, mode="verification"), None


REACH: dict[Step, Reach] = {
    Step.CONSENT: at_start(consented=False),
    Step.SEARCH: at_start(),
    Step.ENTER_CREDS: at_member(password="INVALID"),
    Step.OAUTH: at_oauth,
    Step.CONNECTING: while_connecting,
    Step.MFA: at_member(password="challenge"),
    Step.ACCOUNT_SELECT: at_member(mode="verification"),
    Step.NO_ELIGIBLE_ACCOUNTS: at_member("ann+empty", mode="verification"),
    Step.ACTIONABLE_ERROR: at_member("ann+impeded"),
    Step.CONNECTED: at_member(),
    Step.MICRO_DEPOSITS: at_deposits,
    Step.VERIFY_EXISTING_MEMBER: with_a_bank,
}


@pytest.mark.parametrize("step", Step)
async def test_a_reload_continues_at_the_same_step(api: Api, user: str, step: Step) -> None:
    page, member = await REACH[step](api, user)
    for _ in range(2):
        boot = await page.get("/boot")
        shown = boot["start"] if member is None else await page.get(f"/members/{member}")
        assert shown["step"] == step
        assert boot["session_guid"] == page.boot["session_guid"]
