"""A scene with its two origins for each test."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from playwright.async_api import Browser

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.directory.client_rows import put_widget_appearance
from coatcheck.model.widgets import LOCAL, WidgetAppearance
from tests.api_client import Api
from tests.browser.scene import Scene, Site, open_scene
from tests.factories import Keyed, make_client, make_processor
from tests.processes import free_port


@pytest.fixture
def server() -> Site:
    """Coatcheck's site."""
    return Site(free_port())


@pytest.fixture
def app() -> Site:
    """The site of the client's app, with another origin."""
    return Site(free_port(), "localhost")


@pytest.fixture
def settings(settings: Settings, server: Site) -> Settings:
    return replace(settings, base_url=server.origin)


@pytest.fixture
async def client(services: Services) -> Keyed:
    client = await make_client(services, name="Harbour Pay")
    await make_processor(services, client, name="Acme Payments")
    async with services.db.transaction() as connection:
        await put_widget_appearance(connection, client.guid, WidgetAppearance(origins=list(LOCAL)))
    return client


@pytest.fixture
async def scene(
    services: Services, api: Api, server: Site, app: Site, browser: Browser
) -> AsyncIterator[Scene]:
    async with open_scene(services, api, server, app, browser) as one:
        yield one
