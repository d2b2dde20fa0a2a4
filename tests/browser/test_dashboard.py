"""The dashboard in a browser: a story for each kind of staff with real passkeys, and every page with axe."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.dashboard.app import routes_of
from coatcheck.dashboard.permissions import may
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.model.accounts import Account
from coatcheck.server import create_app
from coatcheck.staff.roles import Role
from coatcheck.staff.sessions import CONFIRMATION_TTL
from tests.browser.accessibility import DESKTOP, accessibility_problems, press_by_keyboard
from tests.browser.passkeys import passkey_device
from tests.browser.scene import Site
from tests.factories import Keyed, make_account, make_job, make_processor, make_token, make_user
from tests.staff import encode, invite

LAYOUTS = {
    Role.OPERATOR: ("/clients", "/institutions/{institution}", "/jobs", "/metrics"),
    Role.PROCESSOR_ADMIN: ("/webhooks/add", "/webhooks/{endpoint}", "/deliveries"),
    Role.CLIENT_ADMIN: ("/widget", "/widget/origins"),
}
"""A list, a form in a page, charts of both kinds, a form with many choices, and a page with a list in it."""
AWAY = {"/confirm/provider"}
"""Addresses that lead to another site."""


@dataclass(frozen=True)
class Desk:
    """A browser window of a person of the staff."""

    page: Page
    home: str

    async def join(self, invitation: str) -> None:
        await self.page.goto(self.home.removesuffix("/dashboard") + invitation)
        await self.press("Create a passkey")
        await self.sees("Overview")

    async def press(self, name: str) -> None:
        await press_by_keyboard(self.page, name)

    async def sees(self, title: str) -> None:
        """Waits for the page with this title, until its module has run."""
        await expect(self.page.get_by_role("heading", level=1, name=title, exact=True)).to_be_visible()
        await self.page.wait_for_load_state()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, sandbox=True)


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport=DESKTOP, reduced_motion="reduce", locale="en-US")
    yield context
    await context.close()


@pytest.fixture
async def desk(services: Services, server: Site, context: BrowserContext) -> AsyncIterator[Desk]:
    """A window with a passkey device. At the end: it requested nothing of another host, and nothing was refused."""
    server.start(create_app(services))
    page = await context.new_page()
    requested: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: refused.append(message.text) if "Policy" in message.text else None)
    origin = f"http://localhost:{server.port}"
    async with passkey_device(page):
        yield Desk(page, f"{origin}/dashboard")
    assert [url for url in requested if not url.startswith((origin, server.origin, "data:"))] == []
    assert refused == []
    await server.stop()


async def test_an_operator_joins_signs_in_again_and_rotates_a_key_by_keyboard(
    services: Services, clock: MovableClock, http: httpx.AsyncClient, client: Keyed, desk: Desk, server: Site
) -> None:
    page = desk.page
    _, invitation = await invite(services)
    await desk.join(invitation)
    await desk.press("Sign out")
    await desk.sees("Sign in")
    # At its address the machine leads to its name, to which the passkey belongs.
    await page.goto(f"{server.origin}/dashboard/clients/{client.guid}")
    await desk.sees("Sign in")
    await desk.press("Sign in with a passkey")
    await desk.sees("Harbour Pay")
    clock.advance(CONFIRMATION_TTL)
    await desk.press("Rotate the API key")
    await desk.sees("Confirm that it is you")
    await desk.press("Confirm with a passkey")
    await desk.sees("Rotate the API key of Harbour Pay?")
    await desk.press("Rotate the API key")
    await desk.sees("API key of Harbour Pay")
    key = await page.locator("#api-key").text_content()
    assert key
    assert (await http.get("/coatcheck/grants", auth=(client.guid, key))).status_code == 200


async def test_a_processors_developer_gets_a_token_in_one_press(
    services: Services, http: httpx.AsyncClient, client: Keyed, desk: Desk
) -> None:
    processor = await make_processor(services, client, name="Ledger Books")
    _, invitation = await invite(services, Role.PROCESSOR_DEVELOPER, processor)
    await desk.join(invitation)
    await desk.press("Playground")
    await desk.sees("Playground")
    await desk.press("Give me a token")
    await expect(desk.page.get_by_role("heading", name="Access token")).to_be_visible()
    token = await desk.page.locator("#access-token").text_content()
    read = await http.get("/account/account_numbers", headers={"Authorization": f"Bearer {token}"})
    assert read.status_code == 200
    await desk.press("To the grant")
    await desk.sees("Grant")


@pytest.mark.slow
async def test_a_clients_administrator_invites_a_colleague(
    services: Services, client: Keyed, desk: Desk
) -> None:
    page = desk.page
    _, invitation = await invite(services, Role.CLIENT_ADMIN, client)
    await desk.join(invitation)
    await desk.press("Staff")
    await desk.sees("Staff")
    await desk.press("Invite a person")
    await desk.sees("Invite a person")
    await page.get_by_label("Name").fill("Bo Diaz")
    await page.get_by_label("E-mail address").fill("bo@acme.example")
    await page.get_by_label("Role").select_option(f"{client.guid}:client_support")
    await desk.press("Create an invitation")
    await desk.sees("Invitation for Bo Diaz")
    url = str(await page.locator("#invitation").text_content())
    await desk.press("Sign out")
    await desk.sees("Sign in")
    await desk.join("/dashboard" + url.partition("/dashboard")[2])
    await expect(page.get_by_text("Bo Diaz").first).to_be_visible()
    await expect(page.get_by_role("link", name="Staff")).to_have_count(0)


async def test_a_supporter_of_a_client_reads_the_numbers_of_an_account(
    services: Services, clock: MovableClock, client: Keyed, desk: Desk
) -> None:
    page = desk.page
    account = await make_account(
        services, await make_user(services, client, email="ann@example.com"), account_number="5550001234"
    )
    await join_as(services, desk, Role.CLIENT_SUPPORT, client)
    await desk.press("Users")
    await desk.sees("Users")
    await page.get_by_role("link", name=account.user_guid).click()
    await desk.sees("ann@example.com")
    await desk.press("MX Bank")
    await desk.sees("MX Bank")
    clock.advance(CONFIRMATION_TTL)
    await desk.press("Numbers of Everyday Checking")
    await desk.sees("Confirm that it is you")
    await desk.press("Confirm with a passkey")
    await desk.sees("Read the account numbers?")
    await page.get_by_label("Reason").fill("The payout failed")
    await desk.press("Show the numbers")
    await expect(page.get_by_text("5550001234")).to_be_visible()


async def test_a_supporter_stops_one_processor_and_the_other_reads_on(
    services: Services, clock: MovableClock, http: httpx.AsyncClient, client: Keyed, desk: Desk
) -> None:
    account = await make_account(services, await make_user(services, client))
    headers = {}
    for name in ("Ledger Books", "Tidy Taxes"):
        token = await make_token(services, account, await make_processor(services, client, name=name))
        headers[name] = {"Authorization": f"Bearer {token}"}
    await join_as(services, desk, Role.CLIENT_SUPPORT, client)
    await desk.press("Grants")
    await desk.sees("Grants")
    # Above the list, a link with this name filters it.
    await desk.page.locator("tbody").get_by_role("link", name="Ledger Books").press("Enter")
    await desk.sees("Grant of Ledger Books")
    clock.advance(CONFIRMATION_TTL)
    await desk.press("Revoke")
    await desk.sees("Confirm that it is you")
    await desk.press("Confirm with a passkey")
    await desk.sees("Revoke the grant of Ledger Books?")
    await desk.page.get_by_label("Reason").fill("The user asked us to")
    await desk.press("Revoke")
    await desk.sees("The grant is revoked")
    answers = {
        name: (await http.get("/account/account_numbers", headers=given)).status_code
        for name, given in headers.items()
    }
    assert answers == {"Ledger Books": 401, "Tidy Taxes": 200}


async def test_a_press_before_the_page_can_ask_for_a_passkey_sends_nothing(
    desk: Desk, context: BrowserContext
) -> None:
    is_released = asyncio.Event()

    async def delay(route: Route) -> None:
        await is_released.wait()
        await route.continue_()

    await context.route("**/dashboard.js", delay)
    await desk.page.goto(f"{desk.home}/sign-in", wait_until="commit")
    button = desk.page.get_by_role("button", name="Sign in with a passkey")
    await expect(button).to_be_disabled()
    is_released.set()
    await expect(button).to_be_enabled()


async def test_a_cancelled_passkey_says_what_to_do(
    services: Services, server: Site, context: BrowserContext
) -> None:
    server.start(create_app(services))
    page = await context.new_page()
    async with passkey_device(page, is_verified=False):
        await page.goto(f"http://localhost:{server.port}/dashboard/sign-in")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_role("alert")).to_have_text(re.compile("did not use a passkey"))
    await server.stop()


@pytest.fixture
async def objects(services: Services, client: Keyed, processor: Keyed) -> Mapping[str, str]:
    """An object for each parameter in the paths of the pages."""
    account: Account = await make_account(services, await make_user(services, client))
    await make_token(services, account, processor)
    job = await make_job(services, account)
    person, _ = await invite(services)
    owner = Owner(processor.guid, is_processor=True)
    async with services.db.transaction() as connection:
        endpoints = services.webhook_endpoints
        new = EndpointChanges(url="https://hooks.example/coatcheck")
        endpoint = (await endpoints.create(connection, owner, new)).endpoint
        delivery = await endpoints.test(connection, owner, endpoint.guid, "token.revoked")
        cursor = await connection.execute(
            "SELECT guid FROM access_token WHERE account_guid = %s", (account.guid,)
        )
        (grant,) = await cursor.fetchone() or ("",)
    return {
        "client": client.guid,
        "processor": processor.guid,
        "institution": "mxbank",
        "user": account.user_guid,
        "member": account.member_guid,
        "account": account.guid,
        "job": job,
        "person": person.guid,
        "endpoint": endpoint.guid,
        "delivery": delivery.guid,
        "grant": grant,
    }


async def test_the_preview_of_the_widget_follows_what_is_typed_and_links_nothing(
    services: Services, client: Keyed, desk: Desk
) -> None:
    page = desk.page
    await make_processor(services, client, name="Ledger Books")
    _, invitation = await invite(services, Role.CLIENT_DEVELOPER, client)
    await desk.join(invitation)
    await desk.press("Widget")
    preview = page.frame_locator("#preview")
    await expect(preview.get_by_text("Ledger Books")).to_be_visible()
    agree = preview.locator("button.primary")
    await page.locator("#accent_color").fill("#ffcc00")
    await expect(agree).to_have_css("background-color", "rgb(255, 204, 0)")
    await expect(page.locator("#readability")).to_contain_text("Links get a shade")
    await page.locator("#accent_color").fill("#ffcc0")
    await expect(agree).not_to_have_css("background-color", "rgb(255, 204, 0)")
    await page.locator("#logo-file").set_input_files(
        {
            "name": "logo.svg",
            "mimeType": "image/svg+xml",
            "buffer": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        }
    )
    await expect(preview.locator("img[src^='data:image/svg+xml']").first).to_be_attached()
    await page.locator("#preview-locale").select_option("es")
    await expect(preview.locator("html")).to_have_attribute("lang", "es")
    await agree.click()
    await preview.locator("button.bank").first.click()
    fields = preview.locator(".field input")
    # `all` does not wait for the page with the fields.
    await expect(fields.first).to_be_visible()
    for field in await fields.all():
        await field.fill("secret")
    await agree.click()
    await expect(preview.get_by_text("Ledger Books")).to_be_visible()
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM member WHERE client_guid = %s", (client.guid,)
        )
        assert await cursor.fetchone() == (0,)
    await page.locator("#accent_color").fill("#0a7")
    async with page.expect_event("load"):
        await desk.press("Save the look")
    await expect(page.locator("#accent_color")).to_have_value("#0a7")
    await expect(page.locator("#logo-remove")).to_be_visible()


@pytest.fixture
async def processor(services: Services, client: Keyed) -> Keyed:
    return await make_processor(services, client, name="Ledger Books")


async def join_as(services: Services, desk: Desk, role: Role, organisation: Keyed | None) -> str:
    """Signs the window in as a person of the role; returns the id of their passkey as it is in paths."""
    staff, invitation = await invite(services, role, organisation)
    await desk.join(invitation)
    async with services.db.connection() as connection:
        (passkey,) = await services.staff.passkeys.list(connection, staff.guid)
    return encode(passkey.credential_id)


@pytest.mark.parametrize(
    "role",
    [
        Role.OPERATOR,
        *(pytest.param(role, marks=pytest.mark.slow) for role in (Role.PROCESSOR_ADMIN, Role.CLIENT_ADMIN)),
    ],
)
async def test_a_page_of_each_layout_is_accessible_and_fits(
    services: Services, client: Keyed, processor: Keyed, objects: Mapping[str, str], desk: Desk, role: Role
) -> None:
    """Of `test_every_page_is_accessible_and_fits`, what takes a few seconds."""
    problems = []
    organisation = {Role.PROCESSOR_ADMIN: processor, Role.CLIENT_ADMIN: client}.get(role)
    if role is Role.OPERATOR:
        problems += await problems_of(desk, "/sign-in")
    await join_as(services, desk, role, organisation)
    for path in LAYOUTS[role]:
        problems += await problems_of(desk, path.format(**objects))
    assert problems == []


@pytest.mark.slow
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.CLIENT_ADMIN, Role.PROCESSOR_ADMIN])
async def test_every_page_is_accessible_and_fits(
    services: Services, client: Keyed, processor: Keyed, objects: Mapping[str, str], desk: Desk, role: Role
) -> None:
    """Each page once: what the operator or a processor can open is not opened again as a client."""
    organisation = {Role.OPERATOR: None, Role.CLIENT_ADMIN: client, Role.PROCESSOR_ADMIN: processor}[role]
    problems = []
    if role is Role.OPERATOR:
        problems += await problems_of(desk, (await invite(services))[1].removeprefix("/dashboard"))
    given = {**objects, "passkey": await join_as(services, desk, role, organisation)}
    earlier = [Role.OPERATOR, Role.PROCESSOR_ADMIN] if role is Role.CLIENT_ADMIN else [Role.OPERATOR]
    for route in routes_of(services.settings):
        is_seen = role is not Role.OPERATOR and any(may(other, route.permission) for other in earlier)
        is_page = route.method == "GET" and not route.is_file and route.path not in AWAY
        if is_page and may(role, route.permission) and not is_seen:
            owner = processor if route.path.startswith("/processors") else client
            problems += await problems_of(desk, route.path.format(**{**given, "organisation": owner.guid}))
    assert problems == []


async def problems_of(desk: Desk, path: str) -> list[str]:
    answer = await desk.page.goto(desk.home + path)
    assert answer is not None
    assert answer.status == 200, path
    return [f"{path}: {each}" for each in await accessibility_problems(desk.page, "body")]
