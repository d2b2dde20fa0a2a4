"""Partitions by time of expiry: created in advance, and dropped when everything in them has long expired.

Dropping a week of ten million tokens takes under a second. Deleting them takes minutes and leaves the space unused.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from coatcheck.config import Settings
from coatcheck.db.database import Connection
from coatcheck.db.partitions import drop_partition, ensure_list_partition
from coatcheck.grants.secrets import day_of, week_of

RETENTION = timedelta(days=30)
"""How long an expired code, token, link or session is kept, for the detection of replays, for lists and for audits."""
AHEAD = timedelta(days=14)
"""How long no worker need run. After that, what is issued is stored in the default partition."""
AT_ONCE = 40
"""How many partitions of a table are created at once. Each takes 30 ms, and more of them would delay a start."""

DAILY = ("authorization_code", "link", "portal_session", "widget_session")
USED_JTIS_KEPT = timedelta(days=1)
"""How long the id of an expired JWT is kept: the JWT is refused as expired."""


async def prepare_partitions(connection: Connection, now: datetime, settings: Settings) -> None:
    """Creates the days and weeks in which secrets that are issued in the next two weeks will expire.

    At most `AT_ONCE` of each table: for a very long lifetime, later calls create those that are needed later.
    """
    lifetime = max(settings.code_ttl, settings.link_ttl)
    for table in (*DAILY, "used_jti"):
        await _prepare_table(connection, table, _in_order_of_need(now, lifetime, day_of))
    weeks = _in_order_of_need(now, settings.token_ttl, week_of)
    # A token is in the week in which its full lifetime ends, so the weeks in between are not needed for apps.
    app_ttl = settings.app_token_ttl
    of_apps = range(week_of(now + app_ttl), week_of(now + AHEAD + app_ttl) + 1)
    await _prepare_table(connection, "access_token", [*dict.fromkeys((*of_apps, *weeks))])


def _in_order_of_need(now: datetime, lifetime: timedelta, number_of: Callable[[datetime], int]) -> list[int]:
    """First those that the full lifetime leads to, then those of short lifetimes, then those in between."""
    first, last = number_of(now), number_of(now + AHEAD + lifetime)
    full = range(number_of(now + lifetime), last + 1)
    short = range(first, number_of(now + AHEAD) + 1)
    return list(dict.fromkeys((*full, *short, *range(first, last + 1))))


async def _prepare_table(connection: Connection, table: str, numbers: list[int]) -> None:
    cursor = await connection.execute(
        """SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
           WHERE inhparent = %(table)s::regclass""",
        {"table": table},
    )
    existing = {name for (name,) in await cursor.fetchall()}
    missing = [number for number in numbers if f"{table}_{number}" not in existing]
    for number in missing[:AT_ONCE]:
        await ensure_list_partition(connection, table, f"{table}_{number}", number)


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
        # A partition that a reader holds stays for the next run: no reader waits for a clean-up.
        has_ended = int(partition.rpartition("_")[2]) < oldest[table]
        if has_ended and await drop_partition(connection, partition):
            dropped.append(partition)
    return sorted(dropped)
