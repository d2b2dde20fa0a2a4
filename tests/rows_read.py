"""How many rows PostgreSQL reads: a measure of a query that other load does not change."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coatcheck.db.database import Connection

# Of a table: the rows of its sequential scans. Of an index: its entries, also those of index-only scans.
READ = """
SELECT t.relname, sum(pg_stat_get_xact_tuples_returned(r.oid))::bigint
FROM pg_class t
JOIN LATERAL (SELECT t.oid UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = t.oid) AS r (oid) ON true
WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace GROUP BY t.relname"""


@asynccontextmanager
async def rows_read(connection: Connection) -> AsyncIterator[Counter[str]]:
    """The rows and index entries that the statements of the block read, by table. Complete when the block ends."""
    read: Counter[str] = Counter()
    # In one transaction, because the statistics of a transaction are reported at some time after its end.
    async with connection.transaction():
        before = await _read(connection)
        yield read
        read.update(await _read(connection) - before)


async def _read(connection: Connection) -> Counter[str]:
    cursor = await connection.execute(READ)
    return Counter(dict(await cursor.fetchall()))
