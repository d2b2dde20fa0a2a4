"""`coatcheck serve`: the web process."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import structlog
import typer

from coatcheck import server
from coatcheck.cli import logs
from coatcheck.cli.runtime import opened, run, until_told
from coatcheck.config import Settings, load

log = structlog.get_logger(__name__)

GRACE = timedelta(seconds=20)
"""For requests that run when the process is told to stop."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; else the setting host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; else the setting port.")
    ] = None,
    trusted_proxies: Annotated[
        str, typer.Option(help="Addresses whose X-Forwarded-For and -Proto are believed, with commas.")
    ] = "",
) -> None:
    """Serves the API and the banks' pages until SIGTERM; refuses without a master key and a current schema.

    Example: coatcheck serve --port 8000
    """
    given: dict[str, Any] = {
        name: value for name, value in {"host": host, "port": port}.items() if value is not None
    }
    settings = load(**given)
    logs.configure(settings.log_level, settings.log_format)
    run(until_told(lambda stop: _serve(settings, trusted_proxies, stop)))


async def _serve(settings: Settings, trusted_proxies: str, stop: asyncio.Event) -> None:
    with server.listen(settings.host, settings.port) as bound:
        async with opened(settings) as services:
            host, port = bound.getsockname()[:2]
            log.info("serving", host=host, port=port, base_url=settings.base_url)
            await server.serve(
                server.create_app(services), bound, stop, grace=GRACE, trusted_proxies=trusted_proxies
            )
