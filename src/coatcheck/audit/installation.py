"""How well an installation protects its log: for `coatcheck doctor` and the dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.audit.sealed_log import BEFORE_FIRST, next_number
from coatcheck.db.database import Connection, fetch_all


async def may_alter_log(connection: Connection) -> bool:
    """Whether the role of this connection owns the tables of the log, or may change, delete or truncate their rows."""
    cursor = await connection.execute(
        """SELECT bool_or(pg_has_role(relowner, 'USAGE') OR has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE'))
           FROM pg_class
           WHERE oid IN ('audit_event'::regclass, 'disclosure'::regclass, 'audit_checkpoint'::regclass)"""
    )
    return await cursor.fetchone() == (True,)


@dataclass(frozen=True, slots=True)
class SealedUpTo:
    """A checkpoint: when it was signed, and how many entries and disclosures the log had."""

    at: datetime
    size: int


async def newest_checkpoints(connection: Connection, limit: int) -> Sequence[SealedUpTo]:
    """The newest first."""
    return await fetch_all(
        connection,
        SealedUpTo,
        "SELECT at, size FROM audit_checkpoint ORDER BY size DESC LIMIT %(limit)s",
        {"limit": limit},
    )


async def last_sealed(connection: Connection) -> tuple[datetime | None, bool]:
    """The time of the last checkpoint, and whether something was written that no checkpoint has."""
    cursor = await connection.execute("SELECT at, through FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
    at, through = await cursor.fetchone() or (None, BEFORE_FIRST)
    return at, await next_number(connection, through) is not None
