"""Partitions of events and deliveries by month: created in advance, and dropped when all in them is old.

The numbers of the events of an object outlive its events.
"""

from datetime import UTC, datetime, timedelta

from coatcheck.db.batches import delete_in_batches
from coatcheck.db.database import Connection
from coatcheck.db.partitions import drop_partition, ensure_month_partitions

RETENTION = timedelta(days=30)
"""How long an event and its deliveries can be looked up."""
MARGIN = timedelta(days=3)
"""Events are kept for longer than `RETENTION`: one that is redelivered on its last day is retried for a day."""
NUMBERS_KEPT = timedelta(days=730)
"""The events of an object that had none for so long are numbered from 1 again."""
TABLES = ("event", "delivery")


async def prepare_partitions(connection: Connection, now: datetime) -> None:
    """Creates the missing partitions for this month and the next two. Must not run inside a transaction."""
    for table in TABLES:
        await ensure_month_partitions(connection, table, now)


async def drop_partitions(connection: Connection, now: datetime) -> list[str]:
    """Drops the months that ended more than `RETENTION` ago, and returns the names of their partitions."""
    oldest = (now - RETENTION - MARGIN).astimezone(UTC)
    cursor = await connection.execute(
        """SELECT child.relname
           FROM pg_inherits
           JOIN pg_class parent ON parent.oid = inhparent
           JOIN pg_class child ON child.oid = inhrelid
           -- The default partition has no month.
           WHERE parent.relname = ANY (%(tables)s) AND child.relname ~ '_[0-9]{4}_[0-9]{2}$'""",
        {"tables": list(TABLES)},
    )
    # Deliveries first, because they need their events.
    names = sorted(name for (name,) in await cursor.fetchall() if name[-7:] < f"{oldest:%Y_%m}")
    dropped = [name for name in names if await drop_partition(connection, name)]
    await delete_in_batches(
        connection, "event_sequence", "changed_at < %(before)s", {"before": now - NUMBERS_KEPT}
    )
    return dropped
