"""Members: one user's connection to one institution."""

from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.ids import new
from coatcheck.model.paging import Page, PageRequest, fetch_page
from coatcheck.model.users import User

MANUAL = "manual"
"""The institution code of what the user keeps by hand; no bank stands behind it."""
MANUAL_GUID = "INS-5c1f6f0e-6a0b-5d0c-9f57-3a1d0b7e2c44"

SOURCE = """(SELECT m.*, u.id AS user_id,
                    coalesce(j.state <> 'ended', false) AS is_being_aggregated,
                    coalesce(j.is_authenticated, false) AS is_authenticated,
                    coalesce(j.has_processed_accounts, false) AS has_processed_accounts,
                    coalesce(j.has_processed_account_numbers, false) AS has_processed_account_numbers,
                    coalesce(j.has_processed_transactions, false) AS has_processed_transactions
             FROM member m
             JOIN end_user u ON u.guid = m.user_guid
             LEFT JOIN member_job j ON j.user_guid = m.user_guid AND j.guid = m.most_recent_job_guid
            ) AS member"""


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
    """This and the next three speak of the most recent job alone: each job starts them afresh."""
    has_processed_accounts: bool
    has_processed_account_numbers: bool
    has_processed_transactions: bool


async def find_member(connection: Connection, user_guid: str, identifier: str) -> Member:
    """The user's member by guid, or else by the client's own `id`.

    Raises:
        NotFound: there is none below this user.
    """
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


async def list_members(
    connection: Connection, user_guid: str, page: PageRequest, *, use_case: str | None = None
) -> Page[Member]:
    return await fetch_page(
        connection,
        Member,
        select=columns(Member),
        source=f"""{SOURCE} WHERE user_guid = %(user_guid)s
                   AND (%(use_case)s::text IS NULL OR %(use_case)s = ANY (use_cases))""",
        order="created_at, guid",
        page=page,
        parameters={"user_guid": user_guid, "use_case": use_case},
    )


async def manual_member(connection: Connection, user: User, now: datetime) -> Member:
    """The member under which the user's manual accounts stand; made where there is none yet."""
    await run(
        connection,
        """INSERT INTO member (user_guid, guid, client_guid, institution_code, institution_guid, name,
                               is_manual, background_aggregation_is_disabled, login_hash, created_at, updated_at)
           VALUES (%(user_guid)s, %(guid)s, %(client_guid)s, %(code)s, %(institution_guid)s, 'Manual',
                   true, true, ''::bytea, %(now)s, %(now)s)
           ON CONFLICT (user_guid, institution_code, login_hash) DO NOTHING""",
        {
            "user_guid": user.guid,
            "guid": new("MBR"),
            "client_guid": user.client_guid,
            "code": MANUAL,
            "institution_guid": MANUAL_GUID,
            "now": now,
        },
    )
    member = await fetch_one(
        connection,
        Member,
        f"""SELECT {columns(Member)} FROM {SOURCE}
            WHERE user_guid = %(user_guid)s AND institution_code = %(code)s""",
        {"user_guid": user.guid, "code": MANUAL},
    )
    if member is None:
        raise NotFound
    return member
