"""Waits until statements wait for a lock, so that a race has one certain order."""

from coatcheck.app import Services
from tests.member_setup import until

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def until_waiting(services: Services, count: int) -> None:
    """Waits until this many statements on the database of the services wait."""

    async def are_waiting() -> bool:
        # A connection of its own: in a transaction, PostgreSQL shows the activity as it was at the first look.
        async with services.db.connection() as connection:
            cursor = await connection.execute(WAITING)
            return await cursor.fetchone() == (count,)

    await until(are_waiting)
