"""Wake-ups: left in the caller's transaction, due by the clock, and no more than hints."""

import subprocess
import sys
from datetime import timedelta

from coatcheck.ids import new
from coatcheck.jobs.queue import TaskKind
from coatcheck.worker import run_pending
from tests.member_setup import make_home

ROWS = """SELECT entrypoint, priority, execute_after > now() FROM pgqueuer
          WHERE convert_from(payload, 'UTF8') = %(key)s ORDER BY id"""


async def rows(services, key):
    async with services.db.connection() as connection:
        return await (await connection.execute(ROWS, {"key": key})).fetchall()


async def test_a_wake_up_counts_when_the_callers_transaction_commits_and_only_then(services):
    key = new("EVT")
    async with services.db.connection() as connection, connection.transaction(force_rollback=True):
        await services.jobs.wake(connection, TaskKind.DELIVERY, key)
    assert await rows(services, key) == []
    async with services.db.transaction() as connection:
        await services.jobs.wake(connection, TaskKind.DELIVERY, key)
        assert await rows(services, key) == []
    assert await rows(services, key) == [("delivery", 0, False)]


async def test_without_a_transaction_it_counts_at_once(services):
    key = new("EVT")
    async with services.db.connection() as connection:
        await services.jobs.wake(connection, TaskKind.DELIVERY, key, priority=3)
    assert await rows(services, key) == [("delivery", 3, False)]


async def test_of_wake_ups_that_are_wanted_once_one_stands(services):
    key = new("EVT")
    async with services.db.connection() as connection:
        for _ in range(3):
            await services.jobs.wake(connection, TaskKind.DELIVERY, key, once=True)
        assert len(await rows(services, key)) == 1
        await services.jobs.wake(connection, TaskKind.DELIVERY, key)
    assert len(await rows(services, key)) == 2


async def test_a_later_wake_up_is_due_when_the_clock_says_so(services, clock):
    key = new("EVT")
    async with services.db.connection() as connection:
        await services.jobs.wake(connection, TaskKind.DELIVERY, key, after=timedelta(hours=1))
    await run_pending(services)
    assert await rows(services, key) == [("delivery", 0, True)]
    clock.advance(timedelta(hours=1, seconds=1))
    await run_pending(services)
    assert await rows(services, key) == []


async def test_draining_goes_on_until_nothing_is_left_and_counts(services):
    home = await make_home(services)
    await run_pending(services)
    await home.connect("mxuser+no_tx")
    assert await run_pending(services) == 1
    assert await run_pending(services) == 0


def test_a_process_that_only_wakes_loads_none_of_pgqueuer():
    check = "import sys, coatcheck.app; sys.exit('pgqueuer' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
