"""The reads of a grant, of a processor, and of an account: their disclosures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page

NEWEST_FIRST = ("at DESC", "number DESC")
READER_KINDS = {"PPR": "processor", "CLT": "client", "STF": "staff"}
"""By the prefix of the reader's guid. Others are the service itself: a job, or the member whose job comes later."""


@dataclass(frozen=True, slots=True)
class GrantRead:
    """One answered read with a token."""

    at: datetime
    what: str
    records: int
    address: str | None
    request_id: str | None


async def list_reads(
    connection: Connection, grant_guid: str, since: datetime, page: PageRequest
) -> Page[GrantRead]:
    """One page of the reads of a grant, newest first. None is before `since`."""
    return await fetch_page(
        connection,
        GrantRead,
        Selection(
            "(SELECT *, shown AS records FROM disclosure) AS read",
            NEWEST_FIRST,
            {"token_guid": grant_guid},
            # The partitions are by `at`: those of the months before the grant are not opened.
            ["at >= %(since)s"],
            {"since": since},
        ),
        page,
    )


@dataclass(frozen=True, slots=True)
class ProcessorRead:
    """One answered read of a user's data by a processor."""

    at: datetime
    what: str
    records: int
    address: str | None
    grant_guid: str | None
    """The grant, by which the account is known."""


@dataclass(frozen=True, slots=True)
class DayOfReads:
    day: date
    """In UTC."""
    reads: int


async def list_reads_of_processor(
    connection: Connection, user_guid: str, processor_guid: str, page: PageRequest
) -> Page[ProcessorRead]:
    """One page of what a processor read of a user, with any grant, newest first."""
    return await fetch_page(
        connection,
        ProcessorRead,
        Selection(
            "(SELECT *, shown AS records, token_guid AS grant_guid FROM disclosure) AS read",
            NEWEST_FIRST,
            {"user_guid": user_guid, "reader_guid": processor_guid},
        ),
        page,
    )


async def days_of_reads(
    connection: Connection, user_guid: str, processor_guid: str, since: datetime
) -> Sequence[DayOfReads]:
    """How often a processor read the data of a user, for each day with a read, oldest first."""
    return await fetch_all(
        connection,
        DayOfReads,
        """SELECT (at AT TIME ZONE 'UTC')::date AS day, count(*) AS reads FROM disclosure
           WHERE user_guid = %(user_guid)s AND reader_guid = %(processor_guid)s AND at >= %(since)s
           GROUP BY 1 ORDER BY 1""",
        {"user_guid": user_guid, "processor_guid": processor_guid, "since": since},
    )


@dataclass(frozen=True, slots=True)
class ActualReader:
    """Who read one kind of data in a period, and how often."""

    reader_guid: str
    grant_guid: str | None
    what: str
    reads: int
    first_at: datetime
    last_at: datetime

    @property
    def reader_kind(self) -> str:
        """Whether a processor, the client, a person of its staff or the service itself read."""
        return READER_KINDS.get(self.reader_guid.partition("-")[0], "service")


async def actual_readers(
    connection: Connection, user_guid: str, record_guids: Sequence[str], start: datetime, end: datetime
) -> Sequence[ActualReader]:
    """Who read any of the records of a user in the period, in order of the first read."""
    return await fetch_all(
        connection,
        ActualReader,
        f"""SELECT {columns(ActualReader)} FROM (
                SELECT reader_guid, token_guid AS grant_guid, what, count(*) AS reads, min(at) AS first_at,
                       max(at) AS last_at
                FROM disclosure
                WHERE user_guid = %(user_guid)s AND at >= %(start)s AND at < %(end)s
                  AND record_guid = ANY (%(record_guids)s)
                GROUP BY reader_guid, token_guid, what
            ) AS readers ORDER BY first_at, reader_guid, what""",
        {"user_guid": user_guid, "start": start, "end": end, "record_guids": list(record_guids)},
    )
