"""Notifications: sent when the caller's transaction commits, heard on a connection that comes back."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import psycopg
import pytest

from coatcheck.jobs import notifications
from coatcheck.jobs.notifications import CHANNEL, listen, notify_workers
from coatcheck.jobs.tasks import TaskKind, cancel_tasks
from tests.member_setup import make_home, until


@asynccontextmanager
async def listening(url):
    """What is heard, in order."""
    heard = []
    task = asyncio.create_task(listen(url, heard.append))
    try:
        await until(lambda: has(heard, 1))
        yield heard
    finally:
        await cancel_tasks(task)


async def has(heard, count):
    return len(heard) >= count


async def notify(url, payload):
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])


async def test_a_notification_is_sent_when_the_transaction_commits_and_only_then(services, url):
    async with listening(url) as heard:
        async with services.db.connection() as connection, connection.transaction(force_rollback=True):
            await notify_workers(connection, TaskKind.MEMBER_JOB)
        async with services.db.transaction() as connection:
            for _ in range(3):
                await notify_workers(connection, TaskKind.DELIVERY)
            await notify(url, TaskKind.MICRO_DEPOSIT)
            await until(lambda: has(heard, 2))
        await until(lambda: has(heard, 3))
        await notify(url, TaskKind.MEMBER_JOB)
        await until(lambda: has(heard, 4))
        assert heard == [None, TaskKind.MICRO_DEPOSIT, TaskKind.DELIVERY, TaskKind.MEMBER_JOB]


async def test_a_kind_that_this_program_does_not_know_is_ignored(url):
    async with listening(url) as heard:
        await notify(url, "a_kind_of_tomorrow")
        await notify(url, TaskKind.DELIVERY)
        await until(lambda: has(heard, 2))
        assert heard == [None, TaskKind.DELIVERY]


async def test_a_listener_whose_connection_ends_is_back_within_a_second_and_says_so(url):
    async with listening(url) as heard, asyncio.timeout(10):
        for times in (2, 3):
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE application_name = 'coatcheck worker' AND datname = current_database()"""
                )
            begun = asyncio.get_running_loop().time()
            await until(lambda times=times: has(heard, times))
            assert asyncio.get_running_loop().time() - begun < notifications.RECONNECT_WAIT + 1
        assert heard == [None] * 3


async def test_enqueuing_a_job_notifies_the_workers(services, url):
    home = await make_home(services)
    async with listening(url) as heard:
        await home.connect()
        await until(lambda: has(heard, 2))
        assert heard == [None, TaskKind.MEMBER_JOB]


@pytest.mark.own_database
async def test_a_job_that_frees_a_slot_notifies_only_where_a_job_waits_for_it(services, url):
    home = await make_home(services)
    await home.connect("first+no_tx")
    (first,) = await home.worker_services.scheduler.claim(1)
    await home.connect("second+no_tx")
    (second,) = await home.worker_services.scheduler.claim(1)
    await home.connect("third+no_tx")
    async with listening(url) as heard:
        await home.worker_services.sync.run(first)
        await until(lambda: has(heard, 2))
        (third,) = await home.worker_services.scheduler.claim(1)
        await home.worker_services.sync.run(second)
        await home.worker_services.sync.run(third)
        await notify(url, TaskKind.DELIVERY)
        await until(lambda: has(heard, 3))
        assert heard == [None, TaskKind.MEMBER_JOB, TaskKind.DELIVERY]


def test_a_process_that_only_notifies_loads_no_worker():
    check = "import sys, coatcheck.app; sys.exit('coatcheck.jobs.runner' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
