"""Accessibility of every screen: axe, reflow, announcements, motion and layout shifts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, Route, expect

from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.model.widgets import LOCAL, WidgetAppearance
from tests.browser.accessibility import (
    COLOURS,
    accessibility_problems,
    axe_violations,
    cut_off,
    has_scheme,
    moving,
)
from tests.browser.scene import Embedded, Scene
from tests.browser.screens import WALKS, Walk, sign_in
from tests.member_setup import until

LISTEN = """() => {
  window.announced = [];
  const live = document.querySelector(".visually-hidden[role=status]");
  new MutationObserver(() => announced.push(live.textContent)).observe(live, { childList: true });
}"""
"""Records the texts of the live region."""
WATCH = """async () => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const name = ({ node }) => node && (node.localName ? `${node.localName} ${node.className}` : node.textContent);
  const shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) shifts.push([value, ...sources.map(name)]);
  }).observe({ type: "layout-shift" });
  const mark = document.createElement("div");
  mark.className = "mark-of-ours";
  mark.style.cssText = "position: absolute; top: 0; left: 0; width: 80px; height: 80px; background: red";
  document.body.append(mark);
  // While a screen fades in, the browser counts nothing.
  await Promise.all(document.querySelector(".view").getAnimations().map((animation) => animation.finished));
  await drawn();
  shifts.length = 0;
  window.layoutShifts = async () => {
    await drawn();
    // One of our own: when the browser reports it, it has reported all that were before.
    mark.style.top = "200px";
    const isOurs = ([, ...what]) => what.includes("div mark-of-ours");
    while (!shifts.some(isOurs)) await drawn();
    return shifts.filter((shift) => !isOurs(shift));
  };
}"""
"""Records each layout shift and its elements, also after a click."""
ACCENTS = ("#ffee00", "#ffffff", "#000000", "#c0f", "#808080")
"""Colours with little contrast to a light background, to a dark one, or to both."""
QUICK_WALKS = {sign_in}
"""What every run of the suite walks. `make slow` walks every screen."""


@pytest.mark.parametrize(
    "walk",
    [
        pytest.param(walk, marks=() if walk in QUICK_WALKS else pytest.mark.slow, id=walk.__name__)
        for walk in WALKS
    ],
)
async def test_every_screen_is_accessible_and_fits(scene: Scene, walk: Walk) -> None:
    problems = {}
    async for screen in walk(scene):
        problems[screen.name] = await accessibility_problems(screen.page, screen.focus)
    assert list(problems) == list(WALKS[walk])
    assert {name: found for name, found in problems.items() if found} == {}


async def test_the_checks_find_deliberate_faults(scene: Scene) -> None:
    widget = await scene.open(color_scheme="browser")
    page = widget.page
    await widget.agree()
    await widget.sees("Find your bank")
    await expect(page.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    assert await accessibility_problems(page, "h1") == []
    await page.evaluate("""() => {
        document.querySelector("label").remove();
        document.querySelector("input").removeAttribute("placeholder");
        document.querySelector("h1").style.cssText = "color: #999; white-space: nowrap; overflow: hidden";
        document.querySelector("h1").textContent = "A heading of which the end is not visible ".repeat(9);
        document.querySelector(".caption").style.marginRight = "-30px";
        document.querySelector(".caption").style.color = "#777";
        document.querySelector("h1").blur();
    }""")
    found = await accessibility_problems(page, "h1")
    for problem in (
        *(["light: label", "light: color-contrast"] if await has_scheme(page, "light") else []),
        *(["dark: color-contrast"] if await has_scheme(page, "dark") else []),
        "focus",
        "320 px at 100 %: <h1",
        "320 px at 100 %: <p",
    ):
        assert [each for each in found if each.startswith(problem)], (problem, found)


@pytest.mark.parametrize("accents", [ACCENTS[:1], pytest.param(ACCENTS[1:], marks=pytest.mark.slow)])
async def test_no_accent_colour_makes_text_unreadable(scene: Scene, accents: Sequence[str]) -> None:
    for accent in accents:
        async with scene.services.db.transaction() as connection:
            appearance = WidgetAppearance(list(LOCAL), accent, privacy_url="https://harbour.example/privacy")
            await put_widget_appearance(connection, scene.api.caller.guid, appearance)
        widget = await scene.open(color_scheme="browser", current_institution_code="mxbank")
        await widget.page.emulate_media(reduced_motion="reduce")
        await widget.sees("Connect your bank to Harbour Pay")
        assert await _in_both_schemes(widget.page) == [], accent
        await widget.agree()
        await widget.sees("Sign in to MX Bank")
        assert await _in_both_schemes(widget.page) == [], accent


async def test_the_longest_names_fit_on_the_narrowest_phone(scene: Scene) -> None:
    async with scene.services.db.transaction() as connection:
        await connection.execute(
            "UPDATE client SET name = %(name)s WHERE guid = %(guid)s",
            {"name": "Harbour & Lighthouse Payments", "guid": scene.api.caller.guid},
        )
    widget = await scene.open(locale="fr-CA")
    await widget.page.set_viewport_size({"width": 320, "height": 568})
    await expect(widget.page.get_by_role("heading", level=1)).to_be_visible()
    assert await cut_off(widget.page) == []


# --- announcements -----------------------------------------------------------------------------------------


async def test_the_number_of_banks_is_announced(scene: Scene) -> None:
    widget = await _at_search(scene)
    await widget.page.evaluate(LISTEN)
    for typed, count in (
        ("MX", "4 banks found"),
        ("Quillwort", "1 bank found"),
        ("Nonesuch", "0 banks found"),
    ):
        await widget.page.get_by_role("searchbox").fill(typed)
        await _hears(widget.page, count)


@pytest.mark.slow
async def test_each_phase_of_connecting_is_announced_and_cleared_at_the_end(
    scene: Scene,
) -> None:
    widget = await scene.open(current_institution_code="mxbank")
    await widget.agree()
    await widget.sees("Sign in to MX Bank")
    await widget.page.evaluate(LISTEN)
    await scene.pause_worker()
    await widget.sign_in(password="challenge")
    await _hears(widget.page, "Contacting MX Bank")
    scene.worker_may_run.set()
    await widget.sees("Verify your identity")
    live = widget.page.locator(".visually-hidden[role=status]")
    await expect(live).to_have_text("")
    await scene.pause_worker()
    await widget.answer("correct")
    await _hears(widget.page, "Signing in")
    scene.worker_may_run.set()
    await widget.sees("MX Bank is connected")
    await expect(live).to_have_text("")


@pytest.mark.parametrize(
    ("pattern", "selector"),
    [
        ("**/widget.js", ".loading"),
        ("**/institutions?page=1", ".caption"),
        ("**/credentials", ".loading-label"),
    ],
)
async def test_a_long_wait_shows_a_text(scene: Scene, pattern: str, selector: str) -> None:
    async with delayed_answers(scene, pattern):
        widget = await scene.open()
        if selector != ".loading":
            await widget.agree()
            await widget.sees("Find your bank")
        if selector == ".loading-label":
            await widget.page.evaluate(LISTEN)
            await widget.choose("MX Bank")
            await _hears(widget.page, "One moment…")
        text = widget.page.locator(selector)
        await expect(text).to_be_visible()
        await expect(text).to_have_text("One moment…")
    await expect(text).not_to_have_text("One moment…") if selector == ".caption" else await expect(
        text
    ).to_be_hidden()


# --- motion -------------------------------------------------------------------------------------------


@pytest.mark.chromium("Firefox 153 has no command that switches reduced motion")
async def test_animations_stop_for_reduced_motion(scene: Scene) -> None:
    async with delayed_answers(scene, "**/institutions?page=1"):
        widget = await scene.open()
        await widget.agree()
        await widget.sees("Find your bank")
        await widget.page.emulate_media(reduced_motion="no-preference")
        assert "pulse" in await moving(widget.page)
        await widget.page.emulate_media(reduced_motion="reduce")
        assert await moving(widget.page) == []


@pytest.mark.chromium("Firefox measures no layout shifts")
async def test_there_is_no_layout_shift_while_the_list_of_banks_loads(scene: Scene) -> None:
    async with delayed_answers(scene, "**/institutions?page=1"):
        widget = await scene.open(mode="verification")
        await widget.agree()
        await widget.sees("Find your bank")
        await _watch(widget.page)
    await expect(widget.page.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    assert await widget.page.evaluate("layoutShifts()") == []


@pytest.mark.chromium("Firefox measures no layout shifts")
async def test_there_is_no_layout_shift_while_a_slow_bank_is_connected(scene: Scene) -> None:
    await scene.context.clock.install()
    await scene.pause_worker()
    widget = await scene.open(current_institution_code="mxbank")
    await widget.agree()
    await widget.sign_in()
    await widget.sees("Connecting to MX Bank")
    await _watch(widget.page)
    for seconds, text in ((16, "This is taking longer than usual."), (45, "Still connecting.")):
        await widget.page.clock.fast_forward(seconds * 1000)
        await expect(widget.page.get_by_role("main").get_by_text(text)).to_be_visible()
    scene.worker_may_run.set()
    await widget.page.clock.fast_forward(2000)
    await widget.sees("MX Bank is connected")
    assert await widget.page.evaluate("layoutShifts()") == []


@pytest.mark.chromium("Firefox measures no layout shifts")
async def test_there_is_no_layout_shift_when_the_connection_is_lost_and_restored(scene: Scene) -> None:
    widget = await _at_search(scene)
    await _watch(widget.page)
    await widget.page.route("**/md/api/**", lambda route: route.abort())
    await widget.page.get_by_role("searchbox").fill("Bank")
    cut_off = widget.page.get_by_text("No connection. Retrying…")
    await expect(cut_off).to_be_visible()
    await widget.page.unroute("**/md/api/**")
    await expect(cut_off).to_be_hidden()
    await expect(widget.page.get_by_text("Results")).to_be_visible()
    assert await widget.page.evaluate("layoutShifts()") == []


@pytest.mark.chromium("Firefox measures no layout shifts")
async def test_the_check_finds_a_layout_shift(scene: Scene) -> None:
    widget = await _at_search(scene)
    await _watch(widget.page)
    await widget.page.evaluate("document.querySelector('h1').style.marginTop = '60px'")
    ((_, *what),) = await widget.page.evaluate("layoutShifts()")
    assert "ul banks" in what


# --- helpers ----------------------------------------------------------------------------------


async def _at_search(scene: Scene) -> Embedded:
    widget = await scene.open()
    await widget.agree()
    await widget.sees("Find your bank")
    await expect(widget.page.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    return widget


async def _in_both_schemes(page: Page) -> Sequence[str]:
    found = [*await axe_violations(page)] if await has_scheme(page, "light") else []
    return [*found, *(await axe_violations(page, COLOURS) if await has_scheme(page, "dark") else [])]


async def _hears(page: Page, text: str) -> None:
    async def is_said() -> bool:
        return text in await page.evaluate("announced")

    await until(is_said)


async def _watch(page: Page) -> None:
    """Records from here on, with animations."""
    await page.emulate_media(reduced_motion="no-preference")
    await page.evaluate(WATCH)


@asynccontextmanager
async def delayed_answers(scene: Scene, pattern: str) -> AsyncIterator[None]:
    """Holds back the answers of matching URLs until the block ends."""
    released = asyncio.Event()

    async def delay(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await scene.context.route(pattern, delay)
    try:
        yield
    finally:
        released.set()
