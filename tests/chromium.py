"""The browser of the tests, the benchmark and the pictures: the system's Chromium, or else Playwright's.

python -m tests.chromium     # installs one if none starts
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Error, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
IS_ROOT = os.name == "posix" and os.geteuid() == 0
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    *(["--no-sandbox"] if IS_ROOT else []),
]
"""The browser sends no requests of its own. Its sandbox does not work for root."""


def executable() -> str | None:
    """The path in CHROMIUM, or that of the system's browser; None selects Playwright's."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield browser
        await browser.close()


def install() -> None:
    """Installs Chromium unless one starts already: Debian's package for root on Debian, otherwise Playwright's."""
    if _starts():
        return
    if IS_ROOT and shutil.which("apt-get"):
        print("Installing Debian's chromium, for the tests in a browser.", flush=True)
        install_packages("chromium", "fonts-dejavu-core")
    if not _starts():
        print("Installing Playwright's Chromium, for the tests in a browser.", flush=True)
        _run(sys.executable, "-m", "playwright", "install", *(["--with-deps"] if IS_ROOT else []), "chromium")
    if not _starts():
        sys.exit(
            "No Chromium starts here, and the tests of the widget need one. Install it with your system's packages "
            "(Debian: apt install chromium), or name one: CHROMIUM=/path/to/chromium make test."
        )


def install_packages(*names: str) -> None:
    """Installs packages of Debian."""
    _run("apt-get", "update", "--quiet")
    _run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *names)


def _starts() -> bool:
    try:
        asyncio.run(_start())
    except Error:
        return False
    return True


async def _start() -> None:
    async with chromium():
        pass


def _run(*command: str) -> None:
    subprocess.run(command, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


if __name__ == "__main__":
    install()
