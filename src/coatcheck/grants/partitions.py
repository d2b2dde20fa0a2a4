"""Partitions by time of expiry: created in advance, and dropped when everything in them has long expired.

Dropping a week of ten million tokens takes under a second. Deleting them takes minutes and leaves the space unused.
"""

from datetime import datetime, timedelta

from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.db.partitions import drop_partition, ensure_list_partition
from coatcheck.grants.secrets import day_of, week_of

RETENTION = timedelta(days=30)
"""How long an expired code, token, link or session is kept, for the detection of replays, for lists and for audits."""
AHEAD = timedelta(days=14)

DAILY = ("authorization_code", "link", "widget_session")
USED_JTIS_KEPT = timedelta(days=1)
"""How long the id of an expired JWT is kept: the JWT is refused as expired."""


async def prepare_partitions(connection: Connection, now: datetime, settings: Settings) -> None:
    """Creates the days and weeks in which secrets that are issued in the next two weeks will expire."""
    for table in (*DAILY, "used_jti"):
        last = day_of(now + AHEAD + max(settings.code_ttl, settings.link_ttl))
        for day in range(day_of(now), last + 1):
            await ensure_list_partition(connection, table, f"{table}_{day}", day)
    for week in range(week_of(now), week_of(now + AHEAD + settings.token_ttl) + 1):
        await ensure_list_partition(connection, "access_token", f"access_token_{week}", week)


async def drop_partitions(connection: Connection, now: datetime) -> list[str]:
    """Drops every day and week that ended more than `RETENTION` or `USED_JTIS_KEPT` ago, and returns their names."""
    oldest = {
        **dict.fromkeys(DAILY, day_of(now - RETENTION)),
        "access_token": week_of(now - RETENTION),
        "used_jti": day_of(now - USED_JTIS_KEPT),
    }
    cursor = await connection.execute(
        """SELECT parent.relname, child.relname
           FROM pg_inherits
           JOIN pg_class parent ON parent.oid = inhparent
           JOIN pg_class child ON child.oid = inhrelid
           -- The default partition has no number.
           WHERE parent.relname = ANY (%(tables)s) AND child.relname ~ '_[0-9]+$'""",
        {"tables": list(oldest)},
    )
    dropped = []
    for table, partition in await cursor.fetchall():
        has_ended = int(partition.rpartition("_")[2]) < oldest[table]
        if has_ended and await drop_partition(connection, partition):
            dropped.append(partition)
    return sorted(dropped)
