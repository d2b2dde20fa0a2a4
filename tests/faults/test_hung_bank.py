"""A bank that hangs occupies its own slots only: the jobs of other banks run as if it did not exist."""

import asyncio
import time

import pytest

from coatcheck.app import build
from coatcheck.clock import SystemClock
from tests.member_setup import make_end_user, until
from tests.processes import process

pytestmark = [pytest.mark.faults, pytest.mark.own_database]

BANK_SECONDS, AT_ONCE, TOLERANCE_SECONDS = 1, 4, 1.5
"""The tolerance is for a busy machine. `make bench-jobs` measures the difference."""
TIMEOUT_SECONDS = 60


@pytest.fixture
async def services(settings):
    async with build(settings, SystemClock()) as services:
        yield services


async def job_seconds(services):
    """How long one job at the other bank takes."""
    end_user = await make_end_user(services)
    started = time.monotonic()
    await end_user.connect(f"mxuser+no_tx+slow={BANK_SECONDS}", institution="mxcu_credential")

    async def has_ended():
        rows = await end_user.rows("SELECT state FROM member_job WHERE user_guid = %(user)s")
        return {row[0] for row in rows} == {"ended"}

    await until(has_ended, TIMEOUT_SECONDS)
    return time.monotonic() - started


@pytest.mark.slow
async def test_a_hung_bank_does_not_slow_another_banks_jobs(services, environment, tmp_path):
    hung = [await make_end_user(services) for _ in range(40)]
    running = "SELECT count(*) FROM member_job WHERE state = 'running' AND institution_code = 'mxbank'"
    with process("work", environment=environment, log=tmp_path / "work.log"):
        await job_seconds(services)  # the worker has started
        alone = max(await asyncio.gather(*(job_seconds(services) for _ in range(AT_ONCE))))
        for each in hung:
            await each.connect("mxuser+hang")

        async def hangs():
            return await hung[0].rows(running) == [(services.settings.institution_concurrency,)]

        await until(hangs, TIMEOUT_SECONDS)
        beside = max(await asyncio.gather(*(job_seconds(services) for _ in range(AT_ONCE))))
        assert await hangs()
    assert beside <= alone * 1.1 + TOLERANCE_SECONDS
