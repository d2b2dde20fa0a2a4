"""Accessibility checks of a screen: axe, reflow and large text, focus, reduced motion."""

from collections.abc import Mapping, Sequence
from typing import Literal

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

AXE = Axe()
MAX_TABS = 60
OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
COLOURS = {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]}
"""The rules that another colour scheme can break."""
DESKTOP, PHONE, NARROW = ({"width": width, "height": 760} for width in (1000, 390, 320))
ZOOMED = {"width": 640, "height": 512}
"""In CSS pixels, a window of 1280 by 1024 when the browser's zoom is 200 %."""
SIZES = ((NARROW, 100), (PHONE, 200), (ZOOMED, 100))
"""Windows and font sizes in percent at which nothing is cut off (WCAG 2.2 1.4.4 and 1.4.10)."""
CUT_OFF = """() => {
  const edge = document.documentElement.clientWidth;
  const found = document.scrollingElement.scrollWidth > edge ? ["the page scrolls sideways"] : [];
  const name = (element) => `<${element.localName} class="${element.className}"> “${element.textContent.slice(0, 40)}”`;
  for (const element of document.body.querySelectorAll("*:not(svg *, noscript)")) {
    // In Firefox what is hidden in a closed <details> keeps the size that it had in another window.
    if (!element.checkVisibility()) continue;
    const { left, right, width, height } = element.getBoundingClientRect();
    const { overflowX, overflowY, visibility } = getComputedStyle(element);
    if (!width || !height || visibility === "hidden") continue;
    if (element.closest(".visually-hidden, [aria-hidden=true]")) continue;
    if (left < -0.5 || right > edge + 0.5) found.push(`${name(element)} reaches beyond the edge`);
    if (element.localName === "input" || element.localName === "svg") continue;
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = element;
    if (overflowX !== "visible" && scrollWidth > clientWidth + 1) found.push(`${name(element)} is cut off`);
    if (overflowY !== "visible" && scrollHeight > clientHeight + 1) found.push(`${name(element)} is cut short`);
  }
  return found;
}"""
"""Content that is cut off, or needs horizontal scrolling."""


async def axe_violations(page: Page, options: Mapping[str, Sequence[str]] = OPTIONS) -> Sequence[str]:
    """Violations of every impact."""
    found = await AXE.run(page, options=dict(options))
    return [
        f"{violation['id']} ({violation['impact']}): {node['html']}: {node['failureSummary']}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]


async def cut_off(page: Page) -> Sequence[str]:
    return list(await page.evaluate(CUT_OFF))


async def moving(page: Page) -> Sequence[str]:
    """The animations and transitions that run."""
    names = "document.getAnimations().map((each) => each.animationName ?? each.transitionProperty)"
    return list(await page.evaluate(names))


async def focused(page: Page) -> str:
    """The tag and class of the focused element."""
    return str(await page.evaluate("document.activeElement.cloneNode().outerHTML"))


async def press_by_keyboard(page: Page, name: str) -> None:
    """Moves to a link or a button by keyboard and presses Enter."""
    for _ in range(MAX_TABS):
        await page.keyboard.press("Tab")
        text = str(await page.evaluate("document.activeElement.textContent"))
        if text.strip() == name:
            await page.keyboard.press("Enter")
            return
    raise AssertionError(f"{name} cannot be reached by keyboard.")


async def enlarge(page: Page, percent: int) -> None:
    """Sets the browser's font size."""
    await page.evaluate(f"document.documentElement.style.fontSize = '{percent}%'")


async def reflow_problems(page: Page) -> Sequence[str]:
    """What is cut off in a small window, with a large font, or when the page is zoomed."""
    found = []
    for viewport, percent in SIZES:
        await page.set_viewport_size(viewport)
        await enlarge(page, percent)
        found += [f"{viewport['width']} px at {percent} %: {each}" for each in await cut_off(page)]
    await enlarge(page, 100)
    await page.set_viewport_size(DESKTOP)
    return found


async def has_scheme(page: Page, scheme: Literal["light", "dark"]) -> bool:
    """Emulates a colour scheme, if the browser can: Firefox 153 keeps the one that it was started with."""
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    has = bool(await page.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches"))
    assert page.context.browser is not None
    # Otherwise a check of both schemes would pass without having looked at one.
    assert has or page.context.browser.browser_type.name == "firefox"
    return has


async def accessibility_problems(page: Page, focus: str) -> Sequence[str]:
    """All problems of a screen. The focus must be on the element that `focus` selects."""
    has_focus = await page.evaluate(f"document.activeElement.matches({focus!r})")
    found = [] if has_focus else [f"focus: it is on {await focused(page)}"]
    if await has_scheme(page, "light"):
        found += [f"it moves: {each}" for each in await moving(page)]
        found += [f"light: {each}" for each in await axe_violations(page)]
    if await has_scheme(page, "dark"):
        found += [f"dark: {each}" for each in await axe_violations(page, COLOURS)]
    return [*found, *await reflow_problems(page)]
