"""Every disclosure of a user's data, for the export of the user."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_joined

BATCH = 500


@dataclass(frozen=True, slots=True)
class UserRead:
    """Who read which kind of the user's data."""

    at: datetime
    reader_guid: str
    """A processor, a client or a link; or the job that read on the user's behalf."""
    record_guid: str
    """What the read was limited to."""
    what: str
    shown: int
    """How many records were read."""
    token_guid: str | None
    """The grant of a processor's read."""
    request_id: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """The physical place of a row, which never moves: the table is append-only. Instants are not unique."""

    partition: int
    place: str


@dataclass(frozen=True, slots=True)
class SealedCount:
    kind: str
    number: int


async def reads_of_user(db: Database, user_guid: str) -> AsyncIterator[Sequence[UserRead]]:
    """The reads in batches, oldest first. No connection is held between two batches."""
    after = {"at": datetime(1, 1, 2, tzinfo=UTC), "partition": 0, "place": "(0,0)"}
    while True:
        async with db.connection() as connection:
            found = await fetch_joined(
                connection,
                (),
                (UserRead, _Place),
                f"""SELECT {columns(UserRead)}, tableoid::bigint AS partition, ctid::text AS place
                    FROM disclosure
                    WHERE user_guid = %(user_guid)s AND at >= %(at)s
                      AND (at, tableoid::bigint, ctid) > (%(at)s, %(partition)s, %(place)s::tid)
                    ORDER BY at, tableoid::bigint, ctid LIMIT {BATCH}""",
                {"user_guid": user_guid, **after},
            )
        if found is None:
            return
        _, rows = found
        yield [read for read, _ in rows]
        last, place = rows[-1]
        after = {"at": last.at, "partition": place.partition, "place": place.place}


async def sealed_secrets_of_user(connection: Connection, user_guid: str) -> Sequence[SealedCount]:
    """How many secrets of each kind are kept for the user."""
    return await fetch_all(
        connection,
        SealedCount,
        """SELECT kind, count(*) AS number FROM sealed_secret WHERE owner_guid = %(user_guid)s
           GROUP BY kind ORDER BY kind""",
        {"user_guid": user_guid},
    )
