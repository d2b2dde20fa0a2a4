"""Notifications: sent when the transaction commits, received on a connection that reconnects."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import psycopg
import pytest

from coatcheck.jobs import notifications
from coatcheck.jobs.notifications import CHANNEL, listen, notify_workers
from coatcheck.jobs.tasks import TaskKind, cancel_tasks
from tests.member_setup import PATIENCE, make_end_user, until


@asynccontextmanager
async def listening(url):
    """The kinds of the notifications received, in order."""
    received = []
    task = asyncio.create_task(listen(url, received.append))
    try:
        await until(lambda: has(received, 1))
        yield received
    finally:
        await cancel_tasks(task)


async def has(received, count):
    return len(received) >= count


async def notify(url, payload):
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])


async def test_a_notification_is_sent_only_when_the_transaction_commits(services, url):
    async with listening(url) as received:
        async with services.db.connection() as connection, connection.transaction(force_rollback=True):
            await notify_workers(connection, TaskKind.MEMBER_JOB)
        async with services.db.transaction() as connection:
            for _ in range(3):
                await notify_workers(connection, TaskKind.DELIVERY)
            await notify(url, TaskKind.MICRO_DEPOSIT)
            await until(lambda: has(received, 2))
        await until(lambda: has(received, 3))
        await notify(url, TaskKind.MEMBER_JOB)
        await until(lambda: has(received, 4))
        assert received == [None, TaskKind.MICRO_DEPOSIT, TaskKind.DELIVERY, TaskKind.MEMBER_JOB]


async def test_a_notification_of_an_unknown_kind_is_ignored(url):
    async with listening(url) as received:
        await notify(url, "kind_of_a_newer_version")
        await notify(url, TaskKind.DELIVERY)
        await until(lambda: has(received, 2))
        assert received == [None, TaskKind.DELIVERY]


async def test_a_listener_reconnects_within_a_second_and_reports_it(url):
    async with listening(url) as received, asyncio.timeout(PATIENCE):
        for times in (2, 3):
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE application_name = 'coatcheck worker' AND datname = current_database()"""
                )
            started = asyncio.get_running_loop().time()
            await until(lambda times=times: has(received, times))
            assert (
                asyncio.get_running_loop().time() - started < notifications.RECONNECT_WAIT + 10
            )  # of a busy machine
        assert received == [None] * 3


async def test_enqueuing_a_job_notifies_the_workers(services, url):
    end_user = await make_end_user(services)
    async with listening(url) as received:
        await end_user.connect()
        await until(lambda: has(received, 2))
        assert received == [None, TaskKind.MEMBER_JOB]


@pytest.mark.own_database
async def test_the_end_of_a_job_notifies_only_if_another_job_waits_for_its_slot(services, url):
    end_user = await make_end_user(services)
    await end_user.connect("first+no_tx")
    (first,) = await end_user.worker_services.scheduler.claim(1)
    await end_user.connect("second+no_tx")
    (second,) = await end_user.worker_services.scheduler.claim(1)
    await end_user.connect("third+no_tx")
    async with listening(url) as received:
        await end_user.worker_services.sync.run(first)
        await until(lambda: has(received, 2))
        (third,) = await end_user.worker_services.scheduler.claim(1)
        await end_user.worker_services.sync.run(second)
        await end_user.worker_services.sync.run(third)
        await notify(url, TaskKind.DELIVERY)
        await until(lambda: has(received, 3))
        assert received == [None, TaskKind.MEMBER_JOB, TaskKind.DELIVERY]


def test_the_modules_of_the_worker_are_not_imported_to_notify():
    check = "import sys, coatcheck.app; sys.exit('coatcheck.jobs.runner' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
