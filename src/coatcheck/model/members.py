"""Members: a user's connections to institutions."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, Database, columns, fetch_all, fetch_one
from coatcheck.errors import NotFound
from coatcheck.model.paging import Page, PageRequest, Selection, each_batch, fetch_page

MANUAL = "manual"
"""The institution code of the member of a user's manual accounts."""
MANUAL_GUID = "INS-5c1f6f0e-6a0b-5d0c-9f57-3a1d0b7e2c44"
STATEMENT_FILE = "statement_file"
"""The institution code of the member of a user's statement files."""
STATEMENT_FILE_GUID = "INS-3e0c9b52-7d64-5c1b-8a57-0f2e6b9d4c18"


def source_of(relation: str) -> str:
    """The members of a relation with the columns of `member`, with what a `Member` has besides."""
    return f"""(SELECT m.*, u.id AS user_id,
                    coalesce(j.state <> 'ended', false) AS is_being_aggregated,
                    coalesce(j.is_authenticated, false) AS is_authenticated,
                    coalesce(j.has_processed_accounts, false) AS has_processed_accounts,
                    coalesce(j.has_processed_account_numbers, false) AS has_processed_account_numbers,
                    coalesce(j.has_processed_transactions, false) AS has_processed_transactions
             FROM {relation} m
             JOIN end_user u ON u.guid = m.user_guid
             LEFT JOIN member_job j ON j.user_guid = m.user_guid AND j.guid = m.most_recent_job_guid
            ) AS member"""


SOURCE = source_of("member")


@dataclass(frozen=True, slots=True)
class Member:
    guid: str
    user_guid: str
    user_id: str | None
    client_guid: str
    institution_code: str
    institution_guid: str
    name: str
    id: str | None
    metadata: str | None
    connection_status: str | None
    is_oauth: bool
    is_manual: bool
    background_aggregation_is_disabled: bool
    use_cases: list[str] | None
    most_recent_job_guid: str | None
    aggregated_at: datetime | None
    successfully_aggregated_at: datetime | None
    created_at: datetime
    updated_at: datetime
    is_being_aggregated: bool
    """A job of the member is queued, running, or waiting for an answer."""
    is_authenticated: bool
    """This and the next three fields describe the most recent job. Each new job resets them."""
    has_processed_accounts: bool
    has_processed_account_numbers: bool
    has_processed_transactions: bool
    revision: int = 1
    """1 for a new member, and one more for each change by the client or the user."""


async def find_member(connection: Connection, user_guid: str, identifier: str) -> Member:
    """The user's member with this guid, or else with this `id`.

    Raises:
        NotFound: the user has none.
    """
    # A client chooses `id` and could choose another member's guid, so the guid has priority.
    member = await fetch_one(
        connection,
        Member,
        f"""SELECT {columns(Member)} FROM {SOURCE}
            WHERE user_guid = %(user_guid)s AND (guid = %(identifier)s OR id = %(identifier)s)
            ORDER BY guid = %(identifier)s DESC LIMIT 1""",
        {"user_guid": user_guid, "identifier": identifier},
    )
    if member is None:
        raise NotFound
    return member


async def find_client_member(connection: Connection, client_guid: str, guid: str) -> Member:
    """The member with this guid, of any user of the client.

    Raises:
        NotFound: the client has no such member.
    """
    member = await fetch_one(
        connection,
        Member,
        f"""SELECT {columns(Member)} FROM {SOURCE}
            WHERE user_guid IN (SELECT guid FROM end_user WHERE client_guid = %(client_guid)s)
              AND guid = %(guid)s""",
        {"client_guid": client_guid, "guid": guid},
    )
    if member is None:
        raise NotFound
    return member


async def list_members(
    connection: Connection, user_guid: str, page: PageRequest, *, use_case: str | None = None
) -> Page[Member]:
    return await fetch_page(
        connection,
        Member,
        Selection(
            SOURCE,
            ("created_at", "guid"),
            {"user_guid": user_guid},
            ["%(use_case)s = ANY (use_cases)"] if use_case else [],
            {"use_case": use_case} if use_case else {},
        ),
        page,
    )


async def list_broken_members(
    connection: Connection, client_guid: str, page: PageRequest, *, institution_code: str | None = None
) -> Page[Member]:
    """The members of the client's users whose connection is broken: grants on their accounts read nothing."""
    return await fetch_page(connection, Member, _broken(client_guid, institution_code), page)


def each_broken_member(
    db: Database, client_guid: str, *, institution_code: str | None = None
) -> AsyncIterator[Sequence[Member]]:
    """What `list_broken_members` lists, in batches."""
    return each_batch(db, Member, _broken(client_guid, institution_code))


def _broken(client_guid: str, institution_code: str | None) -> Selection:
    return Selection(
        SOURCE,
        ("guid",),
        {"client_guid": client_guid, "institution_code": institution_code},
        # As in the index `member_broken`.
        ["(broken_since IS NOT NULL OR connection_status IN ('DISCONNECTED', 'CLOSED'))"],
    )


async def list_changed_members(connection: Connection, client_guid: str, *, limit: int) -> Sequence[Member]:
    """The members of the client's users that changed last, the newest change first."""
    return await fetch_all(
        connection,
        Member,
        f"""SELECT {columns(Member)} FROM {SOURCE}
            WHERE user_guid IN (SELECT guid FROM end_user WHERE client_guid = %(client_guid)s)
            ORDER BY updated_at DESC, guid DESC LIMIT %(limit)s""",
        {"client_guid": client_guid, "limit": limit},
    )


async def find_manual_member(connection: Connection, user_guid: str) -> Member | None:
    """The member of the user's manual accounts, or None."""
    return await fetch_one(
        connection,
        Member,
        f"""SELECT {columns(Member)} FROM {SOURCE}
            WHERE user_guid = %(user_guid)s AND institution_code = %(code)s""",
        {"user_guid": user_guid, "code": MANUAL},
    )


async def count_members(connection: Connection, user_guid: str) -> int:
    cursor = await connection.execute(
        "SELECT count(*) FROM member WHERE user_guid = %(user_guid)s", {"user_guid": user_guid}
    )
    row = await cursor.fetchone()
    return row[0] if row else 0
