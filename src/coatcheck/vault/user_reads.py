"""Every disclosure of a user's data, or of many grants, for exports."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_joined

BATCH = 500

ORDER = "at, tableoid::bigint, ctid"
BEYOND = f"(at >= %(at)s AND ({ORDER}) > (%(at)s, %(partition)s, %(place)s::tid))"
"""A condition over `disclosure`: the row follows the one with these values in this order."""


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
class _PlaceInGrants(_Place):
    number: int
    """Of the grant among those of the statement, from 1."""


@dataclass(frozen=True, slots=True)
class SealedCount:
    kind: str
    number: int


async def reads_of_user(db: Database, user_guid: str) -> AsyncIterator[Sequence[UserRead]]:
    """The reads in batches, oldest first. No connection is held between two batches."""
    after = _before(datetime(1, 1, 2, tzinfo=UTC))
    while True:
        async with db.connection() as connection:
            found = await fetch_joined(
                connection,
                (),
                (UserRead, _Place),
                f"""SELECT {columns(UserRead)}, tableoid::bigint AS partition, ctid::text AS place
                    FROM disclosure
                    WHERE user_guid = %(user_guid)s AND {BEYOND} ORDER BY {ORDER} LIMIT {BATCH}""",
                {"user_guid": user_guid, **after},
            )
        if found is None:
            return
        _, rows = found
        yield [read for read, _ in rows]
        after = _after(*rows[-1])


async def reads_of_grants(
    db: Database, grants: Sequence[tuple[str, datetime]]
) -> AsyncIterator[Sequence[UserRead]]:
    """The reads of grants in batches: those of the first grant first, each grant's oldest first.

    A statement reads a batch, whatever the number of grants. No connection is held between two batches.

    Args:
        db: the database.
        grants: their guids, each with a time before which it has no reads. A few hundred: each statement looks for all
            that follow the last read.
    """
    after = _before(grants[0][1]) if grants else {}
    while grants:
        async with db.connection() as connection:
            found = await fetch_joined(
                connection,
                (),
                (UserRead, _PlaceInGrants),
                # LATERAL: each grant's reads are in the order of an index, so that a batch opens no more than its own.
                f"""SELECT {columns(UserRead, "r.")}, r.partition, r.place::text AS place, g.number
                    FROM unnest(%(guids)s::text[], %(since)s::timestamptz[]) WITH ORDINALITY AS g (guid, since, number)
                    CROSS JOIN LATERAL (
                        SELECT {columns(UserRead)}, tableoid::bigint AS partition, ctid AS place FROM disclosure
                        WHERE token_guid = g.guid AND at >= g.since AND (g.number > 1 OR {BEYOND})
                        ORDER BY {ORDER} LIMIT {BATCH}
                    ) AS r
                    ORDER BY g.number, r.at, r.partition, r.place LIMIT {BATCH}""",
                {
                    "guids": [guid for guid, _ in grants],
                    "since": [after["at"], *(since for _, since in grants[1:])],
                    **after,
                },
            )
        if found is None:
            return
        _, rows = found
        yield [read for read, _ in rows]
        if len(rows) < BATCH:
            return
        read, place = rows[-1]
        grants, after = grants[place.number - 1 :], _after(read, place)


def _before(since: datetime) -> dict[str, object]:
    """The parameters of `BEYOND` for every row since then."""
    return {"at": since, "partition": 0, "place": "(0,0)"}


def _after(last: UserRead, place: _Place) -> dict[str, object]:
    return {"at": last.at, "partition": place.partition, "place": place.place}


async def sealed_secrets_of_user(connection: Connection, user_guid: str) -> Sequence[SealedCount]:
    """How many secrets of each kind are kept for the user."""
    return await fetch_all(
        connection,
        SealedCount,
        """SELECT kind, count(*) AS number FROM sealed_secret WHERE owner_guid = %(user_guid)s
           GROUP BY kind ORDER BY kind""",
        {"user_guid": user_guid},
    )
