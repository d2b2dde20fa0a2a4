"""Every screen that an end user can meet, on walks from one to the next: for whoever has to look at all of them.

async for screen in walk(stage): ...      # each walk wants a stage of its own
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeAlias

from playwright.async_api import Page, expect

from tests.browser.scene import Embedded, Scene
from tests.member_setup import until
from tests.widget_client import link

HEADING, NOWHERE = "h1", "body"
DEPOSIT = {
    "routing_number": "091000019",
    "account_type": "CHECKING",
    "account_name": "Everyday",
    "first_name": "Ann",
    "last_name": "Example",
}
OAUTH_BANK = "MXCU (OAuth)"


@dataclass(frozen=True)
class Screen:
    """One of `SCREENS`, in front of the user."""

    name: str
    page: Page
    focus: str = HEADING
    """What has the focus there, as a CSS selector."""


Walk: TypeAlias = Callable[[Scene], AsyncIterator[Screen]]


async def signing_in(stage: Scene) -> AsyncIterator[Screen]:
    """The way that most users go."""
    widget = await _open(stage, mode="verification")
    page = widget.page
    await widget.sees("Connect your bank to Harbour Pay")
    yield Screen("consent", page, NOWHERE)
    await widget.agree()
    await widget.sees("Find your bank")
    await expect(page.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    yield Screen("search", page)
    await page.get_by_role("searchbox").fill("Nonesuch")
    await expect(page.get_by_text("No results for “Nonesuch”")).to_be_visible()
    yield Screen("search-nothing", page, "input")
    await widget.choose("MX Bank")
    await widget.sees("Sign in to MX Bank")
    yield Screen("credentials", page)
    await page.get_by_label("Username").fill("mxuser")
    await widget.press("Continue")
    await expect(page.get_by_text("This field is required.")).to_be_visible()
    yield Screen("credentials-missing", page, "input[type=password]")
    await widget.sign_in(password="challenge")
    await widget.sees("Verify your identity")
    yield Screen("mfa-text", page)
    await stage.rest()
    await widget.answer("correct")
    await widget.sees("Connecting to MX Bank")
    await expect(page.locator(".current")).to_have_text("Signing in")
    yield Screen("connecting", page)
    stage.is_at_work.set()
    await widget.sees("Choose an account")
    yield Screen("account-select", page)
    await widget.select()
    await widget.sees("MX Bank is connected")
    yield Screen("connected", page)


async def being_asked(stage: Scene) -> AsyncIterator[Screen]:
    """What a bank can want to know, in a widget that was opened for it."""
    for kind in ("options", "image", "image_options", "token"):
        widget = await _member(stage, f"ann{kind.replace('_', '')}", kind, "Verify your identity")
        yield Screen(f"mfa-{kind.replace('_', '-')}", widget.page, NOWHERE)


async def signing_in_at_the_bank(stage: Scene) -> AsyncIterator[Screen]:
    widget = await _open(stage)
    await widget.agree()
    await widget.choose(OAUTH_BANK)
    await widget.sees(f"Sign in at {OAUTH_BANK}")
    yield Screen("oauth-intro", widget.page)
    bank = await _window(widget, f"Continue to {OAUTH_BANK}")
    yield Screen("oauth-bank", bank, NOWHERE)
    await expect(widget.page.get_by_role("link", name=f"Open {OAUTH_BANK} here")).to_be_visible()
    yield Screen("oauth-waiting", widget.page, ".oauth-content")
    await bank.close()
    await expect(
        widget.page.get_by_role("main").get_by_text("The sign-in window seems to be closed")
    ).to_be_visible()
    yield Screen("oauth-closed", widget.page, ".oauth-content")
    yield Screen("oauth-denied", await _back_from_bank(stage, "Deny", "is not connected"), NOWHERE)
    bank = await _window(widget, "Try again")
    await bank.get_by_role("button", name="Deny").click()
    await widget.sees("Your bank is not connected")
    yield Screen("oauth-refused", widget.page)
    yield Screen("oauth-granted", await _back_from_bank(stage, "Allow", "is connected"), NOWHERE)


async def being_stopped(stage: Scene) -> AsyncIterator[Screen]:
    """Every kind of trouble, in a widget that was opened for a member who has it."""
    for name, control, title in (
        ("impeded", "impeded", "MX Bank needs you to do something"),
        ("failed", "http_500", "We could not connect to MX Bank"),
        ("delayed", "timed_out", "MX Bank is taking too long"),
        ("disconnected", "consent_revoked", "This connection has ended"),
        ("discontinued", "discontinued", "This connection is no longer available"),
        ("closed", "login_closed", "This login is closed"),
        ("no-accounts", "empty", "No accounts found"),
    ):
        widget = await _member(stage, f"{name}+{control}", "correct", title)
        yield Screen(f"problem-{name}", widget.page, NOWHERE)
    stopped = await stage.api.connect(stage.user, login="prevented", password="INVALID")
    for _ in range(2):
        await _settled(stage, stopped)
        await stage.api.post(f"/users/{stage.user}/members/{stopped}/aggregate")
    widget = await _at_member(stage, stopped, "Too many attempts")
    yield Screen("problem-prevented", widget.page, NOWHERE)
    widget = await _member(stage, "eligible+empty", "correct", "No eligible accounts", mode="verification")
    yield Screen("no-eligible-accounts", widget.page)


async def being_refused(stage: Scene) -> AsyncIterator[Screen]:
    """By the bank: the password, the answer, and then the user; who takes it back at last."""
    widget = await _open(stage, current_institution_code="mxbank")
    await widget.agree()
    await widget.sign_in(password="INVALID")
    await widget.sees("Sign in to MX Bank again")
    yield Screen("credentials-refused", widget.page)
    await widget.sign_in(password="challenge")
    await widget.answer("wrong")
    await widget.sees("Incorrect answer")
    yield Screen("problem-rejected", widget.page)
    await widget.press("Choose another bank")
    await widget.choose("MX Bank")
    await widget.sign_in("mxuser+locked")
    await widget.sees("Your login is locked")
    yield Screen("problem-locked", widget.page)
    await widget.press("Remove this connection")
    await widget.sees("MX Bank is no longer connected")
    yield Screen("removed", widget.page)


async def coming_again(stage: Scene) -> AsyncIterator[Screen]:
    await stage.member()
    widget = await _open(stage, mode="verification")
    await widget.agree()
    await widget.sees("Choose a bank")
    yield Screen("existing", widget.page)


async def paying_in(stage: Scene) -> AsyncIterator[Screen]:
    """Micro-deposits, until the page has waited for them too long; and again when they have arrived."""
    widget = await _open(stage, mode="verification")
    page = widget.page
    await widget.agree()
    await widget.press("Use account and routing numbers")
    await widget.sees("Enter your account details")
    yield Screen("deposits-entry", page)
    await page.get_by_label("Routing number").fill("111111111")
    for label in ("Account number", "Confirm account number"):
        await page.get_by_label(label, exact=True).fill("1234567842")
    await widget.press("Continue")
    await expect(page.get_by_text("Connect MX Bank instantly")).to_be_visible()
    yield Screen("deposits-advice", page, ".notice button")
    await page.get_by_label("Routing number").fill("091000019")
    await widget.press("Continue")
    await widget.sees("We are sending two deposits")
    yield Screen("deposits-sent", page)
    stage.services.clock.advance(timedelta(hours=3))
    await widget.sees("Your session has expired")
    yield Screen("session-over", page)
    widget = await _deposit(stage, "3333567842")
    yield Screen("deposits-verify", widget.page, NOWHERE)
    await _enter(widget, "1", "2")
    await expect(widget.page.get_by_text("The amounts do not match")).to_be_visible()
    yield Screen("deposits-wrong", widget.page)
    for tries_left in (1, 0):
        await _enter(widget, "1", "2")
        said = "You have 1 attempt left." if tries_left else "We could not verify this account"
        await expect(widget.page.get_by_text(said)).to_be_visible()
    yield Screen("deposits-failed", widget.page)
    widget = await _deposit(stage, "3333000042")
    await _enter(widget, "3", "15")
    await widget.sees("Your account is verified")
    yield Screen("deposits-verified", widget.page)


async def being_cut_off(stage: Scene) -> AsyncIterator[Screen]:
    """From the network, by a fault of ours, and because the link was used."""
    url = await link(stage.api, stage.user, color_scheme="browser")
    page = await stage.context.new_page()
    await page.goto(url)
    widget = Embedded(stage, page, page.main_frame)
    await widget.agree()
    await widget.sees("Find your bank")
    await page.route("**/md/api/**", lambda route: route.abort())
    await page.get_by_role("searchbox").fill("MX")
    await expect(page.get_by_text("No connection. Retrying…")).to_be_visible()
    yield Screen("cut-off", page, "input")
    await page.unroute("**/md/api/**")
    await page.route("**/credentials", lambda route: route.fulfill(status=418, json={}))
    await page.get_by_role("button", name="MX Bank", exact=False).first.click()
    await widget.sees("Something went wrong")
    await expect(page.get_by_text("No connection. Retrying…")).to_be_hidden()
    yield Screen("failed", page)
    again = await stage.context.new_page()
    await again.goto(url)
    yield Screen("link-over", again, NOWHERE)


WALKS: Mapping[Walk, Mapping[str, str]] = MappingProxyType(
    {
        signing_in: {
            "consent": "who asks for what, for how long, and who may read it; below, Agree and continue",
            "search": "a box to search in, and the popular banks with their logos",
            "search-nothing": "nothing is called what was typed, and what to try instead",
            "credentials": "the bank's logo, a username and a password to fill in",
            "credentials-missing": "the password was left out, and its field says so",
            "mfa-text": "the bank's question, with a field for the answer",
            "connecting": "both logos, and what is being done: calling, signing in, finding accounts",
            "account-select": "the accounts at the bank, one to be chosen",
            "connected": "both logos, joined by a check mark: connected",
        },
        being_asked: {
            "mfa-options": "the bank's question, with answers to choose from",
            "mfa-image": "the bank's question, about a picture",
            "mfa-image-options": "the bank's question, with pictures to choose from",
            "mfa-token": "the bank asks for the code that it sent",
        },
        signing_in_at_the_bank: {
            "oauth-intro": "three steps that tell what will happen at the bank's own page",
            "oauth-bank": "the bank's own page: what an app wants to read, a username, Allow and Deny",
            "oauth-waiting": "waiting for the user to finish at the bank, with a link in case no window came up",
            "oauth-closed": "the bank's window was closed, and can be opened again",
            "oauth-denied": "the bank's window, at its end: not connected",
            "oauth-refused": "access was not granted; one can try again or choose another bank",
            "oauth-granted": "the bank's window, at its end: connected",
        },
        being_refused: {
            "credentials-refused": "the bank refused the sign-in, and asks for it again",
            "problem-rejected": "the answer to the bank's question was not right",
            "problem-locked": "the bank has locked the login: go to the bank, try again, or remove the connection",
            "removed": "the connection was taken back",
        },
        being_stopped: {
            "problem-impeded": "the bank wants the user on its own site first",
            "problem-failed": "the bank could not be read; one can try again",
            "problem-delayed": "the bank did not answer in time",
            "problem-disconnected": "the access was withdrawn at the bank",
            "problem-discontinued": "the bank no longer offers this connection",
            "problem-closed": "the user is no longer a customer there",
            "problem-no-accounts": "the bank let the user in and showed no account",
            "problem-prevented": "three refused sign-ins, and nothing is tried before other details are entered",
            "no-eligible-accounts": "no account there can be used; another bank, or account numbers instead",
        },
        coming_again: {
            "existing": "the banks connected before, one of which can be used",
        },
        paying_in: {
            "deposits-entry": "account numbers to fill in, for two small deposits",
            "deposits-advice": "this bank could be signed in to at once",
            "deposits-sent": "two deposits are on their way",
            "session-over": "the page has expired; the way on begins in the app",
            "deposits-verify": "two deposits arrived; their amounts are to be entered",
            "deposits-wrong": "those were not the amounts; two tries are left",
            "deposits-failed": "the amounts were wrong three times",
            "deposits-verified": "the account is verified",
        },
        being_cut_off: {
            "cut-off": "no connection: the head of the page says that it is being tried again",
            "failed": "something went wrong, and can be tried again",
            "link-over": "a link that was opened before no longer works",
        },
    }
)
"""Each with the screens that it passes, in order, and what is to be seen there."""
SCREENS: Mapping[str, str] = {name: seen for passed in WALKS.values() for name, seen in passed.items()}


async def _open(stage: Scene, **options: Any) -> Embedded:
    """A widget whose colours follow the browser's."""
    return await stage.open(color_scheme="browser", **options)


async def _member(stage: Scene, login: str, password: str, title: str, **options: Any) -> Embedded:
    """A widget for one who was connected before, with this title."""
    guid = await stage.api.connect(stage.user, login=login, password=password)
    return await _at_member(stage, guid, title, **options)


async def _at_member(stage: Scene, guid: str, title: str, **options: Any) -> Embedded:
    await _settled(stage, guid)
    widget = await _open(stage, current_member_guid=guid, **options)
    await widget.sees(title)
    return widget


async def _settled(stage: Scene, guid: str) -> None:
    """Until the bank has said something, be it a question."""

    async def is_told() -> bool:
        member = (await stage.api.get(f"/users/{stage.user}/members/{guid}/status")).json()["member"]
        return not member["is_being_aggregated"] or member["connection_status"] == "CHALLENGED"

    await until(is_told)


async def _back_from_bank(stage: Scene, decision: str, title: str) -> Page:
    """The bank's window at its end. No widget opened it, which would close it as soon as it goes on."""
    wanted = {"member": {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}}
    made = await stage.api.post(f"/users/{await stage.api.create_user()}/members", json=wanted)
    page = await stage.context.new_page()
    await page.goto(made.json()["member"]["oauth_window_uri"])
    await page.get_by_role("button", name=decision).click()
    await expect(page.get_by_role("heading", name=f"{OAUTH_BANK} {title}")).to_be_visible()
    return page


async def _window(widget: Embedded, button: str) -> Page:
    """The bank's, which a click opens."""
    async with widget.page.context.expect_page() as opened:
        await widget.press(button)
    bank = await opened.value
    await expect(bank.get_by_role("heading", name=f"Sign in to {OAUTH_BANK}")).to_be_visible()
    return bank


async def _deposit(stage: Scene, account_number: str) -> Embedded:
    """A widget for two deposits that have arrived."""
    asked = {
        "micro_deposit": {
            **DEPOSIT,
            "account_number": account_number,
            "email": f"{account_number}@app.example",
        }
    }
    made = await stage.api.post(f"/users/{stage.user}/micro_deposits", json=asked)
    assert made.status_code == 200, made.text
    await stage.api.work()
    (deposit,) = made.json()["micro_deposit"]
    widget = await _open(stage, current_microdeposit_guid=deposit["guid"])
    await widget.sees("Enter the deposit amounts")
    return widget


async def _enter(widget: Embedded, first: str, second: str) -> None:
    await widget.page.get_by_label("First deposit").fill(first)
    await widget.page.get_by_label("Second deposit").fill(second)
    await widget.press("Verify amounts")
