"""The reads of a grant: its disclosures, listed and dated."""

from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page


@dataclass(frozen=True, slots=True)
class GrantRead:
    """One answered read with a token."""

    at: datetime
    what: str
    records: int
    address: str | None
    request_id: str | None


def last_read(grant_guid: str, since: str) -> str:
    """A scalar query: the instant of the last read, or NULL. Both arguments are SQL; no read is before `since`."""
    return f"(SELECT max(d.at) FROM disclosure d WHERE d.token_guid = {grant_guid} AND d.at >= {since})"


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
