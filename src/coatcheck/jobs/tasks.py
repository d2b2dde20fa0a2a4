"""The tasks of a worker: their kinds, and the function that runs a claimed task."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")
ClaimedTask: TypeAlias = Callable[[], Awaitable[None]]
"""Runs one task whose row the caller has claimed."""
Claim: TypeAlias = Callable[[int], Awaitable[Sequence[ClaimedTask]]]
"""Claims at most this many due tasks of one kind."""

MAX_CANCELLATIONS = 5


class TaskKind(StrEnum):
    """A kind of task. Its rows are the queue: `jobs` claims them through the package that owns them."""

    #: A job of a member at its institution (`member_job`).
    MEMBER_JOB = "member_job"
    #: An event to be sent to a client's webhook (`delivery`).
    DELIVERY = "delivery"
    #: Two small deposits to be sent (`micro_deposit`).
    MICRO_DEPOSIT = "micro_deposit"
    #: A deleted member whose access at the upstream is to be ended (`disconnection`).
    DISCONNECTION = "disconnection"


async def cancel_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancels the tasks and waits for them; cancels again each second, five times at most. Ignores what they raise.

    One cancellation is not always enough: on Python 3.11 `asyncio.wait_for`, which psycopg uses, swallows a
    cancellation that arrives when its own wait ends (python/cpython#81839).
    """
    pending = set(tasks)
    for _ in range(MAX_CANCELLATIONS):
        if not pending:
            break
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)
    if pending:
        log.error("task.ignores_cancellation", count=len(pending))
    await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)


async def uninterrupted(work: Awaitable[T]) -> T:
    """The result of `work`, which runs to its end however often the caller is cancelled meanwhile.

    For a clean-up: `cancel_tasks` cancels again each second, which would cut the clean-up of the first cancellation
    short.

    Raises:
        CancelledError: the caller was cancelled meanwhile; `work` has ended, and what it raised is ignored.
    """
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        await asyncio.gather(task, return_exceptions=True)
        raise cancellation
    return task.result()
