"""Pictures of every page of the portal and of the dashboard for the documents, into docs/images/pages.

A small installation has a fixed clock and a seed, so that every run makes the same pictures. What depends on the
machine, such as sizes and signatures, is shown as dots.
"""

import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.async_api import Browser

from coatcheck.app import Services, build, prepare_partitions
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.dashboard.app import routes_of
from coatcheck.dashboard.permissions import may
from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.model.widgets import LOCAL, WidgetAppearance
from coatcheck.portal.app import ROUTES as PORTAL_ROUTES
from coatcheck.server import create_app
from coatcheck.staff.roles import Role
from tests.browser.scene import Site
from tests.factories import Keyed, make_account, make_client, make_job, make_processor, make_token, make_user
from tests.portal_client import open_portal
from tests.processes import free_port
from tests.staff import Authenticator, encode, invite, join

DOCS = Path(__file__).parents[2] / "docs"
IMAGES = DOCS / "images" / "pages"
LISTING = DOCS / "reference" / "pages.md"
STARTED_AT = datetime(2027, 1, 6, 9, 30, tzinfo=UTC)
MASTER_KEY = f"pictures:{b64encode(sha256(b'pictures').digest()).decode()}"
VIEWPORT = {"width": 1000, "height": 600}
MAX_HEIGHT = 1400
"""What is further down is not in the picture."""
COLOURS = 64
AUDIENCES: Mapping[str, tuple[str, Role | None]] = {
    "user": ("For end users: the portal", None),
    "client": ("For the staff of a client", Role.CLIENT_ADMIN),
    "processor": ("For the staff of a processor", Role.PROCESSOR_ADMIN),
    "operator": ("For operators", Role.OPERATOR),
}
ALSO_DARK = {"user-overview", "client-overview", "client-grants", "processor-overview", "operator-metrics"}
AWAY = "/confirm/provider"
"""Leads to another site."""
QUERIES = {"/stop": "?processor_guid={processor}"}
"""Of pages that need one."""
VARIES = r"""() => {
  const varying = new RegExp(
    String.raw`[\w+/]{40,}=*|\d[\d.,]* MB|PostgreSQL [\d.]+|\d+ / 100\b|localhost:\d+`, "g");
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode()); ) text.data = text.data.replace(varying, "…");
  for (const bar of document.querySelectorAll(".chart[aria-label^='Requests by duration'] rect")) bar.remove();
}"""
INTRODUCTION = """# Every page of the portal and of the dashboard

The pages of an installation with two processors and a few users. `make pictures` generates this page and its pictures.
[The portal](../how-to/portal.md), [the dashboard](../how-to/dashboard.md).
"""


@dataclass(frozen=True)
class PortalOrDashboardPage:
    audience: str
    path: str
    """Of the route, below `/portal/...` or `/dashboard`."""

    @property
    def name(self) -> str:
        words = re.findall(r"[a-z-]+", self.path.lower())
        return f"{self.audience}-{'-'.join(words) or 'overview'}"

    @property
    def files(self) -> Sequence[Path]:
        light = IMAGES / f"{self.name}.png"
        return [light, light.with_stem(f"{self.name}-dark")] if self.name in ALSO_DARK else [light]


def pages() -> Sequence[PortalOrDashboardPage]:
    """The pages of the portal, then those of each role that no earlier one has; each has an overview."""
    found = [
        PortalOrDashboardPage("user", each.path)
        for each in PORTAL_ROUTES
        if each.method == "GET" and "." not in each.path
    ]
    seen: set[str] = set()
    for audience, (_, role) in AUDIENCES.items():
        if role is None:
            continue
        for route in routes_of(Settings(sandbox=True)):
            is_page = route.method == "GET" and not route.is_file and route.path != AWAY
            if not is_page or not may(role, route.permission) or route.path in seen - {""}:
                continue
            seen.add(route.path)
            found.append(PortalOrDashboardPage(audience, route.path))
    return found


@dataclass(frozen=True)
class Visitor:
    """Who looks at the pages of an audience."""

    home: str
    cookies: Mapping[str, str]
    objects: Mapping[str, str]
    """The guid for each parameter of the paths."""


async def take_pages(browser: Browser, url: str, selected: Sequence[str]) -> None:
    """Saves the pictures of the pages with these names; of all pages, the document as well."""
    titles: dict[str, str] = {}
    async with installation(url) as (services, server):
        visitors = await make_visitors(services, server)
        for page in pages():
            if page.name in selected:
                print(page.name, flush=True)
                titles[page.name] = await take(browser, server.origin, visitors[page.audience], page)
    if titles.keys() == {page.name for page in pages()}:
        LISTING.write_text(listing(titles))


@asynccontextmanager
async def installation(url: str) -> AsyncIterator[tuple[Services, Site]]:
    server, clock = Site(free_port(), "localhost"), MovableClock()
    clock.freeze(STARTED_AT)
    settings = Settings(
        database_url=url,
        master_key=MASTER_KEY,
        connectors=("sandbox",),
        base_url=server.origin,
        sandbox=True,
        seed=2027,
    )
    async with build(settings, clock) as services:
        async with services.db.connection() as connection:
            await prepare_partitions(connection, clock.now(), settings)
        server.start(create_app(services))
        with services.seeding.caller("pictures"):
            yield services, server
        await server.stop()


async def make_visitors(services: Services, server: Site) -> Mapping[str, Visitor]:
    """Fills the installation in the course of a week, and signs everybody in on the last day."""
    client = await make_client(services, name="Harbour Pay")
    processors = [
        await make_processor(services, client, name=name) for name in ("Acme Payments", "Ledger Books")
    ]
    appearance = WidgetAppearance(origins=list(LOCAL), accent_color="#0f766e")
    async with services.db.transaction() as connection:
        await put_widget_appearance(connection, client.guid, appearance)
    async with httpx.AsyncClient(base_url=server.origin, timeout=60) as http:
        objects = await _make_users(services, http, client, processors)
        objects |= await _make_webhooks(services, client)
        portal = await open_portal(services, client, objects["user"], http)
        name, _, value = portal.cookie.partition("=")
        visitors = {"user": Visitor(portal.home, {name: value}, objects)}
        for audience, (_, role) in AUDIENCES.items():
            if role is not None:
                organisation = {"client": client, "processor": processors[0]}.get(audience)
                visitors[audience] = await _staff(services, http, role, organisation, objects)
    return visitors


async def _make_users(
    services: Services, http: httpx.AsyncClient, client: Keyed, processors: Sequence[Keyed]
) -> dict[str, str]:
    """Users with connections and grants, of which some were used and one connection is broken."""
    objects: dict[str, str] = {}
    for number, name in enumerate(("ada", "ben", "cleo", "dai", "eve", "finn")):
        user = await make_user(services, client, id=f"{name}-{number + 1}", email=f"{name}@example.com")
        account = await make_account(services, user)
        tokens = [
            await make_token(services, account, each, atoms="max-reads:50" if number % 2 else "")
            for each in processors[: 1 + number % 2]
        ]
        ended: dict[str, Any] = {"outcome": "CONNECTED", "attempt": 1, "ended_at": services.clock.now()}
        await make_job(services, account, client_guid=client.guid, **ended)
        for token in tokens:
            await http.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})
        services.clock.advance(timedelta(hours=30))  # type: ignore[attr-defined]
        objects |= {"user": user.guid, "member": account.member_guid, "account": account.guid}
    async with services.db.transaction() as connection:
        await connection.execute(
            """UPDATE member SET connection_status = 'CLOSED'
               WHERE user_guid = (SELECT guid FROM end_user WHERE id = 'ben-2')"""
        )
        cursor = await connection.execute(
            "SELECT guid FROM access_token WHERE account_guid = %s AND processor_guid = %s",
            (account.guid, processors[0].guid),
        )
        (objects["grant"],) = await cursor.fetchone() or ("",)
    failed = {
        "outcome": "FAILED",
        "reason": "bank_unavailable",
        "attempt": 3,
        "ended_at": services.clock.now(),
    }
    objects["job"] = await make_job(services, account, client_guid=client.guid, **failed)
    return objects | {
        "client": client.guid,
        "processor": processors[0].guid,
        "institution": "mxbank",
    }


async def _make_webhooks(services: Services, client: Keyed) -> dict[str, str]:
    owner = Owner(client.guid, is_processor=False)
    async with services.db.transaction() as connection:
        endpoints = services.webhook_endpoints
        new = EndpointChanges(url="https://hooks.harbour.example/coatcheck")
        endpoint = (await endpoints.create(connection, owner, new)).endpoint
        delivery = await endpoints.test(connection, owner, endpoint.guid, "token.revoked")
        for type_ in ("connection.broken", "member.created", "user.created"):
            await endpoints.test(connection, owner, endpoint.guid, type_)
        # Two were delivered, and the receiver answered the others wrongly until they were given up.
        await connection.execute(
            """UPDATE delivery d SET attempts = 1, last_attempt_at = d.created_at, next_attempt_at = NULL,
                      status = CASE WHEN e.type LIKE 'c%%' THEN 'failed' ELSE 'delivered' END,
                      last_status = CASE WHEN e.type LIKE 'c%%' THEN 503 ELSE 204 END
               FROM event e WHERE e.guid = d.event_guid AND d.owner_guid = %s AND e.type <> 'token.revoked'""",
            (client.guid,),
        )
    return {"endpoint": endpoint.guid, "delivery": delivery.guid}


async def _staff(
    services: Services,
    http: httpx.AsyncClient,
    role: Role,
    organisation: Keyed | None,
    objects: Mapping[str, str],
) -> Visitor:
    """A person who joined with a passkey, and a colleague."""
    colleague, _ = await invite(services, role, organisation, name="Bo Berg", email=f"bo-{role}@example.com")
    _, invitation = await invite(
        services, role, organisation, name="Ann Lee", email=f"ann-{role}@example.com"
    )
    device = Authenticator(origin=services.settings.base_url, credential_id=f"{role:_<16}"[:16].encode())
    window = await join(http, invitation, device)
    known = {**objects, "person": colleague.guid, "passkey": encode(device.credential_id)}
    if organisation is not None:
        known["organisation"] = organisation.guid
    return Visitor("/dashboard", window.cookies, known)


async def take(browser: Browser, origin: str, visitor: Visitor, page: PortalOrDashboardPage) -> str:
    """Saves the pictures of a page, and returns its title."""
    context = await browser.new_context(
        viewport=VIEWPORT,
        locale="en-US",
        timezone_id="UTC",
        reduced_motion="reduce",  # type: ignore[arg-type]
    )
    cookies: list[Any] = [
        {"name": name, "value": value, "url": origin} for name, value in visitor.cookies.items()
    ]
    await context.add_cookies(cookies)
    window = await context.new_page()
    owner = "processor" if page.path.startswith("/processors") else "client"
    template = page.path + QUERIES.get(page.path, "")
    path = template.format_map({"organisation": visitor.objects[owner], **visitor.objects})
    answer = await window.goto(f"{origin}{visitor.home}{path}", wait_until="networkidle")
    assert answer is not None
    assert answer.status == 200, (page, answer.status)
    assert window.url.endswith(path), (page, window.url)
    await window.evaluate(VARIES)
    for scheme, file in zip(("light", "dark"), page.files, strict=False):
        await window.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        store(await window.screenshot(animations="disabled", full_page=True), file)
    title = await window.locator("h1").first.text_content()
    await context.close()
    return (title or page.name).strip()


def store(png: bytes, file: Path) -> None:
    """Saves it with a palette, at a third of the size."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(picture.height, MAX_HEIGHT)))
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def listing(titles: Mapping[str, str]) -> str:
    """The document with all pictures."""
    return "\n".join([INTRODUCTION, *_sections(titles)])


def _sections(titles: Mapping[str, str]) -> Iterator[str]:
    for audience, (title, _) in AUDIENCES.items():
        yield f"## {title}\n"
        for page in pages():
            if page.audience == audience:
                home = "/portal/..." if page.audience == "user" else "/dashboard"
                yield f"### {titles[page.name]}\n\n`{home}{page.path}`\n\n{_picture(page, titles[page.name])}\n"


def _picture(page: PortalOrDashboardPage, title: str) -> str:
    light, *dark = [f"../images/pages/{file.name}" for file in page.files]
    image = f'<img src="{light}" width="600" alt="The page “{title}”">'
    if not dark:
        return image
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{dark[0]}">'
    return f"<picture>\n  {source}\n  {image}\n</picture>"
