"""The numbers of the events about an object, for a move of the object's user to another cell."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_all, run


@dataclass(frozen=True, slots=True)
class EventSequence:
    owner_guid: str
    object: str
    last: int
    changed_at: datetime


async def find_sequences(
    connection: Connection, owners: Collection[str], objects: Sequence[str]
) -> Sequence[EventSequence]:
    """The last numbers of these objects, for each of these owners."""
    return await fetch_all(
        connection,
        EventSequence,
        f"""SELECT {columns(EventSequence)} FROM event_sequence
            WHERE owner_guid = ANY (%(owners)s) AND object = ANY (%(objects)s)""",
        {"owners": list(owners), "objects": list(objects)},
    )


async def store_sequences(connection: Connection, sequences: Sequence[EventSequence]) -> None:
    """Lets the numbers go on in another database."""
    for sequence in sequences:
        await run(
            connection,
            f"""INSERT INTO event_sequence AS s ({columns(EventSequence)})
                VALUES (%(owner_guid)s, %(object)s, %(last)s, %(changed_at)s)
                ON CONFLICT (owner_guid, object) DO UPDATE SET last = greatest(s.last, excluded.last)""",
            asdict(sequence),
        )
