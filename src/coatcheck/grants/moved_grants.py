"""What a move of a user to another cell needs to know of the user's grants."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_all, run
from coatcheck.grants.token_indexes import is_of


@dataclass(frozen=True, slots=True)
class ReadCount:
    expires_week: int
    token_hash: bytes = field(repr=False)
    reads: int
    last_read_at: datetime | None


async def parties_of_grants(connection: Connection, user_guid: str) -> Sequence[str]:
    """The clients and the processors of all grants of the user."""
    cursor = await connection.execute(
        f"""SELECT client_guid FROM access_token t WHERE {is_of("user_guid")}
            UNION SELECT processor_guid FROM access_token t WHERE {is_of("user_guid")}""",
        {"user_guid": user_guid},
    )
    return [guid for (guid,) in await cursor.fetchall()]


async def lock_read_counts(connection: Connection, user_guid: str) -> Sequence[ReadCount]:
    """The counts. Nothing is read with these tokens until the end of the caller's transaction: reads wait."""
    return await fetch_all(
        connection,
        ReadCount,
        f"""SELECT {columns(ReadCount)} FROM access_token t
            WHERE {is_of("user_guid")} AND max_reads IS NOT NULL
            ORDER BY expires_week, token_hash FOR UPDATE""",
        {"user_guid": user_guid},
    )


async def store_read_counts(connection: Connection, counts: Sequence[ReadCount]) -> None:
    """Sets the counts of the same tokens in another database."""
    for count in counts:
        await run(
            connection,
            """UPDATE access_token SET reads = %(reads)s, last_read_at = %(last_read_at)s
               WHERE expires_week = %(expires_week)s AND token_hash = %(token_hash)s""",
            {
                "expires_week": count.expires_week,
                "token_hash": count.token_hash,
                "reads": count.reads,
                "last_read_at": count.last_read_at,
            },
        )
