"""The whole flow by keyboard alone, with a visible focus at each step."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.scene import Scene

MAX_TABS = 40
"""The most presses of Tab to any element; a list of banks is long."""
NAME = """() => {
  const { activeElement: here } = document;
  const label = here.labels?.[0]?.textContent ?? here.ariaLabel ?? here.textContent;
  return label.trim();
}"""
"""The accessible name of the focused element."""
UNCOVERED = """() => {
  const { activeElement: here } = document;
  const { left, top, width, height } = here.getBoundingClientRect();
  const edges = [top + 2, top + height / 2, top + height - 2];
  return edges.every((y) => here.contains(document.elementFromPoint(left + width / 2, y)));
}"""
"""Whether no sticky header or footer covers it (WCAG 2.2, 2.4.11)."""
OUTLINED = """() => {
  const { activeElement: here } = document;
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(here.closest(".choice") ?? here);
  return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && !/, 0\\)$|transparent/.test(outlineColor);
}"""


async def test_the_whole_flow_works_by_keyboard_alone(scene: Scene) -> None:
    widget = await scene.open(mode="verification")
    page = widget.page
    await widget.sees("Connect your bank to Harbour Pay")
    await press(page, "Agree and continue", "Enter")

    await widget.sees("Find your bank")
    await expect(page.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    await tab_to(page, "Bank name or routing number")
    await page.keyboard.type("MX")
    await expect(page.get_by_role("listitem")).to_have_count(4)
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("button", name="mxbank.example")).to_be_focused()
    await assert_focus_is_visible(page)
    await page.keyboard.press("Enter")

    await widget.sees("Sign in to MX Bank")
    await tab_to(page, "Username")
    await page.keyboard.type("mxuser")
    await tab_to(page, "Password")
    await page.keyboard.type("options")
    await page.keyboard.press("Enter")

    await widget.sees("Verify your identity")
    await tab_to(page, "Lantern Lane (correct)")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("Kettle Court (wrong)")).to_be_checked()
    await assert_focus_is_visible(page)
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_label("Lantern Lane (correct)")).to_be_checked()
    await press(page, "Continue", "Space")

    await widget.sees("Choose an account")
    await tab_to(page, "MX Bank CheckingChecking ···· 3545")
    await page.keyboard.press("Space")
    await press(page, "Continue", "Enter")

    await widget.sees("MX Bank is connected")
    await press(page, "Done", "Enter")
    await widget.sees("You can close this page")
    await press(page, "Connect another bank", "Enter")
    await widget.sees("Find your bank")


async def test_the_arrow_keys_move_through_the_banks_and_back_to_the_search(scene: Scene) -> None:
    widget = await scene.open()
    page = widget.page
    await widget.agree()
    await expect(page.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    box = page.get_by_role("searchbox")
    banks = page.get_by_role("list").get_by_role("button")
    await tab_to(page, "Bank name or routing number")
    steps = [("ArrowDown", 0), ("ArrowDown", 1), ("End", 24)]
    steps += [("ArrowUp", place) for place in range(23, 9, -1)]
    for key, place in [*steps, ("Home", 0)]:
        await page.keyboard.press(key)
        await expect(banks.nth(place)).to_be_focused()
        await assert_focus_is_visible(page)
    await page.keyboard.press("ArrowUp")
    await expect(box).to_be_focused()


@pytest.mark.slow
async def test_shift_tab_reverses_the_order_of_tab(scene: Scene) -> None:
    widget = await scene.open(current_institution_code="mxbank")
    page = widget.page
    await widget.agree()
    await widget.sees("Sign in to MX Bank")
    there = [await _next(page, "Tab") for _ in range(7)]
    back = [await _next(page, "Shift+Tab") for _ in range(6)]
    assert there[:4] == ["Username", "Password", "Show Password", "Continue"]
    assert back == there[-2::-1]


async def test_more_banks_are_shown_without_losing_the_focus(scene: Scene) -> None:
    widget = await scene.open()
    page = widget.page
    await widget.agree()
    banks = page.get_by_role("list").get_by_role("button")
    await expect(banks).to_have_count(25)
    await press(page, "Show more", "Enter")
    await expect(banks.nth(25)).to_be_focused()
    await assert_focus_is_visible(page)


async def test_a_missing_value_gets_the_focus(scene: Scene) -> None:
    widget = await scene.open(current_institution_code="mxbank")
    page = widget.page
    await widget.agree()
    await widget.sees("Sign in to MX Bank")
    await tab_to(page, "Username")
    await page.keyboard.type("mxuser")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Password", exact=True)).to_be_focused()
    await expect(page.get_by_label("Password", exact=True)).to_have_accessible_description(
        "This field is required."
    )


async def test_a_password_can_be_shown_and_hidden_by_keyboard(scene: Scene) -> None:
    widget = await scene.open(current_institution_code="mxbank")
    page = widget.page
    await widget.agree()
    await widget.sees("Sign in to MX Bank")
    field = page.get_by_label("Password", exact=True)
    await tab_to(page, "Show Password")
    for kind in ("text", "password"):
        await page.keyboard.press("Space")
        await expect(field).to_have_attribute("type", kind)


async def test_the_bank_s_own_page_opens_by_keyboard_and_escape_goes_back(scene: Scene) -> None:
    widget = await scene.open(current_institution_code="mxcu_oauth")
    page = widget.page
    await widget.agree()
    await widget.sees("Sign in at MXCU (OAuth)")
    async with scene.context.expect_page() as opened:
        await press(page, "Continue to MXCU (OAuth)", "Enter")
    bank = await opened.value
    await expect(bank.get_by_role("heading", name="Sign in to MXCU (OAuth)")).to_be_visible()
    await tab_to(bank, "Username")
    await press(bank, "Deny", "Enter")
    await page.bring_to_front()
    await widget.sees("Your bank is not connected")
    await page.keyboard.press("Escape")
    await widget.sees("Find your bank")


async def test_enter_chooses_the_first_bank_that_was_found(scene: Scene) -> None:
    widget = await scene.open()
    page = widget.page
    await widget.agree()
    await expect(page.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    await tab_to(page, "Bank name or routing number")
    await page.keyboard.type("lanternfsh")
    # A part of it finds the same bank, but Enter chooses only from the results of the whole.
    await widget.has_found()
    await expect(page.get_by_role("listitem")).to_have_count(1)
    await page.keyboard.press("Enter")
    await widget.sees("Sign in to Lanternfish Bank")


async def test_under_a_part_of_a_routing_number_no_bank_is_shown_or_chosen(scene: Scene) -> None:
    widget = await scene.open()
    page = widget.page
    await widget.agree()
    await expect(page.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    await tab_to(page, "Bank name or routing number")
    await page.keyboard.type("0910")
    await expect(page.get_by_role("listitem")).to_have_count(0)
    await page.keyboard.press("Enter")
    await widget.sees("Find your bank")


async def test_escape_clears_the_search_and_goes_back_on_other_screens(scene: Scene) -> None:
    widget = await scene.open()
    page = widget.page
    await widget.agree()
    await widget.sees("Find your bank")
    await tab_to(page, "Bank name or routing number")
    await page.keyboard.type("Quillwort")
    await expect(page.get_by_role("listitem")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("searchbox")).to_have_value("")
    await expect(page.get_by_role("listitem")).to_have_count(25)
    await page.keyboard.press("Escape")
    await expect(widget.heading("Find your bank")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await widget.sees("Sign in to MX Bank")
    await page.keyboard.press("Escape")
    await widget.sees("Find your bank")
    await expect(widget.heading("Find your bank")).to_be_focused()


async def test_the_check_finds_an_invisible_focus(scene: Scene) -> None:
    widget = await scene.open()
    await widget.sees("Connect your bank to Harbour Pay")
    await tab_to(widget.page, "Agree and continue")
    await widget.page.evaluate("document.activeElement.style.outline = 'none'")
    assert not await widget.page.evaluate(OUTLINED)


# --- keys -------------------------------------------------------------------------------------------------


async def press(page: Page, name: str, key: str) -> None:
    await tab_to(page, name)
    await page.keyboard.press(key)


async def tab_to(page: Page, name: str) -> None:
    """Moves the focus by Tab alone; it must be visible on each element. A balance may follow the name."""
    passed = []
    for _ in range(MAX_TABS):
        passed.append(await _next(page, "Tab"))
        if passed[-1].partition(" · ")[0] == name:
            return
    raise AssertionError(f"{name} is not among {passed}")


async def _next(page: Page, key: str) -> str:
    await page.keyboard.press(key)
    # After the last element of the page Firefox moves on to its own.
    if await page.evaluate("document.hasFocus() && document.activeElement !== document.body"):
        await assert_focus_is_visible(page)
    return str(await page.evaluate(NAME))


async def assert_focus_is_visible(page: Page) -> None:
    assert await page.evaluate(OUTLINED), await page.evaluate(NAME)
    assert await page.evaluate(UNCOVERED), await page.evaluate(NAME)
