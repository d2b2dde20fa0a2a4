"""How large the database is, for operators."""

from collections.abc import Sequence
from dataclasses import dataclass

from coatcheck.db.database import Connection, fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    bytes: int
    connections: int
    max_connections: int


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its indexes; one with partitions is counted whole."""

    name: str
    bytes: int
    rows: int
    """PostgreSQL's estimate."""


async def database_size(connection: Connection) -> DatabaseSize:
    found = await fetch_one(
        connection,
        DatabaseSize,
        """SELECT pg_database_size(current_database()) AS bytes,
                  (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections,
                  current_setting('max_connections')::integer AS max_connections""",
    )
    assert found is not None, "the statement has one row"
    return found


async def largest_tables(connection: Connection, limit: int) -> Sequence[TableSize]:
    # `reltuples` is -1 until a table is analysed. A partition counts with the table at the root of its tree.
    return await fetch_all(
        connection,
        TableSize,
        """SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS name,
                  sum(pg_total_relation_size(c.oid))::bigint AS bytes,
                  sum(greatest(c.reltuples, 0))::bigint AS rows
           FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
           GROUP BY 1 ORDER BY 2 DESC LIMIT %(limit)s""",
        {"limit": limit},
    )
