"""The portal in a browser: a user stops one of two processors by keyboard, and every page is accessible."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from coatcheck.app import Services
from coatcheck.model.accounts import Account
from coatcheck.server import create_app
from tests.browser.accessibility import (
    COLOURS,
    DESKTOP,
    OPTIONS,
    axe_violations,
    press_by_keyboard,
    reflow_problems,
)
from tests.browser.scene import Site
from tests.factories import Keyed, make_account, make_processor, make_token, make_user
from tests.firefox import IN_BOTH_BROWSERS
from tests.portal_client import portal_url


@dataclass(frozen=True)
class Visit:
    page: Page
    http: httpx.AsyncClient
    tokens: tuple[str, str]
    """Of the two processors."""

    async def reads(self) -> list[int]:
        """The status of a read with each token."""
        answers = [
            await self.http.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})
            for token in self.tokens
        ]
        return [answer.status_code for answer in answers]

    async def press(self, name: str) -> None:
        await press_by_keyboard(self.page, name)


@pytest.fixture
async def account(services: Services, client: Keyed) -> Account:
    return await make_account(services, await make_user(services, client))


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    yield context
    await context.close()


@pytest.fixture
async def visit(
    services: Services,
    client: Keyed,
    account: Account,
    http: httpx.AsyncClient,
    server: Site,
    context: BrowserContext,
) -> AsyncIterator[Visit]:
    """The page behind a link to the portal. At the end: it requested nothing of another host."""
    server.start(create_app(services))
    page = await context.new_page()
    requested: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: refused.append(message.text) if "Policy" in message.text else None)
    processors = [
        await make_processor(services, client, name=name) for name in ("Ledger Books", "Rent Score")
    ]
    first, second = [await make_token(services, account, each, atoms="max-reads:50") for each in processors]
    await page.goto(await portal_url(http, client, account.user_guid))
    yield Visit(page, http, (first, second))
    assert [url for url in requested if not url.startswith((server.origin, "data:"))] == []
    assert refused == []
    await server.stop()


@IN_BOTH_BROWSERS
async def test_a_user_sees_both_readers_and_stops_one_by_keyboard(visit: Visit) -> None:
    page = visit.page
    assert await visit.reads() == [200, 200]
    await visit.press("Continue")
    await expect(page.get_by_role("heading", name="Your connected accounts")).to_be_visible()
    await expect(page.get_by_text("Last read")).to_have_count(2)
    await visit.press("Stop Ledger Books")
    await expect(page.get_by_role("heading", name="Stop access: Ledger Books?")).to_be_visible()
    await visit.press("Stop access")
    await expect(page.get_by_role("heading", name="Access is stopped")).to_be_visible()
    assert await visit.reads() == [401, 200]
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    assert (await download.value).suggested_filename == "receipt.jws"
    await visit.press("Back to the overview")
    await expect(page.get_by_role("heading", name="Your connected accounts")).to_be_visible()
    await expect(page.get_by_role("link", name="Stop Ledger Books")).to_have_count(0)
    await expect(page.get_by_role("link", name="Stop Rent Score")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
async def test_every_page_is_accessible_and_fits(visit: Visit, scheme: str) -> None:
    page, problems = visit.page, []
    await visit.reads()
    rules = COLOURS if scheme == "dark" else OPTIONS
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]

    async def check(name: str) -> None:
        """Of the page with this title, once it has its styles."""
        await expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        await page.wait_for_load_state()
        problems.extend(f"{name}: {each}" for each in await axe_violations(page, rules))
        problems.extend(f"{name}, {each}" for each in await reflow_problems(page))

    await check("Your connected accounts")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("link", name="Delete everything")).to_be_visible()
    await check("Your connected accounts")
    for link, title in (
        ("Everything it read", "Ledger Books"),
        ("Details and limits", "Access of Ledger Books"),
        ("Connect an app", "Connect an app"),
        ("What you agreed to", "What you agreed to"),
        ("Stop Rent Score", "Stop access: Rent Score?"),
    ):
        await page.get_by_role("link", name=link).first.click()
        await check(title)
        await page.get_by_role("link", name="Back to the overview").click()
    await page.get_by_role("link", name="Connect an app").click()
    await page.get_by_label("Name of the app").fill("Actual")
    await page.get_by_role("button", name="Create a setup token").click()
    await check("Setup token for Actual")
    await page.get_by_role("link", name="Back to the overview").click()
    await page.get_by_role("link", name="Stop Rent Score").click()
    await page.get_by_role("button", name="Stop access").click()
    await check("Access is stopped")
    await page.get_by_role("link", name="Back to the overview").click()
    await page.get_by_role("link", name="Delete everything").click()
    await check("Delete everything?")
    await page.get_by_role("button", name="Delete everything").click()
    await check("Everything is deleted")
    assert problems == []


async def test_a_reload_and_back_show_the_same_session(visit: Visit) -> None:
    page = visit.page
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("heading", name="Your connected accounts")).to_be_visible()
    home = page.url
    await page.get_by_role("link", name="Everything it read").first.click()
    await page.reload()
    await expect(page.get_by_role("heading", name="Ledger Books")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Your connected accounts")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    await page.goto(home)
    await expect(page.get_by_role("heading", name="You have been signed out")).to_be_visible()
