"""Notifications wake workers when a task is due.

A notification does not contain the task. If it is lost, the task starts at the next poll.
"""

import asyncio
import contextlib
from collections.abc import Callable

import psycopg
import stamina
import structlog

from coatcheck.db.connections import defaults
from coatcheck.db.database import Connection, run
from coatcheck.jobs.tasks import TaskKind

log = structlog.get_logger(__name__)

CHANNEL = "coatcheck_jobs"
APPLICATION_NAME = "coatcheck worker"
"""Name of the listening connection in `pg_stat_activity`, by which `coatcheck doctor` finds running workers."""
RECONNECT_WAIT = 1.0
"""Longest wait between two attempts to connect, in seconds."""
QUIET = 10.0
"""Seconds without a notification, after which the connection is checked."""
ANSWER_TIMEOUT = 5.0
"""Seconds."""


async def notify_workers(connection: Connection, task_kind: TaskKind) -> None:
    """Wakes every worker: tasks of this kind may be due.

    PostgreSQL sends the notification when the caller's transaction commits, and removes duplicates in a transaction.
    """
    await run(
        connection,
        "SELECT pg_notify(%(channel)s, %(task_kind)s)",
        {"channel": CHANNEL, "task_kind": task_kind.value},
    )


async def listen(url: str, on_notification: Callable[[TaskKind | None], None]) -> None:
    """Listens on a connection of its own until cancelled; connects again whenever the connection ends.

    Args:
        url: the database.
        on_notification: called with the kind of each notification, and with None after each connect, because
            notifications may have been missed.
    """
    async for attempt in stamina.retry_context(
        on=(psycopg.Error, OSError), attempts=None, timeout=None, wait_initial=0.1, wait_max=RECONNECT_WAIT
    ):
        with attempt:
            await _listen_once(url, on_notification)


async def _listen_once(url: str, on_notification: Callable[[TaskKind | None], None]) -> None:
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, **defaults(url) | {"application_name": APPLICATION_NAME}
    )
    async with connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        log.info("worker.ready")
        # After LISTEN: what was committed before it has notified nobody here.
        on_notification(None)
        while True:
            async for notification in connection.notifies(timeout=QUIET):
                with contextlib.suppress(ValueError):  # a newer version may have another kind
                    on_notification(TaskKind(notification.payload))
            # A host that vanished is as quiet as one without tasks.
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await connection.execute("SELECT 1")
