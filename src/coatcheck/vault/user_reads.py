"""Every disclosure of a user's data, or of a grant, for exports."""

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


def reads_of_user(db: Database, user_guid: str) -> AsyncIterator[Sequence[UserRead]]:
    """The reads in batches, oldest first. No connection is held between two batches."""
    return _reads(db, "user_guid = %(guid)s", user_guid, datetime(1, 1, 2, tzinfo=UTC))


def reads_of_grant(db: Database, grant_guid: str, since: datetime) -> AsyncIterator[Sequence[UserRead]]:
    """The reads of a grant, of which none is before `since`; otherwise as `reads_of_user`."""
    return _reads(db, "token_guid = %(guid)s", grant_guid, since)


async def _reads(
    db: Database, condition: str, guid: str, since: datetime
) -> AsyncIterator[Sequence[UserRead]]:
    after = {"at": since, "partition": 0, "place": "(0,0)"}
    while True:
        async with db.connection() as connection:
            found = await fetch_joined(
                connection,
                (),
                (UserRead, _Place),
                f"""SELECT {columns(UserRead)}, tableoid::bigint AS partition, ctid::text AS place
                    FROM disclosure
                    WHERE {condition} AND at >= %(at)s
                      AND (at, tableoid::bigint, ctid) > (%(at)s, %(partition)s, %(place)s::tid)
                    ORDER BY at, tableoid::bigint, ctid LIMIT {BATCH}""",
                {"guid": guid, **after},
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
