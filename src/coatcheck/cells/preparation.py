"""Makes a database a cell.

What only moves need is not in the schema of every installation, because each write would pay for it: indexes by user,
and triggers, which the schema has disabled.
"""

from dataclasses import dataclass

from psycopg import sql

from coatcheck.cells.cell import Cell, check_schemas
from coatcheck.cells.directory import copy_directory
from coatcheck.db.database import Connection, fetch_all, run
from coatcheck.errors import ConstraintNotMet
from coatcheck.vault.keys import read_keyring
from coatcheck.vault.master_keys import MasterKeys

INDEXES = tuple(
    f"CREATE INDEX IF NOT EXISTS {table}_of_moving_user ON {table} (user_guid)"
    for table in ("authorization_code", "link", "widget_session", "portal_session", "disconnection")
)
"""By these the rows of a user are found. The other tables have such an index anyway."""
TRIGGERS = """
SELECT tgrelid::regclass::text AS table, tgname AS name, tgenabled <> 'D' AS is_enabled FROM pg_trigger
WHERE starts_with(tgname, 'moving_user') AND tgparentid = 0
"""


@dataclass(frozen=True, slots=True)
class _Trigger:
    table: str
    name: str
    is_enabled: bool


async def prepare(home: Cell, other: Cell, master_keys: MasterKeys) -> None:
    """Makes a migrated database a cell: it gets the keys and the directory. Both refuse changes of moving users.

    The roles must own the tables.

    Raises:
        ConstraintNotMet: the schemas differ, or the database belongs to another installation.
    """
    await check_schemas(home, other)
    async with home.db.transaction() as old, other.db.transaction() as new:
        keys = await read_keyring(old, master_keys)
        cursor = await new.execute(
            "SELECT EXISTS (SELECT FROM client) OR EXISTS (SELECT FROM audit_checkpoint)"
        )
        row = await cursor.fetchone()
        if row is not None and row[0] and await read_keyring(new, master_keys) != keys:
            raise ConstraintNotMet(f"The database of cell {other.digit} belongs to another installation.")
    await copy_directory(home, [other])
    for cell in (home, other):
        async with cell.db.transaction() as connection:
            await run(connection, "SET LOCAL statement_timeout TO 0")
            for index in INDEXES:
                await run(connection, index)
        # Last: with them, the cell counts as prepared.
        async with cell.db.transaction() as connection:
            await _enable_triggers(connection)


async def is_prepared(connection: Connection) -> bool:
    """Whether this database refuses changes of moving users."""
    triggers = await fetch_all(connection, _Trigger, TRIGGERS)
    return bool(triggers) and all(trigger.is_enabled for trigger in triggers)


async def _enable_triggers(connection: Connection) -> None:
    for trigger in await fetch_all(connection, _Trigger, TRIGGERS):
        if not trigger.is_enabled:
            await connection.execute(
                sql.SQL("ALTER TABLE {} ENABLE TRIGGER {}").format(
                    sql.Identifier(trigger.table), sql.Identifier(trigger.name)
                )
            )
