"""`coatcheck serve`: the web process."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import typer

from coatcheck import config, metrics, server, tracing
from coatcheck.cli import lazy_imports, logs
from coatcheck.cli.runtime import open_services, run, until_stopped
from coatcheck.cli.settings import load_settings
from coatcheck.http import listening

GRACE = timedelta(seconds=20)
"""How long running requests may take after a stop signal."""


def serve(
    host: Annotated[
        str | None, typer.Option(help="The address to listen on, instead of the setting host.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port to listen on, instead of the setting port."),
    ] = None,
    trusted_proxies: Annotated[
        str,
        typer.Option(help="Addresses, separated by commas, whose X-Forwarded-For and -Proto are trusted."),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the log as JSON, whatever the setting log_format is.")
    ] = False,
) -> None:
    """Serves the API, the widget and the pages of connectors until SIGTERM.

    It does not start without a master key and a current schema.

    Example: coatcheck serve --port 8000
    """
    given: dict[str, Any] = {"host": host, "port": port, "log_format": "json" if as_json else None}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    # First: `logs` would import `structlog` with everything that it finds.
    lazy_imports.load()
    logs.configure(settings.log_level, settings.log_format)
    run(until_stopped(lambda stop: _serve(settings, trusted_proxies, stop)))


async def _serve(settings: config.Settings, trusted_proxies: str, stop: asyncio.Event) -> None:
    log = logs.get_logger(__name__)
    if settings.tracing:
        tracing.start("serve")
    async with open_services(settings) as services, server.open_app(services) as app:
        application = server.behind_proxies(
            app, trusted_proxies, reads_certificates=settings.client_cert_header
        )
        with (
            listening.listen(settings.host, settings.port) as bound,
            metrics.exposed(settings.metrics_host, settings.metrics_port, services.db.pool_stats),
        ):
            host, port = bound.getsockname()[:2]
            log.info("server.started", host=host, port=port, base_url=settings.base_url)
            await server.serve(application, bound, stop, grace=GRACE, headers=server.headers_of_all(settings))
