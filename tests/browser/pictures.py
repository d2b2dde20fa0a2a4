"""Pictures of every screen and every page for the documents, into docs/images.

Screens of the widget are drawn light and dark, on a phone and on a desktop; `page_pictures.py` draws the pages of the
portal and of the dashboard.

python -m tests.browser.pictures [SCREEN...]     # `make pictures`; with names those alone

Every run makes the same pictures: the sandbox has one seed and animations are off. The font is the machine's own: the
pictures in the repository use Inter (Debian: fonts-inter).
"""

import asyncio
import os
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Literal

import httpx
from PIL import Image
from playwright.async_api import Browser, Page, ViewportSize, expect

from coatcheck.app import build, prepare_partitions
from coatcheck.cli.embedded import database
from coatcheck.cli.logs import configure
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.migrations.upgrade import upgrade
from coatcheck.model.widgets import LOCAL, WidgetAppearance
from coatcheck.server import create_app
from coatcheck.vault.master_keys import new_master_key_line
from tests.api_client import Api
from tests.browser.page_pictures import IMAGES as PAGE_IMAGES
from tests.browser.page_pictures import pages, take_pages
from tests.browser.scene import Scene, Site, open_scene
from tests.browser.screens import SCREENS, WALKS
from tests.chromium import chromium
from tests.factories import make_client, make_processor
from tests.processes import free_port

DOCS = Path(__file__).parents[2] / "docs"
IMAGES = DOCS / "images" / "widget"
INSPECTOR_IMAGES = DOCS / "images" / "inspector"
LISTING = DOCS / "reference" / "widget-screens.md"
DEVICES: Mapping[str, ViewportSize] = {
    "phone": {"width": 390, "height": 760},
    "desktop": {"width": 1000, "height": 760},
}
SCHEMES: Sequence[Literal["light", "dark"]] = ("light", "dark")
COLOURS = 256
"""In one picture: the colours of a screen, and shades of its letters."""
MASTER_KEY = new_master_key_line()
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" rx="11" fill="#0f766e"/>'
    '<path d="M24 11v26m-9-15h18M12 29c2 6 7 8 12 8s10-2 12-8" fill="none" stroke="#fff" stroke-width="3.5"'
    ' stroke-linecap="round"/><circle cx="24" cy="11" r="3.5" fill="#fff"/></svg>'
)
HARBOUR = WidgetAppearance(
    origins=list(LOCAL),
    accent_color="#0f766e",
    logo=f"data:image/svg+xml;base64,{b64encode(LOGO.encode()).decode()}",
    privacy_url="https://harbour.example/privacy",
)
"""The appearance of the client's widget."""


FONTS = """<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
</fontconfig>"""
"""The font behind `system-ui`."""


EMBEDDED = "embedded"
"""The name of the picture of a client's page around the widget."""
INSPECTOR = "inspector"
"""The name of the picture of a sandbox's own page."""
FROZEN_AT = datetime(2027, 1, 1, 9, tzinfo=UTC)
"""The clock of that sandbox."""
CLIENT_STYLE = """
  :root { color-scheme: light dark; --background: #f5f7f8; --surface: #fff; --text: #1c2733; --muted: #5b6875 }
  @media (prefers-color-scheme: dark) {
    :root { --background: #0c1117; --surface: #151b23; --text: #e9eef4; --muted: #a5b1bf }
  }
  body { min-height: 100vh; background: var(--background); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
  nav { display: flex; gap: 28px; padding: 18px 48px; background: var(--surface); font-weight: 500 }
  nav b { flex: 1; font-weight: 650 }
  section { position: absolute; top: 150px; left: 48px; width: 350px }
  h1 { margin: 0 0 12px; font-size: 32px; line-height: 1.2; letter-spacing: -0.02em }
  section p { margin: 0 0 12px; color: var(--muted) }
  #widget { position: absolute; top: 92px; right: 48px }
  #widget, #widget iframe { width: 430px !important; height: 628px !important }
  #widget iframe { border-radius: 16px;
                   box-shadow: 0 1px 3px rgb(0 0 0 / 12%), 0 12px 40px rgb(0 0 0 / 10%) }
"""
CLIENT_PAGE = """
  <nav><b>Harbour Pay</b> <span>Invoices</span> <span>Payouts</span> <span>Settings</span></nav>
  <section><h1>Get paid to your bank</h1><p>Connect the account that your payouts go to. It takes a minute.</p>
  <p>You choose the account, and nothing else can be paid to.</p></section>
"""


INTRODUCTION = """# Every screen of the widget

The screens of the widget, on a phone in light and dark and on a desktop, in the order of the tests that walk through
them. `make pictures` generates this page and its pictures. [How to embed the
widget](../how-to/clients.md#let-the-user-connect-the-bank).
"""


async def take_all(selected: Sequence[str], url: str) -> None:
    taken = 0
    async with chromium() as browser:
        for walk in WALKS:
            async with scene(browser, url) as one:
                async for screen in walk(one):
                    if screen.name not in selected:
                        continue
                    taken += 1
                    print(f"[{taken}/{len(selected)}] {screen.name}", flush=True)
                    await take(screen.page, screen.name, DEVICES)
        if EMBEDDED in selected:
            async with scene(browser, url) as one:
                print(f"[{taken + 1}/{len(selected)}] {EMBEDDED}", flush=True)
                await take(await embedded(one), EMBEDDED, {"desktop": DEVICES["desktop"]})
        if INSPECTOR in selected:
            print(f"[{len(selected)}/{len(selected)}] {INSPECTOR}", flush=True)
            await take_inspector(browser, url)


async def take_inspector(browser: Browser, url: str) -> None:
    """Saves the page of a sandbox in which two members were connected and a token issued."""
    server, clock = Site(free_port()), MovableClock()
    clock.freeze(FROZEN_AT)
    settings = Settings(
        database_url=url, master_key=MASTER_KEY, connectors=("sandbox",), base_url=server.origin, sandbox=True
    )
    async with build(settings, clock) as services:
        async with services.db.connection() as connection:
            await prepare_partitions(connection, clock.now(), settings)
        client = await make_client(services)
        processor = await make_processor(services, client)
        server.start(create_app(services))
        async with httpx.AsyncClient(base_url=server.origin, auth=client.auth, timeout=60) as http:
            for path, body in (
                ("/coatcheck/sandbox/connections", {"connection": {"controls": ["locked"]}}),
                ("/coatcheck/sandbox/tokens", {"token": {"processor_guid": processor.guid}}),
                ("/users/USR-unknown/members", {"member": {}}),
            ):
                await http.post(path, json=body)
        page = await browser.new_page(reduced_motion="reduce")
        await page.goto(server.origin)
        await page.get_by_label("Client id").fill(client.guid)
        await page.get_by_label("API key").fill(client.api_key)
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-list=grants] table")).to_be_visible()
        INSPECTOR_IMAGES.mkdir(parents=True, exist_ok=True)
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            picture = await page.screenshot(animations="disabled", full_page=True)
            store(picture, INSPECTOR_IMAGES / f"{scheme}.png")
        await page.close()
        await server.stop()


async def embedded(one: Scene) -> Page:
    """A client's page with the widget in it, when the user has agreed."""
    widget = await one.embed(color_scheme="browser")
    await widget.page.add_style_tag(content=CLIENT_STYLE)
    await widget.page.evaluate("(page) => document.body.insertAdjacentHTML('afterbegin', page)", CLIENT_PAGE)
    await widget.frame.get_by_role("button", name="Agree and continue").press("Enter")
    await widget.sees("Find your bank")
    await expect(widget.frame.get_by_role("button", name="Lanternfish Bank")).to_be_visible()
    return widget.page


async def take(page: Page, name: str, devices: Mapping[str, ViewportSize]) -> None:
    """Saves one screen on each device, light and dark."""
    await page.mouse.move(0, 0)
    for device, viewport in devices.items():
        await page.set_viewport_size(viewport)
        await page.evaluate("scrollTo(0, 0)")
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            for frame in page.frames[1:]:
                # A frame of another site changes a little later.
                await expect(frame.locator("html")).to_have_attribute("data-color-scheme", scheme)
            store(await page.screenshot(animations="disabled"), IMAGES / f"{name}-{device}-{scheme}.png")


def store(png: bytes, file: Path) -> None:
    """Saves it with a palette, at a third of the size."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def listing() -> str:
    """The document with all pictures."""
    shown = (
        f"## {name}\n\n{seen[0].upper()}{seen[1:]}.\n\n"
        f"{_picture(name, 'phone', 'light', seen)}\n{_picture(name, 'phone', 'dark', seen)}\n"
        '<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="../images/widget/'
        f'{name}-desktop-dark.png">\n  {_picture(name, "desktop", "light", seen)}\n</picture>\n'
        for name, seen in SCREENS.items()
    )
    return "\n".join([INTRODUCTION, *shown])


def _picture(name: str, device: str, scheme: str, seen: str) -> str:
    width = {"phone": 195, "desktop": 500}[device]
    source = f"../images/widget/{name}-{device}-{scheme}.png"
    return f'<img src="{source}" width="{width}" alt="On a {device}, {scheme}: {seen}">'


def files(names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        if name == INSPECTOR:
            yield from (INSPECTOR_IMAGES / f"{scheme}.png" for scheme in SCHEMES)
            continue
        for device in DEVICES if name != EMBEDDED else ("desktop",):
            yield from (IMAGES / f"{name}-{device}-{scheme}.png" for scheme in SCHEMES)


@asynccontextmanager
async def scene(browser: Browser, url: str) -> AsyncIterator[Scene]:
    """A scene with services of its own."""
    server = Site(free_port())
    settings = Settings(
        database_url=url, master_key=MASTER_KEY, connectors=("sandbox",), base_url=server.origin
    )
    async with build(settings, MovableClock()) as services:
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url=server.origin) as http:
            client = await make_client(services, name="Harbour Pay")
            await make_processor(services, client, name="Acme Payments")
            async with services.db.transaction() as connection:
                await put_widget_appearance(connection, client.guid, HARBOUR)
            app = Site(free_port(), "localhost")
            context = {"locale": "en-US", "timezone_id": "UTC", "reduced_motion": "reduce"}
            async with open_scene(
                services, Api(http, services, client), server, app, browser, **context
            ) as one:
                yield one


def main() -> None:
    names, page_names = [*SCREENS, EMBEDDED, INSPECTOR], [page.name for page in pages()]
    selected = sys.argv[1:] or [*names, *page_names]
    if unknown := [name for name in selected if name not in {*names, *page_names}]:
        sys.exit(f"There is no screen {unknown[0]}; there are: {', '.join(names)}.")
    configure("WARNING", "console")
    screens, selected_pages = ([each for each in selected if each in all_] for all_ in (names, page_names))
    with tempfile.TemporaryDirectory() as directory:
        fonts = Path(directory) / "fonts.conf"
        fonts.write_text(FONTS)
        os.environ["FONTCONFIG_FILE"] = str(fonts)
        if screens:
            IMAGES.mkdir(parents=True, exist_ok=True)
            draw(take_all, screens, Path(directory) / "screens")
        if selected_pages:
            draw(take_all_pages, selected_pages, Path(directory) / "pages")
    LISTING.write_text(listing())
    drawn = {*files(names), *(file for page in pages() for file in page.files)}
    for stale in {*IMAGES.glob("*.png"), *PAGE_IMAGES.glob("*.png")} - drawn:
        stale.unlink()
    made = [*files(screens), *(file for page in pages() if page.name in selected for file in page.files)]
    print(
        f"{len(made)} pictures, {sum(each.stat().st_size for each in made) / 1e6:.1f} MB in {IMAGES.parent}"
    )


def draw(
    take_selected: Callable[[Sequence[str], str], Coroutine[None, None, None]],
    selected: Sequence[str],
    directory: Path,
) -> None:
    """Draws with a database of its own."""
    with database(directory, durable=False) as url:
        upgrade(url)
        asyncio.run(take_selected(selected, url))


async def take_all_pages(selected: Sequence[str], url: str) -> None:
    async with chromium() as browser:
        await take_pages(browser, url, selected)


if __name__ == "__main__":
    main()
