"""One real PostgreSQL for the run, one migrated database, and a house on it for each test.

Tests do not clean up: each has a client of its own, and no look-up crosses clients.
"""

import secrets
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from itertools import takewhile
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from coatcheck.app import Services, build
from coatcheck.cli.embedded import database
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.migrations.upgrade import upgrade
from coatcheck.server import create_app
from tests.chromium import chromium
from tests.processes import free_port


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database.

    Nobody pulls this machine's plug, so it does not wait for the disk; the tests that do pull it (tests/faults)
    run a server of their own.
    """
    with database(tmp_path_factory.mktemp("data") / "postgres", durable=False) as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="session")
def master_key() -> str:
    return f"test:{b64encode(secrets.token_bytes(32)).decode()}"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def settings(url: str, master_key: str) -> Settings:
    return Settings(
        database_url=url,
        master_key=master_key,
        connectors=("sandbox",),
        base_url="http://coatcheck.test",
        pool_size=10,
    )


@pytest.fixture
async def services(settings: Settings, clock: MovableClock) -> AsyncIterator[Services]:
    async with build(settings, clock) as services:
        yield services


@pytest.fixture
async def http(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """The whole web process, spoken to in memory."""
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url=services.settings.base_url) as http:
        yield http


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
def environment(url: str, master_key: str) -> dict[str, str]:
    """The settings of a real process on the test's database."""
    return {
        "COATCHECK_DATABASE_URL": url,
        "COATCHECK_MASTER_KEY": master_key,
        "COATCHECK_CONNECTORS": "sandbox",
    }


@pytest.fixture(scope="session")
def sandbox_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`coatcheck sandbox`, as a person starts it: its credentials.json."""
    directory = tmp_path_factory.mktemp("sandbox")
    arguments = ["sandbox", "--port", str(free_port()), "--data-dir", str(directory)]
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "coatcheck.cli", *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        said = list(takewhile(lambda line: line.strip() != "ready", process.stdout))
        yield directory / "credentials.json"
        process.terminate()
        assert process.wait(10) == 0, said
