"""Statements of accounts. Their PDF files are sealed in the vault."""

from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.errors import NotFound
from coatcheck.model.paging import Page, PageRequest, Selection, fetch_page


@dataclass(frozen=True, slots=True)
class Statement:
    guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    id: str
    content_hash: str
    """SHA-256 of the PDF, in hex."""
    created_at: datetime
    updated_at: datetime


async def find_statement(connection: Connection, user_guid: str, member_guid: str, guid: str) -> Statement:
    """The member's statement with this guid.

    Raises:
        NotFound: the member has no such statement.
    """
    statement = await fetch_one(
        connection,
        Statement,
        f"""SELECT {columns(Statement)} FROM statement
            WHERE user_guid = %(user_guid)s AND member_guid = %(member_guid)s AND guid = %(guid)s""",
        {"user_guid": user_guid, "member_guid": member_guid, "guid": guid},
    )
    if statement is None:
        raise NotFound
    return statement


async def list_statements(
    connection: Connection, user_guid: str, member_guid: str, page: PageRequest
) -> Page[Statement]:
    return await fetch_page(
        connection,
        Statement,
        Selection(
            "statement",
            ("account_guid", "id DESC"),
            {"user_guid": user_guid, "member_guid": member_guid},
        ),
        page,
    )
