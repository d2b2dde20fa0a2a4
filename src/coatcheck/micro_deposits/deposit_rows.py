"""SQL statements on the table `micro_deposit`. `model.micro_deposits` has the queries for clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.db.database import Connection, fetch_all, fetch_one, run
from coatcheck.errors import NotFound
from coatcheck.model.micro_deposits import DepositStatus, MicroDeposit
from coatcheck.model.moving_users import is_settled

NEXT_ARRIVAL = "SELECT min(arrives_at) FROM micro_deposit WHERE status = 'REQUESTED'"
"""When the next micro-deposits arrive that have not arrived yet."""
IS_ANY_INITIATED = "EXISTS (SELECT FROM micro_deposit WHERE status = 'INITIATED')"
"""A condition: `claim_initiated` may find some."""


@dataclass(frozen=True, slots=True)
class DepositKey:
    user_guid: str
    guid: str
    client_guid: str


@dataclass(frozen=True, slots=True)
class _Guid:
    guid: str


async def add_deposit(connection: Connection, values: Mapping[str, object]) -> bool:
    """Writes new micro-deposits. Returns False if the user already has micro-deposits to the same account."""
    names = list(values)
    return bool(
        await run(
            connection,
            f"""INSERT INTO micro_deposit ({", ".join(names)})
                VALUES ({", ".join(f"%({name})s" for name in names)})
                ON CONFLICT (user_guid, account_hash) DO NOTHING""",
            values,
        )
    )


async def deposit_with_account(connection: Connection, user_guid: str, account_hash: bytes | None) -> str:
    """The guid of the user's micro-deposits to this account.

    Raises:
        NotFound: they were deleted meanwhile.
    """
    found = await fetch_one(
        connection,
        _Guid,
        "SELECT guid FROM micro_deposit WHERE user_guid = %(user_guid)s AND account_hash = %(account_hash)s",
        {"user_guid": user_guid, "account_hash": account_hash},
    )
    if found is None:
        raise NotFound
    return found.guid


async def lock_email(connection: Connection, email_hash: bytes) -> None:
    """Lets no other transaction count the micro-deposits with this e-mail address until this one ends."""
    await run(
        connection,
        "SELECT pg_advisory_xact_lock(hashtextextended(encode(%(email_hash)s, 'hex'), 0))",
        {"email_hash": email_hash},
    )


async def count_with_email(connection: Connection, client_guid: str, email_hash: bytes) -> int:
    """The number of micro-deposits of the client's users with this e-mail address, without failed and unsent ones."""
    cursor = await connection.execute(
        """SELECT count(*) FROM micro_deposit WHERE client_guid = %(client_guid)s
           AND email_hash = %(email_hash)s AND status <> ALL (%(uncounted)s)""",
        {
            "client_guid": client_guid,
            "email_hash": email_hash,
            "uncounted": [DepositStatus.ERRORED.value, DepositStatus.PREINITIATED.value],
        },
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


async def lock_deposit(connection: Connection, deposit: MicroDeposit | DepositKey) -> None:
    await run(
        connection,
        "SELECT FROM micro_deposit WHERE user_guid = %(user_guid)s AND guid = %(guid)s FOR NO KEY UPDATE",
        {"user_guid": deposit.user_guid, "guid": deposit.guid},
    )


async def change_deposit(
    connection: Connection, deposit: MicroDeposit | DepositKey, values: Mapping[str, object], now: datetime
) -> None:
    """Writes these columns. The names must not come from a request."""
    assignments = ", ".join(f"{name} = %({name})s" for name in (*values, "updated_at"))
    await run(
        connection,
        f"""UPDATE micro_deposit SET {assignments}
            WHERE user_guid = %(user_guid)s AND guid = %(guid)s""",
        {**values, "updated_at": now, "user_guid": deposit.user_guid, "guid": deposit.guid},
    )


async def delete_deposit(connection: Connection, deposit: MicroDeposit) -> bool:
    """Returns False if they were deleted before."""
    return bool(
        await run(
            connection,
            "DELETE FROM micro_deposit WHERE user_guid = %(user_guid)s AND guid = %(guid)s",
            {"user_guid": deposit.user_guid, "guid": deposit.guid},
        )
    )


# --- for the worker ---


async def claim_initiated(connection: Connection, limit: int, now: datetime) -> Sequence[DepositKey]:
    """Sets initiated micro-deposits to REQUESTED, oldest first, and returns them."""
    # SKIP LOCKED: several workers claim at the same time, and each must get different rows.
    return await fetch_all(
        connection,
        DepositKey,
        f"""WITH initiated AS (
               SELECT user_guid, guid FROM micro_deposit
               WHERE status = 'INITIATED' AND {is_settled("micro_deposit.user_guid")}
               ORDER BY created_at, guid LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
           UPDATE micro_deposit d SET status = 'REQUESTED', updated_at = %(now)s FROM initiated
           WHERE d.user_guid = initiated.user_guid AND d.guid = initiated.guid
           RETURNING d.user_guid, d.guid, d.client_guid""",
        {"limit": limit, "now": now},
    )


async def due_deposits(connection: Connection, now: datetime, lost_before: datetime) -> Sequence[DepositKey]:
    """Micro-deposits in REQUESTED that have arrived, or were claimed before `lost_before` and never confirmed."""
    return await fetch_all(
        connection,
        DepositKey,
        f"""SELECT user_guid, guid, client_guid FROM micro_deposit
           WHERE status = 'REQUESTED' AND {is_settled("micro_deposit.user_guid")}
             AND (arrives_at <= %(now)s OR (arrives_at IS NULL AND updated_at < %(before)s))
           ORDER BY arrives_at LIMIT 500""",
        {"now": now, "before": lost_before},
    )


async def delete_unverified(connection: Connection, created_before: datetime) -> Sequence[DepositKey]:
    """Deletes micro-deposits that were never verified, and returns them."""
    # SKIP LOCKED: another one deletes what it has locked, or the next sweep does.
    return await fetch_all(
        connection,
        DepositKey,
        f"""DELETE FROM micro_deposit WHERE (user_guid, guid) IN (
               SELECT user_guid, guid FROM micro_deposit
               WHERE status <> 'VERIFIED' AND created_at < %(before)s AND {is_settled("micro_deposit.user_guid")}
               ORDER BY created_at LIMIT 500 FOR UPDATE SKIP LOCKED)
           RETURNING user_guid, guid, client_guid""",
        {"before": created_before},
    )
