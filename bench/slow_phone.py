"""A slow phone that opens pages of a real server: four times slower, with 1.6 Mbit/s and 150 ms to the server, as a
mid-range phone on 4G is.
"""

import secrets
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page

from bench.servers import serving
from coatcheck.app import Services, build, prepare_partitions
from coatcheck.cli.embedded import database
from coatcheck.config import Settings
from coatcheck.migrations.upgrade import upgrade
from tests.chromium import chromium
from tests.processes import free_port

CPU_SLOWDOWN, BITS_PER_SECOND, ROUND_TRIP_MS = 4, 1_600_000, 150


@asynccontextmanager
async def installation() -> AsyncIterator[tuple[Services, Browser]]:
    """A new server on a port of its own, at `services.settings.base_url`, and a browser."""
    master_key = f"bench:{b64encode(secrets.token_bytes(32)).decode()}"
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as directory, database(Path(directory) / "postgres") as url:
        upgrade(url)
        settings = Settings(database_url=url, master_key=master_key, connectors=("sandbox",), base_url=origin)
        environment = {
            "COATCHECK_DATABASE_URL": url,
            "COATCHECK_MASTER_KEY": master_key,
            "COATCHECK_CONNECTORS": "sandbox",
            "COATCHECK_BASE_URL": origin,
            "COATCHECK_LOG_LEVEL": "WARNING",
        }
        command = [sys.executable, "-m", "coatcheck.cli", "serve", "--port", str(port)]
        async with build(settings) as services:
            async with services.db.connection() as connection:
                await prepare_partitions(connection, services.clock.now(), settings)
            with serving("coatcheck", command, environment, port):
                async with chromium() as browser:
                    yield services, browser


async def slow_page(context: BrowserContext) -> tuple[Page, dict[str, int]]:
    """A page of the phone, and the bytes of each of its requests on the wire, with headers."""
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    sizes: dict[str, int] = {}
    session.on(
        "Network.loadingFinished", lambda e: sizes.update({e["requestId"]: int(e["encodedDataLength"])})
    )
    await session.send("Network.enable")
    await session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": ROUND_TRIP_MS,
            "downloadThroughput": BITS_PER_SECOND / 8,
            "uploadThroughput": BITS_PER_SECOND / 8,
        },
    )
    await session.send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWDOWN})
    return page, sizes
