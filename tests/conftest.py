"""Fixtures: one PostgreSQL server for the run, a database for each test file, and services for each test.

Tests do not clean up: each has its own client, and no query reads rows of two clients. A test that reads rows of every
client, or runs a worker that takes all due tasks, is marked with `own_database`.
"""

import os
import secrets
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from datetime import timedelta
from functools import partial
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Browser

from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.model.accounts import Account
from coatcheck.model.users import User
from coatcheck.server import create_app
from tests.api_client import Api
from tests.chromium import chromium
from tests.databases import copied_database, postgres
from tests.factories import Keyed, make_account, make_client, make_processor, make_user
from tests.firefox import firefox, limited
from tests.http import mx_sdk, mx_spec
from tests.processes import TIMEOUT_SECONDS, free_port
from tests.sealed_log import assert_log_is_intact
from tests.two_cells import Cells, two_cells

LONG_TEST = timedelta(minutes=2)
BROWSERS: Mapping[str, Callable[[], AbstractAsyncContextManager[Browser]]] = {
    "chromium": chromium,
    "firefox": firefox,
    "dark-firefox": partial(firefox, is_dark=True),
}
RESOURCES = pytest.StashKey[ExitStack]()
"""What the xdist controller, or the only process, started for all tests."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Gives a run of root a directory that no other run uses. With --basetemp it is kept.

    pytest's own is below one directory of the user, and each run that starts closes that to other users, also for the
    runs that go on: the user that runs PostgreSQL for root could no longer reach the data of a sandbox.
    """
    config.stash[RESOURCES] = ExitStack()
    if os.geteuid() == 0 and config.option.basetemp is None:
        directory = TemporaryDirectory(prefix="coatcheck-pytest-", ignore_cleanup_errors=True)
        config.option.basetemp = Path(config.stash[RESOURCES].enter_context(directory)) / "run"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Gives each xdist worker the URL of the PostgreSQL server. The server starts with the first worker."""
    if not hasattr(node.config, "server_url"):
        node.config.server_url = node.config.stash[RESOURCES].enter_context(postgres())
    node.workerinput["server_url"] = node.config.server_url


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[RESOURCES].close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Lists the tests that were skipped because MX's SDK or documents are missing."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    reasons = [str(report.longrepr) for report in reporter.stats.get("skipped", ())]
    for oracle in (mx_sdk, mx_spec):
        if number := sum(oracle.MISSING in reason for reason in reasons):
            reporter.write_line(f"{number} skipped, {oracle.MISSING}. They would check {oracle.ADDS}.")


@pytest.fixture(scope="session", autouse=True)
def reachable_directories(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Lets the user that runs PostgreSQL for root traverse pytest's directories, which only root may enter."""
    directory = tmp_path_factory.getbasetemp()
    while os.geteuid() == 0 and directory.stat().st_uid == 0 and "pytest" in str(directory):
        directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
        directory = directory.parent


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """As pytest's; `reachable_directories` says why its mode is changed."""
    if os.geteuid() == 0:
        tmp_path.chmod(0o711)
    return tmp_path


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of the server's empty database `postgres`. TEST_SERVER_URL selects a server that already runs."""
    if url := os.environ.get("TEST_SERVER_URL"):
        yield url
        return
    if worker_input := getattr(request.config, "workerinput", None):
        yield worker_input["server_url"]
        return
    with postgres() as url:
        yield url


@pytest.fixture(scope="module")
def file_url(server_url: str) -> Iterator[str]:
    """A migrated database for the test file. At the end, every audit entry and disclosure in it must verify."""
    with copied_database(server_url) as url:
        yield url
        assert_log_is_intact(url)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database of the test: that of its file, or its own if it is marked with `own_database`."""
    if request.node.get_closest_marker("own_database"):
        with copied_database(request.getfixturevalue("server_url")) as url:
            yield url
    else:
        yield request.getfixturevalue("file_url")


@pytest.fixture(scope="session")
def master_key() -> str:
    return f"test:{b64encode(secrets.token_bytes(32)).decode()}"


def clock_of_one_day() -> MovableClock:
    """A clock that starts after midnight if midnight is near: no day, month or year ends during a test by chance."""
    clock = MovableClock()
    now = clock.instant()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if midnight - now < LONG_TEST:
        clock.advance(midnight - now)
    return clock


@pytest.fixture
def clock() -> MovableClock:
    return clock_of_one_day()


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
    """A client of the whole web application, in memory."""
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url=services.settings.base_url) as http:
        yield http


@pytest.fixture
async def client(services: Services) -> Keyed:
    return await make_client(services)


@pytest.fixture
async def processor(services: Services, client: Keyed) -> Keyed:
    """A processor that is enabled for the client."""
    return await make_processor(services, client)


@pytest.fixture
async def user(services: Services, client: Keyed) -> User:
    return await make_user(services, client)


@pytest.fixture
async def account(services: Services, user: User) -> Account:
    """A verified account of the user."""
    return await make_account(services, user)


@pytest.fixture
def api(services: Services, http: httpx.AsyncClient, client: Keyed) -> Api:
    """The client over HTTP, in the older version of the API."""
    return Api(http, services, client)


@pytest.fixture(scope="module")
def second_url(server_url: str) -> Iterator[str]:
    """The migrated database of a second cell, for the test file."""
    with copied_database(server_url) as url:
        yield url
        assert_log_is_intact(url)


@pytest.fixture(scope="module")
async def cells(file_url: str, second_url: str, master_key: str) -> AsyncIterator[Cells]:
    """Two cells, for the test file."""
    settings = Settings(
        database_url=file_url,
        master_key=master_key,
        connectors=("sandbox",),
        base_url="http://coatcheck.test",
        pool_size=4,
    )
    async with two_cells(settings, second_url, clock_of_one_day()) as cells:
        yield cells


@pytest.fixture(scope="session")
async def launch() -> AsyncIterator[Callable[[str], Awaitable[Browser]]]:
    """Launches each browser once, and again if it has ended."""
    async with AsyncExitStack() as stack:
        launched: dict[str, Browser] = {}

        async def launch(name: str) -> Browser:
            if name not in launched or not launched[name].is_connected():
                launched[name] = await stack.enter_async_context(BROWSERS[name]())
            return launched[name]

        yield launch


@pytest.fixture
async def browser(
    request: pytest.FixtureRequest, launch: Callable[[str], Awaitable[Browser]]
) -> AsyncIterator[Browser]:
    """The one that the test is parametrized with, or that BROWSER names, or else Chromium."""
    browser = await launch(getattr(request, "param", os.environ.get("BROWSER", "chromium")))
    with limited(browser):
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
    """The credentials.json of a `coatcheck sandbox` process."""
    directory = tmp_path_factory.mktemp("sandbox")
    arguments = ["sandbox", "--port", str(free_port()), "--data-dir", str(directory)]
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "coatcheck.cli", *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        output = list(takewhile(lambda line: line.strip() != "ready", process.stdout))
        yield directory / "credentials.json"
        sockets = quote(str(directory / "postgres"), safe="")
        assert_log_is_intact(f"postgresql://postgres@/postgres?host={sockets}")
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0, output
