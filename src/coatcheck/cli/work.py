"""`coatcheck work`: the job process. A module of its own, because what a worker loads (14 MB) `serve` does not."""

import asyncio

import structlog

from coatcheck import worker
from coatcheck.cli import logs
from coatcheck.cli.runtime import opened, run, until_told
from coatcheck.config import Settings, load

log = structlog.get_logger(__name__)


def work() -> None:
    """Does the jobs (banks, webhooks, clean-up) until SIGTERM; run as many as you like.

    Example: coatcheck work
    """
    settings = load()
    logs.configure(settings.log_level, settings.log_format)
    run(until_told(lambda stop: _work(settings, stop)))


async def _work(settings: Settings, stop: asyncio.Event) -> None:
    async with opened(settings) as services:
        log.info("working", concurrency=settings.worker_concurrency)
        await worker.main(services, stop)
