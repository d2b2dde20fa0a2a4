"""Whether the installation can do its work: database, migrations, keys and a worker."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from coatcheck.app import Services
from coatcheck.db.database import Connection, Database
from coatcheck.deadline import within
from coatcheck.errors import OperatorError, Unavailable
from coatcheck.jobs.heartbeats import is_any_worker_alive
from coatcheck.migrations.revision import is_current

TIMEOUT = timedelta(seconds=3)
"""For all checks together. Less than the usual timeout of a probe."""


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It cannot be checked, because an earlier check failed."""


class Check(StrEnum):
    DATABASE = "database"
    MIGRATIONS = "migrations"
    KEYS = "keys"
    WORKER = "worker"


@dataclass(slots=True)
class Readiness:
    """The state of each check."""

    database: State = State.UNKNOWN
    migrations: State = State.UNKNOWN
    keys: State = State.UNKNOWN
    worker: State = State.UNKNOWN

    def is_ready(self, *, without: frozenset[Check] = frozenset()) -> bool:
        return all(getattr(self, check) is State.OK for check in Check if check not in without)


_running: dict[Database, asyncio.Task[Readiness]] = {}
"""The examination that runs in each database. By the object, not its `id`, which a later object can get again."""


async def examine(services: Services) -> Readiness:
    """The state of the installation. Probes that ask during an examination share its result.

    Anyone may ask, and no rate limit counts it: many requests must not use up the connections.
    """
    db = services.db
    if db not in _running:
        _running[db] = asyncio.create_task(_examine(services))
        _running[db].add_done_callback(lambda _: _running.pop(db))
    # A probe that hangs up must not end the examination of the others.
    return await asyncio.shield(_running[db])


async def _examine(services: Services) -> Readiness:
    """Examines everything with one connection, one of the reserved ones if all others are in use."""
    readiness = Readiness()
    try:
        with within(TIMEOUT):
            async with services.db.connection(is_reserved=True) as connection:
                await _examine_contents(connection, services, readiness)
    except Unavailable:
        readiness.database = State.FAILED
    return readiness


async def _examine_contents(connection: Connection, services: Services, readiness: Readiness) -> None:
    is_migrated = await is_current(connection)
    readiness.database = State.OK
    readiness.migrations = State.OK if is_migrated else State.FAILED
    # The other checks read tables that may not exist yet.
    if not is_migrated:
        return
    try:
        await services.vault.verify_keys(connection)
        readiness.keys = State.OK
    except OperatorError:
        readiness.keys = State.FAILED
    readiness.worker = State.OK if await is_any_worker_alive(connection) else State.FAILED
