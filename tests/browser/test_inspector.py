"""The page of a sandbox in a browser: it asks for the key, shows what happens live, and moves the clock."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from coatcheck.app import Services, build
from coatcheck.config import Settings
from tests.browser.accessibility import NARROW, axe_violations, cut_off
from tests.browser.scene import Site, own_page
from tests.factories import Keyed, make_client, make_processor

pytestmark = pytest.mark.own_database

MOVE = 60_000
"""Milliseconds for a move of the clock, on a busy machine."""


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    async with build(replace(settings, sandbox=True)) as services:
        yield services


@pytest.fixture
async def client(services: Services) -> Keyed:
    return await make_client(services)


@pytest.fixture
async def page(services: Services, server: Site, browser: Browser) -> AsyncIterator[Page]:
    async with own_page(services, server, browser, "/") as page:
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        yield page


async def sign_in(page: Page, client: Keyed) -> None:
    await page.get_by_label("Client id").fill(client.guid)
    await page.get_by_label("API key").fill(client.api_key)
    await page.keyboard.press("Enter")


async def call(server: Site, client: Keyed, path: str, body: dict[str, object]) -> dict[str, object]:
    async with httpx.AsyncClient(base_url=server.origin, auth=client.auth, timeout=60) as http:
        answer = await http.post(path, json=body)
    assert answer.is_success, answer.text
    created: dict[str, object] = answer.json()
    return created


async def test_it_shows_what_happens_without_a_reload(
    page: Page, server: Site, services: Services, client: Keyed
) -> None:
    await sign_in(page, client)
    await expect(page.get_by_role("heading", name="Requests")).to_be_visible()
    await expect(page.locator("[data-list=members]")).to_contain_text("None yet.")
    processor = await make_processor(services, client)
    await call(server, client, "/coatcheck/sandbox/tokens", {"token": {"processor_guid": processor.guid}})
    await expect(page.locator("[data-list=members]")).to_contain_text("CONNECTED")
    await expect(page.locator("[data-list=grants]")).to_contain_text("active")
    await expect(page.locator("[data-list=events]")).to_contain_text("code.redeemed")
    await expect(page.locator("[data-list=requests]")).to_contain_text("POST /coatcheck/sandbox/tokens")


async def test_a_wrong_key_is_refused_and_shows_nothing(page: Page, client: Keyed) -> None:
    await sign_in(page, Keyed(client.guid, "cck_wrong"))
    await expect(page.get_by_role("alert")).to_have_text("The id or the key is wrong.")
    await expect(page.locator("#live")).to_be_hidden()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_the_key_stays_with_the_tab_until_the_user_signs_out(page: Page, client: Keyed) -> None:
    await sign_in(page, client)
    await expect(page.locator("#now")).not_to_be_empty()
    await page.reload()
    await expect(page.locator("#now")).not_to_be_empty()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.reload()
    await expect(page.locator("#live")).to_be_hidden()
    assert await page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert await page.evaluate("document.cookie") == ""


async def test_the_clock_is_moved_by_keyboard(page: Page, client: Keyed) -> None:
    await sign_in(page, client)
    field = page.get_by_label("Move it forward by")
    await field.fill("2d")
    await field.press("Enter")
    await expect(page.locator("#moved")).to_contain_text("Ran 0 jobs", timeout=MOVE)
    await expect(page.locator("#offset")).to_contain_text("172800")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
async def test_the_page_is_accessible_and_fits(
    page: Page, server: Site, services: Services, client: Keyed, scheme: str
) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert await axe_violations(page) == []
    processor = await make_processor(services, client)
    await call(server, client, "/coatcheck/sandbox/tokens", {"token": {"processor_guid": processor.guid}})
    await sign_in(page, client)
    await expect(page.locator("[data-list=grants] table")).to_be_visible()
    assert await axe_violations(page) == []
    await page.set_viewport_size(NARROW)
    assert await axe_violations(page) == []
    assert await cut_off(page) == []
