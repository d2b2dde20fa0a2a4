"""What a sandbox's bank records of a member beside the state of the connector, in the database.

The emulator writes it, and a connector reads it through its context. In production nothing is recorded.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from coatcheck.db.coalescing import Asked, CoalescedStatement, Coalescer, Rows
from coatcheck.db.database import Connection, Database, run


@dataclass(frozen=True, slots=True)
class _Record:
    record: bytes


_ASKED = Asked({"member_guid": "text"})
_RECORDS = CoalescedStatement(
    _ASKED,
    f"WITH {_ASKED.cte} SELECT caller, record FROM asked JOIN sandbox_bank_record USING (member_guid)",
    (_Record,),
)


def record_reader(db: Database) -> Callable[[str], Awaitable[bytes | None]]:
    """The function with which connectors read the record of a member, by its guid."""
    # Coalesced: while the clock moves, many members are read at the same time.
    coalescer = Coalescer(db, _RECORDS)

    async def read(member_guid: str) -> bytes | None:
        return _only(await coalescer({"member_guid": member_guid}))

    return read


async def read_record(connection: Connection, member_guid: str) -> bytes | None:
    return _only(await _RECORDS.alone(connection, {"member_guid": member_guid}))


def _only(rows: Rows) -> bytes | None:
    return bytes(rows[0][0]) if rows else None


async def store_record(connection: Connection, *, user_guid: str, member_guid: str, record: bytes) -> None:
    """Replaces the record of a member. It is deleted with the member."""
    await run(
        connection,
        """INSERT INTO sandbox_bank_record (user_guid, member_guid, record)
           VALUES (%(user_guid)s, %(member_guid)s, %(record)s)
           ON CONFLICT (member_guid) DO UPDATE SET record = excluded.record""",
        {"user_guid": user_guid, "member_guid": member_guid, "record": record},
    )
