"""Every screen of the widget, on walks from one to the next, for tests and pictures of all of them.

async for screen in walk(scene): ...      # each walk needs a scene of its own
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeAlias

from playwright.async_api import FilePayload, Page, expect

from coatcheck.members.institutions import ClientAt
from coatcheck.model.institution_statuses import ClientStatus
from tests.browser.scene import Embedded, Scene, finish
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
TABLE = b"Wann,Was,Wieviel\n25.10.2026,CORNER AND CO,-42.17\n26.10.2026,PAYROLL,1800.00\n"


@dataclass(frozen=True)
class Screen:
    """One of `SCREENS`, in front of the user."""

    name: str
    page: Page
    focus: str = HEADING
    """The element that has the focus, as a CSS selector."""


Walk: TypeAlias = Callable[[Scene], AsyncIterator[Screen]]


async def sign_in(scene: Scene) -> AsyncIterator[Screen]:
    """The usual way."""
    widget = await _open(scene, mode="verification")
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
    await scene.pause_worker()
    await widget.answer("correct")
    await widget.sees("Connecting to MX Bank")
    await expect(page.locator(".current")).to_have_text("Signing in")
    yield Screen("connecting", page)
    scene.worker_may_run.set()
    await widget.sees("Choose an account")
    yield Screen("account-select", page)
    await widget.select()
    await widget.sees("MX Bank is connected")
    yield Screen("connected", page)


async def challenges(scene: Scene) -> AsyncIterator[Screen]:
    """Every kind of challenge, in a widget that was opened at its bank."""
    for kind in ("options", "image", "image_options", "token"):
        widget = await _member(
            scene,
            f"ann{kind.replace('_', '')}",
            kind,
            "Enter your code" if kind == "token" else "Verify your identity",
        )
        yield Screen(f"mfa-{kind.replace('_', '-')}", widget.page, NOWHERE)
    widget = await _member(scene, "ann+mfa_otp", "correct", "Verify your identity")
    yield Screen("mfa-code-way", widget.page, NOWHERE)
    await widget.page.get_by_role("radio", name="Email to").check()
    await widget.press("Continue")
    await widget.sees("Enter your code")
    yield Screen("mfa-code", widget.page)


async def several_accounts(scene: Scene) -> AsyncIterator[Screen]:
    """The client asks that the user selects one or several accounts; then the user is done."""
    widget = await _open(
        scene, mode="verification", current_institution_code="mxbank", select_several_accounts=True
    )
    page = widget.page
    await expect(page.get_by_text("You select the accounts after you sign in.")).to_be_visible()
    yield Screen("consent-accounts", page, NOWHERE)
    await widget.agree()
    await widget.sign_in()
    await widget.sees("Select your accounts")
    yield Screen("account-select-several", page)
    await widget.press("Continue")
    await expect(page.get_by_text("Choose at least one.")).to_be_visible()
    yield Screen("account-select-none", page, "input")
    await page.get_by_role("checkbox").first.check()
    await widget.press("Continue")
    await widget.sees("MX Bank is connected")
    await widget.press("Done")
    await widget.sees("You can close this page")
    yield Screen("closed", page)


async def oauth_sign_in(scene: Scene) -> AsyncIterator[Screen]:
    widget = await _open(scene)
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
    yield Screen(
        "oauth-denied", await _back_from_bank(scene, "Deny", f"{OAUTH_BANK} is not connected"), NOWHERE
    )
    bank = await _window(widget, "Try again")
    await finish(bank, "Deny")
    await widget.sees("Your bank is not connected")
    yield Screen("oauth-refused", widget.page)
    question = await _back_from_bank(scene, "Allow", f"Connect {OAUTH_BANK} to")
    yield Screen("oauth-question", question, NOWHERE)
    await question.get_by_role("button", name="Connect").click()
    await expect(question.get_by_role("heading", name=f"{OAUTH_BANK} is connected")).to_be_visible()
    yield Screen("oauth-granted", question, NOWHERE)


async def stopping_statuses(scene: Scene) -> AsyncIterator[Screen]:
    """Every status that stops, in a widget that was opened for a member with it."""
    for name, control, title in (
        ("impeded", "impeded", "MX Bank needs you to do something"),
        ("failed", "http_500", "We could not connect to MX Bank"),
        ("delayed", "timed_out", "MX Bank is taking too long"),
        ("disconnected", "consent_revoked", "This connection has ended"),
        ("discontinued", "discontinued", "This connection is no longer available"),
        ("closed", "login_closed", "This login is closed"),
        ("no-accounts", "empty", "No accounts found"),
    ):
        widget = await _member(scene, f"{name}+{control}", "correct", title)
        yield Screen(f"problem-{name}", widget.page, NOWHERE)
    stopped = await scene.api.connect(scene.user, login="prevented", password="INVALID")
    for _ in range(2):
        await _settled(scene, stopped)
        await scene.api.post(f"/users/{scene.user}/members/{stopped}/aggregate")
    widget = await _at_member(scene, stopped, "Too many attempts")
    yield Screen("problem-prevented", widget.page, NOWHERE)
    widget = await _member(scene, "eligible+empty", "correct", "No eligible accounts", mode="verification")
    yield Screen("no-eligible-accounts", widget.page)


async def refusals(scene: Scene) -> AsyncIterator[Screen]:
    """The bank refuses the password, the answer and the login; then the user removes the connection."""
    widget = await _open(scene, current_institution_code="mxbank")
    await widget.agree()
    await widget.sign_in(password="INVALID")
    await widget.sees("Sign in to MX Bank again")
    yield Screen("credentials-refused", widget.page, "input")
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
    await widget.sees("Remove the connection to MX Bank?")
    yield Screen("removal", widget.page)
    await widget.press("Remove")
    await widget.sees("MX Bank is no longer connected")
    yield Screen("removed", widget.page)


async def existing_members(scene: Scene) -> AsyncIterator[Screen]:
    await scene.member()
    widget = await _open(scene, mode="verification")
    await widget.agree()
    await widget.sees("Choose a bank")
    yield Screen("existing", widget.page)


async def micro_deposits(scene: Scene) -> AsyncIterator[Screen]:
    """Micro-deposits, until the session expires; and again when they have arrived."""
    widget = await _open(scene, mode="verification")
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
    scene.services.clock.advance(timedelta(hours=3))
    await widget.sees("Your session has expired")
    yield Screen("session-over", page)
    widget = await _deposit(scene, "3333567842")
    yield Screen("deposits-verify", widget.page, NOWHERE)
    await _enter(widget, "1", "2")
    await expect(widget.page.get_by_text("The amounts do not match")).to_be_visible()
    yield Screen("deposits-wrong", widget.page)
    for tries_left in (1, 0):
        await _enter(widget, "1", "2")
        text = "You have 1 attempt left." if tries_left else "We could not verify this account"
        await expect(widget.page.get_by_text(text)).to_be_visible()
    yield Screen("deposits-failed", widget.page)
    widget = await _deposit(scene, "3333000042")
    await _enter(widget, "3", "15")
    await widget.sees("Your account is verified")
    yield Screen("deposits-verified", widget.page)


async def statement_files(scene: Scene) -> AsyncIterator[Screen]:
    """A table whose columns the user names, and its import."""
    widget = await _open(scene)
    page = widget.page
    await widget.agree()
    await widget.press("Add a bank file")
    await widget.sees("Add a bank file")
    yield Screen("files-choose", page)
    await page.get_by_label("Drop a file here").set_input_files(
        _csv(b"Date,Amount\n10/25/2026,1.00\n10/26/2026,x\n")
    )
    await expect(page.get_by_text("The problem is in line 3, at amount.")).to_be_visible()
    yield Screen("files-unreadable", page)
    await page.get_by_label("Drop a file here").set_input_files(_csv(TABLE))
    await expect(page.get_by_text("Choose what each column contains.")).to_be_visible()
    for label, header in (("Date", "Wann"), ("Description", "Was"), ("Amount", "Wieviel")):
        await page.get_by_label(label, exact=True).select_option(label=header)
    await page.get_by_label("Account name (optional)").fill("Household")
    yield Screen("files-columns", page, "input")
    await widget.press("Update the preview")
    await widget.sees("Check your file")
    yield Screen("files-preview", page)
    await widget.press("Import")
    await widget.sees("Your file is imported")
    yield Screen("files-imported", page)


async def interruptions(scene: Scene) -> AsyncIterator[Screen]:
    """Without a network, after an internal error, and with a used link."""
    url = await link(scene.api, scene.user, color_scheme="browser")
    page = await scene.context.new_page()
    await page.goto(url)
    widget = Embedded(scene, page, page.main_frame)
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
    switched_off = await _open(scene, current_institution_code="mxbank")
    await switched_off.agree()
    await scene.services.institutions.set_client_status(
        ClientAt(scene.api.caller.guid, "mxbank"), ClientStatus.PREVENT_ALL, actor="operator"
    )
    await switched_off.sign_in()
    await switched_off.sees("This bank is not available right now")
    yield Screen("unavailable", switched_off.page)
    again = await scene.context.new_page()
    await again.goto(url)
    yield Screen("link-over", again, NOWHERE)


WALKS: Mapping[Walk, Mapping[str, str]] = MappingProxyType(
    {
        sign_in: {
            "consent": "what is shared, how often and with whom; below, Agree and continue",
            "search": "a search field, and the popular banks with their logos",
            "search-nothing": "no results, with a suggestion",
            "credentials": "the bank's logo, with fields for username and password",
            "credentials-missing": "the password is missing, and its field says so",
            "mfa-text": "a question of the bank, with a field for the answer",
            "connecting": "both logos, and the progress: contacting the bank, signing in, finding accounts",
            "account-select": "the accounts at the bank, one to choose",
            "connected": "both logos, joined by a check mark: connected",
        },
        challenges: {
            "mfa-options": "a question of the bank, with answers to choose from",
            "mfa-image": "a question of the bank about an image",
            "mfa-image-options": "a question of the bank, with images to choose from",
            "mfa-token": "the bank asks for the code that it sent",
            "mfa-code-way": "the bank asks where to send a one-time code",
            "mfa-code": "a field for the one-time code; below, buttons for a new code and for another way",
        },
        several_accounts: {
            "consent-accounts": "what is shared; the user selects the accounts later",
            "account-select-several": "the accounts at the bank, each with a check box",
            "account-select-none": "no account is selected, and the list says so",
            "closed": "the user is done, and can close the page or connect another bank",
        },
        oauth_sign_in: {
            "oauth-intro": "three steps that explain the sign-in on the bank's own page",
            "oauth-bank": "the bank's own page: the requested data, a username, Allow and Deny",
            "oauth-waiting": "waiting for the user to finish at the bank, with a link in case no window opened",
            "oauth-closed": "the sign-in window was closed, and can be opened again",
            "oauth-denied": "the end of the sign-in window: not connected",
            "oauth-refused": "access was not granted; try again or choose another bank",
            "oauth-question": "our page after the bank's: connect it to the client, for the user, or cancel",
            "oauth-granted": "the end of the sign-in window: connected",
        },
        refusals: {
            "credentials-refused": "the bank did not accept the sign-in details",
            "problem-rejected": "the answer to the bank's question was incorrect",
            "problem-locked": "the login is locked: go to the bank, try again, or remove the connection",
            "removal": "a question before the connection is removed",
            "removed": "the connection was removed",
        },
        stopping_statuses: {
            "problem-impeded": "the bank needs an action on its own website first",
            "problem-failed": "the connection to the bank failed; try again",
            "problem-delayed": "the bank did not respond in time",
            "problem-disconnected": "access was withdrawn at the bank",
            "problem-discontinued": "the bank no longer supports this connection",
            "problem-closed": "the login is closed at the bank",
            "problem-no-accounts": "the login has no accounts",
            "problem-prevented": "three refused sign-ins; the user has to sign in again",
            "no-eligible-accounts": "no account can be verified; choose another bank or use account numbers",
        },
        existing_members: {
            "existing": "the banks that are already connected, one to choose",
        },
        micro_deposits: {
            "deposits-entry": "fields for the account and routing numbers, for two small deposits",
            "deposits-advice": "advice to sign in to this bank instead",
            "deposits-sent": "two deposits are being sent",
            "session-over": "the session has expired; the user starts again in the app",
            "deposits-verify": "fields for the amounts of the two deposits",
            "deposits-wrong": "the amounts do not match; two attempts are left",
            "deposits-failed": "the amounts were wrong three times",
            "deposits-verified": "the account is verified",
        },
        statement_files: {
            "files-choose": "a place to drop a file of the bank, or to choose one",
            "files-unreadable": "the file cannot be read, and in which line; another can be chosen",
            "files-columns": "the columns of a table, each with a list of what it contains",
            "files-preview": "what the file has: the account, the first transactions; below, Import",
            "files-imported": "the file is imported",
        },
        interruptions: {
            "cut-off": "no connection: the header says that the page is retrying",
            "failed": "something went wrong; try again",
            "unavailable": "the bank may not be read now; another one can be chosen",
            "link-over": "a link that was used before no longer works",
        },
    }
)
"""Each with its screens, in order, and a description of each."""
SCREENS: Mapping[str, str] = {name: seen for passed in WALKS.values() for name, seen in passed.items()}


def _csv(data: bytes) -> FilePayload:
    return {"name": "statement.csv", "mimeType": "text/csv", "buffer": data}


async def _open(scene: Scene, **options: Any) -> Embedded:
    """A widget whose colours follow the browser's."""
    return await scene.open(color_scheme="browser", **options)


async def _member(scene: Scene, login: str, password: str, title: str, **options: Any) -> Embedded:
    """A widget for an existing member, with this title."""
    guid = await scene.api.connect(scene.user, login=login, password=password)
    return await _at_member(scene, guid, title, **options)


async def _at_member(scene: Scene, guid: str, title: str, **options: Any) -> Embedded:
    await _settled(scene, guid)
    widget = await _open(scene, current_member_guid=guid, **options)
    await widget.sees(title)
    return widget


async def _settled(scene: Scene, guid: str) -> None:
    """Waits until the member has a result or a challenge."""

    async def is_settled() -> bool:
        member = (await scene.api.get(f"/users/{scene.user}/members/{guid}/status")).json()["member"]
        return not member["is_being_aggregated"] or member["connection_status"] == "CHALLENGED"

    await until(is_settled)


async def _back_from_bank(scene: Scene, decision: str, title: str) -> Page:
    """The page that follows the decision at the bank. No widget opened it, because a widget would close it."""
    body = {"member": {"institution_code": "mxcu_oauth", "credentials": [], "is_oauth": True}}
    made = await scene.api.post(
        f"/users/{await scene.api.create_user(email='mia@example.com')}/members", json=body
    )
    page = await scene.context.new_page()
    await page.goto(made.json()["member"]["oauth_window_uri"])
    await page.get_by_role("button", name=decision).click()
    await expect(page.get_by_role("heading", name=title)).to_be_visible()
    return page


async def _window(widget: Embedded, button: str) -> Page:
    """The sign-in window that a click opens."""
    async with widget.page.context.expect_page() as opened:
        await widget.press(button)
    bank = await opened.value
    await expect(bank.get_by_role("heading", name=f"Sign in to {OAUTH_BANK}")).to_be_visible()
    return bank


async def _deposit(scene: Scene, account_number: str) -> Embedded:
    """A widget for two deposits that have arrived."""
    body = {
        "micro_deposit": {
            **DEPOSIT,
            "account_number": account_number,
            "email": f"{account_number}@app.example",
        }
    }
    made = await scene.api.post(f"/users/{scene.user}/micro_deposits", json=body)
    assert made.status_code == 200, made.text
    await scene.api.work()
    (deposit,) = made.json()["micro_deposit"]
    widget = await _open(scene, current_microdeposit_guid=deposit["guid"])
    await widget.sees("Enter the deposit amounts")
    return widget


async def _enter(widget: Embedded, first: str, second: str) -> None:
    await widget.page.get_by_label("First deposit").fill(first)
    await widget.page.get_by_label("Second deposit").fill(second)
    await widget.press("Verify amounts")
