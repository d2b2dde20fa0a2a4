"""Measures the pages of the portal and of the dashboard: bytes on the wire, and the time until something is drawn.

    make bench-pages    # a table, and a check: each page below 100 kB and drawn within 1.5 s

A real server answers a real browser on a slow phone (`slow_phone.py`). Each page is opened with an empty cache. Its
time is that of the first contentful paint.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from httpx import AsyncClient
from playwright.async_api import Browser, Page
from rich.console import Console
from rich.table import Table

from bench.slow_phone import CPU_SLOWDOWN, ROUND_TRIP_MS, installation, slow_page
from coatcheck.app import Services
from coatcheck.dashboard.app import routes_of
from coatcheck.dashboard.permissions import may
from coatcheck.staff.roles import Role
from tests.factories import (
    Keyed,
    make_account,
    make_client,
    make_job,
    make_processor,
    make_token,
    make_user,
)
from tests.portal_client import open_portal
from tests.staff import signed_in

MAX_BYTES, MAX_DRAWN_MS = 100_000, 1500
PORTAL_PATHS = ("", "/processors/{processor}", "/grants/{grant}", "/apps", "/agreements", "/delete")
AWAY = "/confirm/provider"
"""Leads to another site."""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"

console = Console(width=110)


@dataclass(frozen=True)
class Visit:
    name: str
    drawn_ms: float
    bytes: int


@dataclass(frozen=True)
class Site:
    """Pages that are open to one person."""

    name: str
    home: str
    cookies: Mapping[str, str]
    paths: Mapping[str, str]
    """Of each page, by its route."""


async def dashboard(
    services: Services, http: AsyncClient, role: Role, organisation: Keyed | None, known: Mapping[str, str]
) -> Site:
    """The pages of a role. Of those about an object, the ones whose objects are known."""
    window = await signed_in(services, http, role, organisation)
    paths = [
        each.path
        for each in routes_of(services.settings)
        if each.method == "GET" and not each.is_file and each.path != AWAY and may(role, each.permission)
    ]
    filled = {path: path.format_map(known) for path in paths if _is_known(path, known)}
    return Site(role, "/dashboard", window.cookies, filled)


def _is_known(path: str, known: Mapping[str, str]) -> bool:
    try:
        path.format_map(known)
    except KeyError:
        return False
    return True


@dataclass(frozen=True)
class Objects:
    client: Keyed
    processor: Keyed
    known: Mapping[str, str]
    """By the parameter of the routes."""


async def make_objects(services: Services) -> Objects:
    client = await make_client(services, name="Harbour Pay")
    processor = await make_processor(services, client, name="Ledger Books")
    account = await make_account(services, await make_user(services, client))
    await make_token(services, account, processor)
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT guid FROM access_token")
        (grant,) = await cursor.fetchone() or ("",)
    known = {
        "client": client.guid,
        "processor": processor.guid,
        "user": account.user_guid,
        "member": account.member_guid,
        "account": account.guid,
        "grant": grant,
        "job": await make_job(services, account),
        "institution": "mxbank",
    }
    return Objects(client, processor, known)


async def sites(services: Services, http: AsyncClient, made: Objects) -> list[Site]:
    """New sessions: one that is older than a few minutes is asked for its passkey again by some pages."""
    client, known = made.client, made.known
    portal = await open_portal(services, client, known["user"], http)
    name, _, value = portal.cookie.partition("=")
    filled = {path: path.format_map(known) for path in PORTAL_PATHS}
    return [
        Site("portal", portal.home, {name: value}, filled),
        await dashboard(services, http, Role.OPERATOR, None, known),
        await dashboard(services, http, Role.CLIENT_ADMIN, client, known),
        await dashboard(services, http, Role.PROCESSOR_ADMIN, made.processor, known),
    ]


async def visit(browser: Browser, origin: str, site: Site, route: str) -> Visit:
    path = site.paths[route]
    context = await browser.new_context(viewport={"width": 390, "height": 760})
    await context.add_cookies(
        [{"name": name, "value": value, "url": origin} for name, value in site.cookies.items()]
    )
    page, sizes = await slow_page(context)
    answer = await page.goto(f"{origin}{site.home}{path}", wait_until="networkidle")
    assert answer is not None
    assert answer.status == 200, (site.name, path, answer.status)
    assert page.url.endswith(path), (path, page.url)
    drawn = await _first_paint(page)
    await context.close()
    return Visit(f"{site.name} {route or '/'}", drawn, sum(sizes.values()))


async def _first_paint(page: Page) -> float:
    found = await page.wait_for_function(FIRST_PAINT)
    return float(await found.json_value())


def report(visits: Mapping[str, list[Visit]]) -> bool:
    """Prints the pages, the slowest first. Returns whether all are within the limits."""
    rows = [
        (
            name,
            statistics.median(each.drawn_ms for each in found),
            statistics.median(each.bytes for each in found),
        )
        for name, found in visits.items()
    ]
    table = Table(
        "page",
        "drawn, ms",
        "bytes",
        title=f"{len(rows)} pages at {CPU_SLOWDOWN}x CPU, 1.6 Mbit/s, {ROUND_TRIP_MS} ms; medians",
    )
    for name, drawn, size in sorted(rows, key=lambda row: -row[1]):
        table.add_row(name, f"{drawn:,.0f}", f"{size:,.0f}")
    console.print(table)
    checks = {
        f"each page below {MAX_BYTES / 1000:.0f} kB": all(size < MAX_BYTES for _, _, size in rows),
        f"each page drawn within {MAX_DRAWN_MS / 1000} s": all(drawn < MAX_DRAWN_MS for _, drawn, _ in rows),
    }
    for check, is_met in checks.items():
        console.print(f"{'met   ' if is_met else 'MISSED'}  {check}")
    return all(checks.values())


async def main(rounds: int) -> bool:
    visits: dict[str, list[Visit]] = {}
    async with installation() as (services, browser):
        origin = services.settings.base_url
        made = await make_objects(services)
        # The first opens warm the server and the browser.
        for number in range(rounds + 1):
            async with AsyncClient(base_url=origin) as http:
                found = await sites(services, http, made)
            for site in found:
                for route in list(site.paths)[: None if number else 1]:
                    seen = await visit(browser, origin, site, route)
                    if number:
                        visits.setdefault(seen.name, []).append(seen)
    return report(visits)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    sys.exit(0 if asyncio.run(main(parser.parse_args().rounds)) else 1)
