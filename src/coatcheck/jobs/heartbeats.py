"""The heartbeats of the workers: `/ready` and `doctor` see by them that one runs."""

from datetime import timedelta

from coatcheck.db.database import Connection, run

INTERVAL = timedelta(seconds=5)
"""How often a worker records its heartbeat."""
MAX_AGE = timedelta(seconds=20)
"""How old the newest heartbeat of a running worker may be."""
FORGOTTEN_AFTER = timedelta(hours=1)


async def beat(connection: Connection, worker_guid: str) -> None:
    """Records a heartbeat. The rows of workers that were killed are deleted after an hour."""
    # By the clock of the database: the machines of the workers may differ.
    await run(
        connection,
        """WITH forgotten AS (
               DELETE FROM worker_heartbeat WHERE at < clock_timestamp() - %(forgotten_after)s
           )
           INSERT INTO worker_heartbeat (guid, started_at, at)
           VALUES (%(guid)s, clock_timestamp(), clock_timestamp())
           ON CONFLICT (guid) DO UPDATE SET at = clock_timestamp()""",
        {"guid": worker_guid, "forgotten_after": FORGOTTEN_AFTER},
    )


async def end(connection: Connection, worker_guid: str) -> None:
    """Deletes the heartbeat of a worker that stops."""
    await run(connection, "DELETE FROM worker_heartbeat WHERE guid = %(guid)s", {"guid": worker_guid})


async def is_any_worker_alive(connection: Connection) -> bool:
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM worker_heartbeat WHERE at > clock_timestamp() - %(max_age)s)",
        {"max_age": MAX_AGE},
    )
    return await cursor.fetchone() == (True,)
