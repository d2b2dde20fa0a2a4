"""The disclosures that were written, and the number of round trips, for the tests of reads."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from psycopg.pq import Trace

from coatcheck.app import Services
from coatcheck.db.database import Connection, Database


class OneConnection(Database):
    """Lends the same connection to everyone, which the test traces or holds in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self, *, is_reserved: bool = False) -> AsyncIterator[Connection]:
        yield self._connection


async def disclosures(services: Services, user_guid: str) -> list[tuple[Any, ...]]:
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT reader_guid, client_guid, record_guid, what, shown FROM disclosure
               WHERE user_guid = %s ORDER BY what, reader_guid, shown""",
            (user_guid,),
        )
        return await cursor.fetchall()


async def round_trips(connection: Connection, act: Callable[[], Awaitable[object]]) -> int:
    """How often the server was ready for the next query, as traced by libpq."""
    with tempfile.TemporaryFile() as trace:
        connection.pgconn.trace(trace.fileno())
        connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            await act()
        finally:
            connection.pgconn.untrace()
        trace.seek(0)
        return trace.read().count(b"\tReadyForQuery")
