"""The reads of a grant: its disclosures."""

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
