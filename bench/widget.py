"""Measures the widget: bytes on the wire, and the time until the list of banks is drawn on a slow phone.

    make bench          # after the API's: a table, and bench/results/widget-<time>.json

A real server answers a real browser on a slow phone (`slow_phone.py`). The time runs from opening the URL until the
first bank is on the screen. The script agrees as soon as the button is shown, so that no reading time is measured.
Each round has a new browser context with an empty cache.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from httpx import AsyncClient
from playwright.async_api import Browser, BrowserContext, expect
from rich.console import Console
from rich.table import Table

from bench.slow_phone import CPU_SLOWDOWN, ROUND_TRIP_MS, installation, slow_page
from coatcheck.app import Services
from tests.factories import Keyed, make_client, make_processor, make_user

MAX_BYTES, MAX_LIST_MS = 60_000, 1500
LATER_SCREEN = "/steps/mfa.js"
"""One of the scripts that are loaded when the first screens are shown."""
IS_LOADED = """(path) => performance.getEntriesByType("resource").some(({ name }) => name.endsWith(path))"""
"""A script is listed when it has arrived."""
RECORD_TIMES = """
  window.seen = {};
  const record = (name, element) => {
    if (!element || name in seen || !element.getClientRects().length) return false;
    requestAnimationFrame(() => { seen[name] = performance.now(); });
    seen[name] = null;
    return true;
  };
  new MutationObserver(() => {
    const agree = document.querySelector("form button[type=submit]");
    if (record("consent", agree)) requestAnimationFrame(() => agree.click());
    record("list", document.querySelector("ul.banks button.bank"));
  }).observe(document, { childList: true, subtree: true });
"""
"""Records when the consent and the first bank are drawn, and agrees."""

console = Console(width=130)


@dataclass(frozen=True)
class Opening:
    consent_ms: float
    list_ms: float
    list_bytes: int
    """On the wire, with headers, until the first bank is drawn."""
    bytes: int
    """The same with the screens that are loaded afterwards."""
    requests: int


async def open_slowly(context: BrowserContext, url: str) -> Opening:
    page, sizes = await slow_page(context)
    await page.add_init_script(RECORD_TIMES)
    await page.goto(url)
    await expect(page.locator("ul.banks button.bank").first).to_be_visible(timeout=30_000)
    list_bytes = sum(sizes.values())
    await page.wait_for_function(IS_LOADED, arg=LATER_SCREEN)
    await page.wait_for_load_state("networkidle")
    seen: Mapping[str, float] = await page.evaluate("seen")
    return Opening(seen["consent"], seen["list"], list_bytes, sum(sizes.values()), len(sizes))


async def run_rounds(services: Services, client: Keyed, browser: Browser, rounds: int) -> list[Opening]:
    openings = []
    user = await make_user(services, client)
    body = {"widget_url": {"widget_type": "connect_widget", "mode": "verification"}}
    async with AsyncClient(base_url=services.settings.base_url, auth=client.auth) as http:
        for number in range(rounds + 1):
            console.print(f"opening the widget: {number} of {rounds}")
            answer = await http.post(f"/users/{user.guid}/widget_urls", json=body)
            context = await browser.new_context(viewport={"width": 390, "height": 760})
            opening = await open_slowly(context, answer.json()["widget_url"]["url"])
            await context.close()
            if number:  # the first warms the server and the browser
                openings.append(opening)
    return openings


def report(openings: list[Opening], output: Path) -> None:
    table = Table(
        title=f"The widget at {CPU_SLOWDOWN}x CPU, 1.6 Mbit/s, {ROUND_TRIP_MS} ms; {len(openings)} rounds"
    )
    for heading in ("", "median", "minimum", "maximum"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {
        "consent, ms": "consent_ms",
        "list of banks, ms": "list_ms",
        "bytes until the list": "list_bytes",
        "bytes of all screens": "bytes",
        "requests": "requests",
    }
    medians = {}
    for label, name in rows.items():
        values = [getattr(each, name) for each in openings]
        medians[name] = statistics.median(values)
        table.add_row(label, *(f"{statistic(values):,.0f}" for statistic in (statistics.median, min, max)))
    console.print(table)
    checks = {
        f"the whole page below {MAX_BYTES / 1000:.0f} kB": medians["bytes"] < MAX_BYTES,
        f"the list within {MAX_LIST_MS / 1000} s": medians["list_ms"] < MAX_LIST_MS,
    }
    for check, is_met in checks.items():
        console.print(f"{'met   ' if is_met else 'MISSED'}  {check}")
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"widget-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps({"openings": [asdict(each) for each in openings], "checks": checks}, indent=2))
    console.print(f"written to {file}")


async def main(rounds: int, output: Path) -> None:
    async with installation() as (services, browser):
        client = await make_client(services, name="Harbour Pay")
        await make_processor(services, client, name="Acme Payments")
        report(await run_rounds(services, client, browser, rounds), output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    asyncio.run(main(given.rounds, given.output))
