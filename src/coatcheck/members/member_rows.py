"""SQL statements on the table `member`.

Every transaction takes its locks in one order, so that no two deadlock: user, members by guid, job. CONTRIBUTING.md has
the order of all tables.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coatcheck import ids
from coatcheck.db.coalescing import Asked, CoalescedStatement
from coatcheck.db.database import Connection, fetch_all, fetch_one, run
from coatcheck.db.lockstep import ask
from coatcheck.errors import NotFound
from coatcheck.members.records import LockedMember, MemberJob
from coatcheck.model.institution_statuses import NOT_IN_BACKGROUND
from coatcheck.model.members import MANUAL, MANUAL_GUID, Member, find_manual_member
from coatcheck.model.moving_users import is_settled
from coatcheck.model.users import User


# While a repair is attempted, the status is RECONNECTED or UPDATED, and the connection is still broken.
def broken_since(status: str, at: str) -> str:
    """The assignment of `broken_since` with a new status at an instant, both as SQL."""
    return f"""broken_since = CASE
        WHEN {status} IN ('DISCONNECTED', 'CLOSED') THEN coalesce(broken_since, {at})
        WHEN {status} = 'CONNECTED' THEN NULL ELSE broken_since END"""


@dataclass(frozen=True, slots=True)
class MemberKey:
    user_guid: str
    guid: str


@dataclass(frozen=True, slots=True)
class _Guid:
    guid: str


async def lock_user(connection: Connection, user_guid: str) -> bool:
    """Locks the user, so that its members can be counted, and returns whether it is disabled.

    Raises:
        NotFound: the user was deleted meanwhile.
    """
    # NO KEY: a plain FOR UPDATE would block inserts of rows that reference the user.
    cursor = await connection.execute(
        "SELECT is_disabled FROM end_user WHERE guid = %(guid)s FOR NO KEY UPDATE", {"guid": user_guid}
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound
    return bool(row[0])


async def prevent_user_deletion(connection: Connection, user_guid: str) -> None:
    """Lets nobody delete the user before this transaction ends.

    For a transaction that locks a member and then inserts a row that references the user. The insert takes this lock
    too, but after that of the member, and a deletion locks the user first.

    Raises:
        NotFound: the user was deleted meanwhile.
    """
    if not await run(
        connection, "SELECT FROM end_user WHERE guid = %(guid)s FOR KEY SHARE", {"guid": user_guid}
    ):
        raise NotFound


async def count_members(connection: Connection, user_guid: str) -> int:
    cursor = await connection.execute(
        "SELECT count(*) FROM member WHERE user_guid = %(user_guid)s", {"user_guid": user_guid}
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


_LOCKED = """m.guid, m.user_guid, m.client_guid, m.institution_code, m.connection_status, m.credential_failures,
             m.is_oauth, m.is_manual, m.pending_kinds, u.is_disabled AS user_is_disabled,
             m.broken_since IS NOT NULL AS is_broken, m.revision,
             m.announces_initial_data AND m.successfully_aggregated_at IS NULL AS awaits_initial_data"""
"""The columns of a `LockedMember`, of the tables `m` and `u`."""
_KEYS = Asked({"user_guid": "text", "guid": "text"})


async def lock_member(
    connection: Connection, user_guid: str, guid: str, *, for_deletion: bool = False
) -> LockedMember:
    """Locks the member; `for_deletion` also against rows that reference it.

    Raises:
        NotFound: the member was deleted meanwhile.
    """
    # The strongest lock at once. The deletion would have to wait for whoever has inserted a row that references the
    # member, and who may wait for the weaker lock.
    lock = "UPDATE" if for_deletion else "NO KEY UPDATE"
    # OF m: the user is not locked after the member, which would reverse the order of locks.
    member = await fetch_one(
        connection,
        LockedMember,
        f"""SELECT {_LOCKED}
           FROM member m JOIN end_user u ON u.guid = m.user_guid
           WHERE m.user_guid = %(user_guid)s AND m.guid = %(guid)s FOR {lock} OF m""",
        {"user_guid": user_guid, "guid": guid},
    )
    if member is None:
        raise NotFound
    return member


_LOCK_MEMBERS = CoalescedStatement(
    _KEYS,
    # In one order, so that two workers do not wait for each other. OF m: as in `lock_member`.
    f"""WITH {_KEYS.cte}
        SELECT asked.caller, {_LOCKED}
        FROM asked JOIN member m ON m.user_guid = asked.user_guid AND m.guid = asked.guid
        JOIN end_user u ON u.guid = m.user_guid
        ORDER BY m.user_guid, m.guid FOR NO KEY UPDATE OF m""",
    (LockedMember,),
)


async def lock_member_of_job(connection: Connection, job: MemberJob) -> LockedMember:
    """Locks the member of a job, in lockstep with other jobs.

    Raises:
        NotFound: the member was deleted meanwhile.
    """
    key = {"user_guid": job.user_guid, "guid": job.member_guid}
    rows = await ask(connection, _LOCK_MEMBERS.answers, key)
    if not rows:
        raise NotFound
    return LockedMember(*rows[0])


async def prevent_deletion(connection: Connection, user_guid: str, guid: str) -> None:
    """Lets nobody delete the member before this transaction ends, so that it can insert rows that reference it.

    Raises:
        NotFound: the member was deleted meanwhile.
    """
    if not await run(
        connection,
        "SELECT FROM member WHERE user_guid = %(user_guid)s AND guid = %(guid)s FOR KEY SHARE",
        {"user_guid": user_guid, "guid": guid},
    ):
        raise NotFound


async def add_member(connection: Connection, values: dict[str, Any]) -> bool:
    """Writes a new member. Returns False if the user has a member with the same guid, `id` or login."""
    names = list(values)
    return bool(
        await run(
            connection,
            f"""INSERT INTO member ({", ".join(names)}) VALUES ({", ".join(f"%({name})s" for name in names)})
                ON CONFLICT DO NOTHING""",
            values,
        )
    )


async def manual_member(connection: Connection, user: User, now: datetime) -> Member:
    """The member of the user's manual accounts, created on first use."""
    await run(
        connection,
        # The empty hash, not NULL: `member_once` is to allow one manual member, and NULLs are all different.
        """INSERT INTO member (user_guid, guid, client_guid, institution_code, institution_guid, name,
                               is_manual, background_aggregation_is_disabled, login_hash, created_at, updated_at)
           VALUES (%(user_guid)s, %(guid)s, %(client_guid)s, %(code)s, %(institution_guid)s, 'Manual',
                   true, true, ''::bytea, %(now)s, %(now)s)
           ON CONFLICT (user_guid, institution_code, login_hash) DO NOTHING""",
        {
            "user_guid": user.guid,
            "guid": ids.new("MBR"),
            "client_guid": user.client_guid,
            "code": MANUAL,
            "institution_guid": MANUAL_GUID,
            "now": now,
        },
    )
    member = await find_manual_member(connection, user.guid)
    if member is None:
        raise NotFound
    return member


async def member_with_login(
    connection: Connection, user_guid: str, institution_code: str, login_hash: bytes
) -> str | None:
    """The guid of the user's member with this login at the institution, or None."""
    found = await fetch_one(
        connection,
        _Guid,
        """SELECT guid FROM member WHERE user_guid = %(user_guid)s
           AND institution_code = %(institution_code)s AND login_hash = %(login_hash)s""",
        {"user_guid": user_guid, "institution_code": institution_code, "login_hash": login_hash},
    )
    return found.guid if found else None


async def change_member(connection: Connection, user_guid: str, guid: str, values: dict[str, Any]) -> None:
    """Writes these columns of a member. The names must not come from a request.

    A new `connection_status` also sets `broken_since`: from DISCONNECTED or CLOSED on, until CONNECTED.
    """
    await run(
        connection,
        _change_statement(values),
        # `broken_since` names the parameter also in a change without a time, whose status breaks nothing.
        {"updated_at": None, **values, "user_guid": user_guid, "guid": guid},
    )


def _change_statement(names: Collection[str]) -> str:
    """The statement of `change_member`, with these parameters beside `user_guid` and `guid`."""
    return f"UPDATE member SET {_assignments(names)} WHERE user_guid = %(user_guid)s AND guid = %(guid)s"


def change_each(names: Collection[str], asked: Asked) -> str:
    """As `change_member`, for each row of the CTE `asked`. Returns the changed members, each with its `caller`."""
    return f"""UPDATE member SET {asked.of("asked", _assignments(names))} FROM asked
                WHERE member.user_guid = asked.user_guid AND member.guid = asked.guid
                RETURNING member.*, asked.caller"""


def _assignments(names: Collection[str]) -> str:
    assignments = [f"{name} = %({name})s" for name in names]
    if "connection_status" in names:
        assignments.append(broken_since("%(connection_status)s::text", "%(updated_at)s"))
    return ", ".join(assignments)


async def lock_stale_members(
    connection: Connection, *, statuses: Sequence[str], before: datetime, retry_before: datetime, limit: int
) -> Sequence[LockedMember]:
    """Members in these statuses, last read before `before`, or `retry_before` if DEGRADED; oldest first.

    They are locked; those that another transaction has locked are left out.
    """
    return await fetch_all(
        connection,
        LockedMember,
        f"""SELECT {_LOCKED} FROM member m
           JOIN end_user u ON u.guid = m.user_guid AND NOT u.is_disabled
           JOIN client c ON c.guid = m.client_guid AND NOT c.is_disabled
           WHERE NOT m.background_aggregation_is_disabled AND NOT m.is_manual
             AND m.connection_status = ANY (%(statuses)s) AND NOT {NOT_IN_BACKGROUND}
             AND (coalesce(m.aggregated_at, m.created_at) < %(before)s
                  OR (m.connection_status = 'DEGRADED' AND m.aggregated_at < %(retry_before)s))
             AND {is_settled("m.user_guid")}
             AND NOT EXISTS (SELECT FROM member_job j WHERE j.user_guid = m.user_guid
                             AND j.member_guid = m.guid AND j.state <> 'ended')
           ORDER BY coalesce(m.aggregated_at, m.created_at), m.guid LIMIT %(limit)s
           FOR NO KEY UPDATE OF m SKIP LOCKED""",
        {"statuses": list(statuses), "before": before, "retry_before": retry_before, "limit": limit},
    )


async def connected_members(
    connection: Connection, client_guid: str, institution_code: str, *, limit: int
) -> Sequence[MemberKey]:
    """The client's members at the institution that are not DISCONNECTED. Manual members have no connection."""
    return await fetch_all(
        connection,
        MemberKey,
        """SELECT user_guid, guid FROM member
           WHERE client_guid = %(client_guid)s AND institution_code = %(institution_code)s
             AND NOT is_manual AND connection_status IS DISTINCT FROM 'DISCONNECTED'
           ORDER BY user_guid, guid LIMIT %(limit)s""",
        {"client_guid": client_guid, "institution_code": institution_code, "limit": limit},
    )


NEXT_REFRESH = f"""
    SELECT min(least(date_trunc('minute', last) + %(interval)s,
                     CASE WHEN m.connection_status = 'DEGRADED'
                     THEN date_trunc('minute', m.aggregated_at) + %(retry)s END))
    FROM member m
    JOIN end_user u ON u.guid = m.user_guid AND NOT u.is_disabled
    JOIN client c ON c.guid = m.client_guid AND NOT c.is_disabled
    CROSS JOIN LATERAL (SELECT coalesce(m.aggregated_at, m.created_at) AS last) AS aggregated
    WHERE NOT m.background_aggregation_is_disabled AND NOT m.is_manual
      AND m.connection_status = ANY (%(statuses)s) AND NOT {NOT_IN_BACKGROUND}
      AND NOT EXISTS (SELECT FROM member_job j WHERE j.user_guid = m.user_guid
                      AND j.member_guid = m.guid AND j.state <> 'ended')"""
"""When the next member is due for its daily aggregation, or for its repetition if it is DEGRADED. It is a whole minute.
The parameters are `statuses`, `interval`, and `retry` for the repetition."""


async def delete_member(connection: Connection, user_guid: str, guid: str) -> None:
    """Deletes the member and, by cascade, its accounts and jobs."""
    await run(
        connection,
        "DELETE FROM member WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
        {"user_guid": user_guid, "guid": guid},
    )


async def sealed_record_guids(connection: Connection, member: LockedMember) -> Sequence[str]:
    """The guids under which the vault holds secrets of the member: its own, its jobs' and its statements'."""
    found = await fetch_all(
        connection,
        _Guid,
        """SELECT guid FROM member_job WHERE user_guid = %(user_guid)s AND member_guid = %(guid)s
           UNION ALL
           SELECT guid FROM statement WHERE user_guid = %(user_guid)s AND member_guid = %(guid)s""",
        {"user_guid": member.user_guid, "guid": member.guid},
    )
    return [member.guid, *(each.guid for each in found)]
