"""The reads of a grant, and those of an account: their disclosures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page


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
            """(SELECT at, what, shown AS records, address, request_id FROM disclosure
                WHERE token_guid = %(grant_guid)s AND at >= %(since)s) AS reads""",
            "at DESC, request_id DESC",
            {"grant_guid": grant_guid, "since": since},
        ),
        page,
    )


@dataclass(frozen=True, slots=True)
class ActualReader:
    """Who read one kind of data in a period, and how often."""

    reader_guid: str
    """A processor or a client, or the job of a worker that used a credential."""
    grant_guid: str | None
    what: str
    reads: int
    first_at: datetime
    last_at: datetime


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
