"""A virtual authenticator in a browser (WebAuthn 11.2)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page

from tests import firefox

DEVICE = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
"""A laptop with a fingerprint reader."""


@asynccontextmanager
async def passkey_device(page: Page, *, is_verified: bool = True) -> AsyncIterator[None]:
    """Adds the device: to this page in Chromium, and to every page in Firefox.

    Args:
        page: a page.
        is_verified: whether the user passes the check of the device, such as the fingerprint.
    """
    device = {**DEVICE, "isUserVerified": is_verified}
    browser = page.context.browser
    assert browser is not None
    if browser.browser_type.name == "firefox":
        async with firefox.passkey_device(browser, {**device, "isUserConsenting": True}):
            yield
        return
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {**device, "automaticPresenceSimulation": True}
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield
