"""Wake-ups: left in the caller's transaction, due by the clock, and no more than hints."""

import subprocess
import sys
from datetime import timedelta

from coatcheck.ids import new
from coatcheck.jobs.queue import Duty
from coatcheck.worker import drain
from tests.member_setup import make_home

ROWS = """SELECT entrypoint, priority, execute_after > now() FROM pgqueuer
          WHERE convert_from(payload, 'UTF8') = %(key)s ORDER BY id"""


async def rows(house, key):
    async with house.db.connection() as connection:
        return await (await connection.execute(ROWS, {"key": key})).fetchall()


async def test_a_wake_up_counts_when_the_callers_transaction_commits_and_only_then(house):
    key = new("EVT")
    async with house.db.connection() as connection, connection.transaction(force_rollback=True):
        await house.jobs.wake(connection, Duty.DELIVERY, key)
    assert await rows(house, key) == []
    async with house.db.transaction() as connection:
        await house.jobs.wake(connection, Duty.DELIVERY, key)
        assert await rows(house, key) == []
    assert await rows(house, key) == [("delivery", 0, False)]


async def test_without_a_transaction_it_counts_at_once(house):
    key = new("EVT")
    async with house.db.connection() as connection:
        await house.jobs.wake(connection, Duty.DELIVERY, key, priority=3)
    assert await rows(house, key) == [("delivery", 3, False)]


async def test_of_wake_ups_that_are_wanted_once_one_stands(house):
    key = new("EVT")
    async with house.db.connection() as connection:
        for _ in range(3):
            await house.jobs.wake(connection, Duty.DELIVERY, key, once=True)
        assert len(await rows(house, key)) == 1
        await house.jobs.wake(connection, Duty.DELIVERY, key)
    assert len(await rows(house, key)) == 2


async def test_a_later_wake_up_is_due_when_the_clock_says_so(house, clock):
    key = new("EVT")
    async with house.db.connection() as connection:
        await house.jobs.wake(connection, Duty.DELIVERY, key, after=timedelta(hours=1))
    await drain(house)
    assert await rows(house, key) == [("delivery", 0, True)]
    clock.advance(timedelta(hours=1, seconds=1))
    await drain(house)
    assert await rows(house, key) == []


async def test_draining_goes_on_until_nothing_is_left_and_counts(house):
    home = await make_home(house)
    await drain(house)
    await home.connect("mxuser+no_tx")
    assert await drain(house) == 1
    assert await drain(house) == 0


def test_a_process_that_only_wakes_loads_none_of_pgqueuer():
    check = "import sys, coatcheck.app; sys.exit('pgqueuer' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
