"""How well an installation protects its log: for `coatcheck doctor`."""

from datetime import datetime

from coatcheck.audit.sealed_log import BEFORE_FIRST, next_number
from coatcheck.db.database import Connection


async def may_alter_log(connection: Connection) -> bool:
    """Whether the role of this connection owns the tables of the log, or may change, delete or truncate their rows."""
    cursor = await connection.execute(
        """SELECT bool_or(pg_has_role(relowner, 'USAGE') OR has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE'))
           FROM pg_class
           WHERE oid IN ('audit_event'::regclass, 'disclosure'::regclass, 'audit_checkpoint'::regclass)"""
    )
    return await cursor.fetchone() == (True,)


async def last_sealed(connection: Connection) -> tuple[datetime | None, bool]:
    """The time of the last checkpoint, and whether something was written that no checkpoint has."""
    cursor = await connection.execute("SELECT at, through FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
    at, through = await cursor.fetchone() or (None, BEFORE_FIRST)
    return at, await next_number(connection, through) is not None
