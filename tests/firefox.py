"""The second browser of the tests: the system's Firefox, unchanged, by WebDriver BiDi.

python -m tests.firefox     # installs Debian's package if none starts

Playwright's own Firefox is a changed one, and no registry has it.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser, Error, async_playwright

from tests.chromium import IS_ROOT, install_packages
from tests.processes import free_port

NAMES = ("firefox-esr", "firefox")
MISSING = (
    "no Firefox starts here: `python -m tests.firefox` installs Debian's package for root, elsewhere install Firefox "
    "with your system's packages, or name one: FIREFOX=/path/to/firefox"
)
PREFERENCES: Mapping[str, str | float | bool] = {
    "ui.prefersReducedMotion": 1,
    # Sites share a process: a key that is pressed does not reach a frame in a process of its own.
    "fission.webContentIsolationStrategy": 0,
    "security.webauth.webauthn_enable_softtoken": True,
    "security.webauth.webauthn_enable_usbtoken": False,
}
"""Firefox 153 has no command for reduced motion and for a colour scheme."""
IN_BOTH_BROWSERS = pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)
"""For the few tests that every run of the suite repeats in Firefox. `make firefox` runs all of them in it."""
LIMIT_SECONDS = 300
"""How long one test may take."""
DARK = {"layout.css.prefers-color-scheme.content-override": 0}


def executable() -> str | None:
    """The path in FIREFOX, or that of the system's browser."""
    return os.environ.get("FIREFOX") or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(frozen=True)
class Marionette:
    """A connection of Firefox's own protocol, for what BiDi has no command for."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, command: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.write(command, parameters)
        _, _, error, result = await self.receive()
        assert error is None, error
        return dict(result)

    def write(self, command: str, parameters: Mapping[str, Any]) -> None:
        """A message is its length, a colon, and JSON: [type, id, command or error, parameters or result]."""
        text = json.dumps([0, 1, command, parameters])
        self.writer.write(f"{len(text)}:{text}".encode())

    async def receive(self) -> Any:
        length = (await self.reader.readuntil(b":")).removesuffix(b":")
        return json.loads(await self.reader.readexactly(int(length)))


MARIONETTES: dict[Browser, Marionette] = {}
"""That of each browser that runs."""


@asynccontextmanager
async def firefox(*, is_dark: bool = False) -> AsyncIterator[Browser]:
    """Skips the test if none starts."""
    port = free_port()
    async with async_playwright() as playwright:
        try:
            browser = await playwright.firefox.launch(
                channel="moz-firefox",
                executable_path=executable(),
                args=["--marionette"],
                firefox_user_prefs={**PREFERENCES, "marionette.port": port, **(DARK if is_dark else {})},
            )
            # A Playwright that is newer than this Firefox launches it, and cannot open a window.
            await (await browser.new_context()).close()
        except Error as error:
            pytest.skip(f"{MISSING} ({error.message.splitlines()[0]})")
        # To close the connection would end the session of BiDi too.
        MARIONETTES[browser] = Marionette(*await asyncio.open_connection("127.0.0.1", port))
        await MARIONETTES[browser].receive()
        yield browser
        await browser.close()
        MARIONETTES.pop(browser).writer.close()


@contextmanager
def limited(browser: Browser) -> Iterator[None]:
    """Quits a Firefox whose test does not end, so that it fails: not every command of BiDi has a time limit."""
    if browser not in MARIONETTES:
        yield
        return
    write = MARIONETTES[browser].write
    late = asyncio.get_running_loop().call_later(
        LIMIT_SECONDS, write, "Marionette:Quit", {"flags": ["eForceQuit"]}
    )
    yield
    late.cancel()


@asynccontextmanager
async def passkey_device(browser: Browser, options: Mapping[str, Any]) -> AsyncIterator[None]:
    """A virtual authenticator for every window of this Firefox (WebAuthn 11.2)."""
    marionette = MARIONETTES[browser]
    added = await marionette.send("WebAuthn:AddVirtualAuthenticator", options)
    try:
        yield
    finally:
        # Otherwise it would answer in the tests after one that failed.
        await marionette.send("WebAuthn:RemoveVirtualAuthenticator", {"authenticatorId": added["value"]})


def install() -> None:
    """Installs Debian's Firefox for root on Debian unless there is one. Says how to install it elsewhere."""
    if executable():
        return
    if IS_ROOT and shutil.which("apt-get"):
        print("Installing Debian's firefox-esr, for the tests in a second browser.", flush=True)
        install_packages("firefox-esr")
    if not executable():
        print(f"The tests in Firefox will be skipped: {MISSING}.")


if __name__ == "__main__":
    install()
