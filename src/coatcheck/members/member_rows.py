"""The rows of members as linking writes them. Decisions are made elsewhere.

Locks are taken in one order everywhere, or two transactions would wait for each other: user, member, job.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coatcheck.db.database import Connection, fetch_all, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.members.records import LockedMember


@dataclass(frozen=True, slots=True)
class MemberKey:
    user_guid: str
    guid: str


@dataclass(frozen=True, slots=True)
class _Guid:
    guid: str


async def lock_user(connection: Connection, user_guid: str) -> bool:
    """Locks the user, so that its members are counted exactly; whether it is disabled.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    cursor = await connection.execute(
        "SELECT is_disabled FROM end_user WHERE guid = %(guid)s FOR NO KEY UPDATE", {"guid": user_guid}
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound
    return bool(row[0])


async def is_disabled(connection: Connection, user_guid: str) -> bool:
    """Whether the user is disabled, or gone."""
    cursor = await connection.execute(
        "SELECT is_disabled FROM end_user WHERE guid = %(guid)s", {"guid": user_guid}
    )
    row = await cursor.fetchone()
    return row is None or bool(row[0])


async def count_members(connection: Connection, user_guid: str) -> int:
    cursor = await connection.execute(
        "SELECT count(*) FROM member WHERE user_guid = %(user_guid)s", {"user_guid": user_guid}
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


async def lock_member(connection: Connection, user_guid: str, guid: str) -> LockedMember:
    """Locks the member.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    locked = await fetch_one(
        connection,
        LockedMember,
        """SELECT m.guid, m.user_guid, m.client_guid, m.institution_code, m.connection_status,
                  m.credential_failures, m.is_oauth, m.is_manual, m.pending_kinds,
                  u.is_disabled AS user_is_disabled
           FROM member m JOIN end_user u ON u.guid = m.user_guid
           WHERE m.user_guid = %(user_guid)s AND m.guid = %(guid)s FOR NO KEY UPDATE OF m""",
        {"user_guid": user_guid, "guid": guid},
    )
    if locked is None:
        raise NotFound
    return locked


async def add_member(connection: Connection, values: dict[str, Any]) -> bool:
    """Writes a new member; False, and nothing written, where the user has its like already."""
    names = list(values)
    return bool(
        await run(
            connection,
            f"""INSERT INTO member ({", ".join(names)}) VALUES ({", ".join(f"%({name})s" for name in names)})
                ON CONFLICT DO NOTHING""",
            values,
        )
    )


async def member_with_login(
    connection: Connection, user_guid: str, institution_code: str, login_hash: bytes
) -> str | None:
    """The guid of the user's member with this login at the institution, None where there is none."""
    found = await fetch_one(
        connection,
        _Guid,
        """SELECT guid FROM member WHERE user_guid = %(user_guid)s
           AND institution_code = %(institution_code)s AND login_hash = %(login_hash)s""",
        {"user_guid": user_guid, "institution_code": institution_code, "login_hash": login_hash},
    )
    return found.guid if found else None


async def change_member(connection: Connection, user_guid: str, guid: str, values: dict[str, Any]) -> None:
    """Writes these columns of a member; the names are the code's own, never a caller's."""
    changes = ", ".join(f"{name} = %({name})s" for name in values)
    await run(
        connection,
        f"UPDATE member SET {changes} WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
        {**values, "user_guid": user_guid, "guid": guid},
    )


async def stale_members(
    connection: Connection, *, statuses: Sequence[str], before: datetime, retry_before: datetime, limit: int
) -> Sequence[MemberKey]:
    """Members in these statuses that nobody read lately, longest first; DEGRADED ones are retried sooner."""
    return await fetch_all(
        connection,
        MemberKey,
        """SELECT m.user_guid, m.guid FROM member m
           JOIN end_user u ON u.guid = m.user_guid AND NOT u.is_disabled
           JOIN client c ON c.guid = m.client_guid AND NOT c.is_disabled
           WHERE NOT m.background_aggregation_is_disabled AND NOT m.is_manual
             AND m.connection_status = ANY (%(statuses)s)
             AND (coalesce(m.aggregated_at, m.created_at) < %(before)s
                  OR (m.connection_status = 'DEGRADED' AND m.aggregated_at < %(retry_before)s))
             AND NOT EXISTS (SELECT FROM member_job j WHERE j.user_guid = m.user_guid
                             AND j.member_guid = m.guid AND j.state <> 'ended')
           ORDER BY coalesce(m.aggregated_at, m.created_at) LIMIT %(limit)s""",
        {"statuses": list(statuses), "before": before, "retry_before": retry_before, "limit": limit},
    )
