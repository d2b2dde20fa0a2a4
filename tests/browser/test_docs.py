"""The page of the API in a browser: search, examples, and requests that are sent from it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from coatcheck.app import Services
from tests.browser.accessibility import COLOURS, NARROW, axe_violations, cut_off
from tests.browser.scene import Site, own_page
from tests.factories import Keyed


@pytest.fixture
async def page(services: Services, server: Site, browser: Browser) -> AsyncIterator[Page]:
    async with own_page(services, server, browser, "/docs") as page:
        await expect(page.get_by_role("searchbox")).to_be_visible()
        yield page


async def test_the_search_shows_the_operations_with_all_words(page: Page) -> None:
    await page.get_by_role("searchbox").fill("create user")
    await expect(page.locator("article#createUser")).to_be_visible()
    await expect(page.locator("article#listInstitutions")).to_be_hidden()
    assert "of" in str(await page.locator("#count").text_content())
    await page.get_by_role("searchbox").fill("")
    await expect(page.locator("article#listInstitutions")).to_be_visible()


async def test_a_request_is_sent_from_the_page_by_keyboard(page: Page, client: Keyed) -> None:
    await page.get_by_text("Credentials for").click()
    await page.get_by_label("Id of the client or the processor").fill(client.guid)
    await page.get_by_label("API key").fill(client.api_key)
    button = page.get_by_role("button", name="Try it: Create a user")
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(button).to_have_attribute("aria-expanded", "true")
    form = page.locator("#try-createUser")
    await expect(form.locator("input").first).to_be_focused()
    await form.get_by_role("button", name="Send POST").focus()
    await page.keyboard.press("Enter")
    await expect(form.get_by_role("status")).to_contain_text('"guid": "USR-')
    await expect(form.get_by_role("status")).to_contain_text("200")


async def test_two_presses_before_the_form_is_there_show_one_form(page: Page) -> None:
    await page.get_by_role("button", name="Try it: List users").dblclick()
    # Each press reads the document, and this comes after both.
    await page.evaluate("fetch('/openapi.json').then((answer) => answer.json())")
    await expect(page.locator("#try-listUsers form")).to_have_count(1)


async def test_a_refusal_is_shown(page: Page) -> None:
    await page.get_by_role("button", name="Try it: List users").click()
    form = page.locator("#try-listUsers")
    await form.get_by_role("button", name="Send GET").click()
    await expect(form.get_by_role("status")).to_contain_text("invalid_client")


@pytest.mark.slow
async def test_the_page_is_accessible_and_fits(page: Page) -> None:
    await page.get_by_role("button", name="Try it: Create a member").click()
    await page.get_by_text("Credentials for").click()
    # Each article is of one template: a part of them has every colour.
    await page.get_by_role("searchbox").fill("member")
    await page.emulate_media(color_scheme="light")
    assert await axe_violations(page) == []
    await page.emulate_media(color_scheme="dark")
    assert await axe_violations(page, COLOURS) == []
    await page.set_viewport_size(NARROW)
    # The body of a request scrolls in its field.
    assert [each for each in await cut_off(page) if not each.startswith("<textarea")] == []
