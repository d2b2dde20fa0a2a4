"""An end user opens the portal with npm's `oidc-provider`, unchanged; who is no user of the client does not."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.server import create_app
from tests.factories import Keyed, make_user
from tests.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    answer_at_provider,
    needs_oidc_provider,
    oidc_provider,
)
from tests.portal_client import text_of
from tests.staff import Window

BASE_URL = "http://coatcheck.test"
RETURN_URL = f"{BASE_URL}/portal/sign-in/return"

pytestmark = needs_oidc_provider


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider(RETURN_URL) as issuer:
        yield issuer


@pytest.fixture
def settings(settings: Settings, issuer: str) -> Settings:
    return replace(
        settings,
        base_url=BASE_URL,
        portal_oidc_issuer=issuer,
        portal_oidc_client_id=CLIENT_ID,
        portal_oidc_client_secret=CLIENT_SECRET,
        portal_oidc_client_guid="CLT-named-below",
    )


@pytest.fixture
async def window(services: Services, client: Keyed) -> AsyncIterator[Window]:
    settings = replace(services.settings, portal_oidc_client_guid=client.guid)
    transport = httpx.ASGITransport(create_app(replace(services, settings=settings)))
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as http:
        yield Window(http)


async def sign_in(window: Window, login: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as browser:
        url = (await window.get("/portal/sign-in")).headers["location"]
        returned = await answer_at_provider(browser, url, RETURN_URL, login=login)
    return await window.get(returned.removeprefix(BASE_URL))


async def test_the_user_of_the_subject_opens_the_portal_and_nobody_else_does(
    services: Services, client: Keyed, window: Window
) -> None:
    login = f"ann{secrets.token_hex(4)}"
    refused = await sign_in(window, login)
    assert refused.status_code == 401
    assert "No account was found for this sign-in" in text_of(refused)
    await make_user(services, client, id=login)
    answer = await sign_in(window, login)
    assert answer.status_code == 303
    assert "Your connected accounts" in text_of(await window.get(answer.headers["location"]))
