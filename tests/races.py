"""Races whose order is certain: a third transaction holds each change where the other would wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from coatcheck.app import Services
from coatcheck.errors import CoatcheckError
from tests.member_setup import until
from tests.waiting_statements import WAITING

Change = Callable[[], Awaitable[Any]]


async def race(services: Services, held: str, values: tuple[object, ...], *changes: Change) -> list[Any]:
    """What became of the changes: their results, or their errors.

    Each begins when the one before it waits or has ended. Then the statement `held`, a lock, is let go.
    """
    tasks: list[asyncio.Task[Any]] = []
    async with services.db.transaction() as connection:
        await connection.execute(held, values)
        for change in changes:
            tasks.append(asyncio.create_task(_outcome(change)))
            await until(lambda: _all_wait(services, tasks))
    return await asyncio.gather(*tasks)


async def _outcome(change: Change) -> Any:
    try:
        return await change()
    except CoatcheckError as error:
        return error


async def _all_wait(services: Services, tasks: list[asyncio.Task[Any]]) -> bool:
    async with services.db.connection() as connection:
        cursor = await connection.execute(WAITING)
        (waiting,) = await cursor.fetchone() or (0,)
    return bool(waiting >= sum(not task.done() for task in tasks))
