"""`coatcheck work`: the worker. `serve` does not import its modules, which take 14 MB."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from coatcheck import config, metrics, tracing, worker
from coatcheck.cli import lazy_imports, logs
from coatcheck.cli.runtime import open_services, run, until_stopped
from coatcheck.cli.settings import load_settings


def work(
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the log as JSON, whatever the setting log_format is.")
    ] = False,
) -> None:
    """Runs the jobs (institutions, webhooks, maintenance) until SIGTERM. Any number of workers can run.

    Example: coatcheck work
    """
    settings = load_settings(log_format="json") if as_json else load_settings()
    # First: `logs` would import `structlog` with everything that it finds.
    lazy_imports.load()
    logs.configure(settings.log_level, settings.log_format)
    run(until_stopped(lambda stop: _work(settings, stop)))


async def _work(settings: config.Settings, stop: asyncio.Event) -> None:
    log = logs.get_logger(__name__)
    if settings.tracing:
        tracing.start("work")
    async with open_services(settings) as services:
        with metrics.exposed(settings.metrics_host, settings.metrics_port, services.db.pool_stats):
            log.info("worker.started", concurrency=settings.worker_concurrency)
            await worker.main(services, stop)
