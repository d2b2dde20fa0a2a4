"""The directory: clients, processors, keys and endpoints. The cell 0 has it, every other cell a copy.

A copy lets a cell authenticate callers and decide about tokens in one statement of its own database. A change is copied
before it is answered; the worker of cell 0 copies it later if a cell was away.

SimpleFIN apps are processors that the users of any cell add. Their guids follow from client and name, so that cells add
the same one. They are brought to cell 0 first.
"""

from collections.abc import Mapping, Sequence

import structlog
from psycopg import sql

from coatcheck.app import Services
from coatcheck.cell_digit import FIRST
from coatcheck.cells.cell import Cell, open_cells
from coatcheck.cells.copying import Rows, columns_of, copy_rows
from coatcheck.cells.tables import DIRECTORY
from coatcheck.db.database import Connection, run
from coatcheck.errors import Unavailable

log = structlog.get_logger(__name__)

COPYING = 7_166_423
"""Advisory lock of the copy: an older one must not replace a newer one."""
APPS = (
    Rows("processor", "app_of IS NOT NULL", {}),
    Rows("client_processor", "processor_guid IN (SELECT guid FROM processor WHERE app_of IS NOT NULL)", {}),
)

REMOVABLE = {
    "processor": "app_of IS NULL",
    "client_processor": "processor_guid IN (SELECT guid FROM incoming_processor)",
}
"""Which rows that the first cell has not are removed from a copy. Not those of an app that was added meanwhile."""


async def publish_directory(services: Services) -> None:
    """Copies the directory to the other cells of the settings, if this is the first."""
    if services.settings.cells and services.settings.cell == FIRST:
        async with open_cells(services) as cells:
            await copy_to_reachable(cells)


async def copy_to_reachable(cells: Mapping[str, Cell]) -> None:
    """Copies the directory to the other cells. One that does not answer gets it later; the log names it."""
    for cell in cells.values():
        if cell.digit != FIRST:
            try:
                await copy_directory(cells[FIRST], [cell])
            except Unavailable as error:
                log.warning("cell.directory_not_copied", cell=cell.digit, error=error.detail)


async def copy_directory(home: Cell, others: Sequence[Cell]) -> None:
    """Makes the directories of other cells like that of the first.

    Raises:
        Unavailable: a database does not answer.
    """
    for other in others:
        await _collect_apps(home, other)
        async with other.db.transaction() as new:
            await run(new, "SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": COPYING})
            # Under the lock: whoever copies later has read later.
            async with home.db.transaction() as old:
                await run(old, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                for rows in DIRECTORY:
                    await _receive(old, new, rows)
            for rows in reversed(DIRECTORY):
                await _delete_missing(new, rows)


async def _collect_apps(home: Cell, other: Cell) -> None:
    """Adds to the first cell the apps that users of the other one have added."""
    async with other.db.transaction() as new, home.db.transaction() as old:
        for rows in APPS:
            await _create_incoming(old, rows)
            await copy_rows(new, old, rows, into=_incoming(rows))
        apps, enabled = APPS
        cursor = await old.execute(
            f"INSERT INTO {apps.table} SELECT * FROM {_incoming(apps)} ON CONFLICT DO NOTHING RETURNING guid"
        )
        # Of new apps alone: the operator may have disabled a known one for a client.
        await run(
            old,
            f"""INSERT INTO {enabled.table} SELECT * FROM {_incoming(enabled)}
                WHERE processor_guid = ANY (%(added)s)""",
            {"added": [guid for (guid,) in await cursor.fetchall()]},
        )


def _incoming(rows: Rows) -> str:
    return f"incoming_{rows.table}"


async def _create_incoming(connection: Connection, rows: Rows) -> None:
    await connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DROP").format(
            sql.Identifier(_incoming(rows)), sql.Identifier(rows.table)
        )
    )


async def _receive(old: Connection, new: Connection, rows: Rows) -> None:
    """Inserts and updates the rows that differ."""
    await _create_incoming(new, rows)
    await copy_rows(old, new, rows, into=_incoming(rows))
    columns = [sql.Identifier(name) for name in await columns_of(new, rows.table)]
    listed = sql.SQL(", ").join(columns)
    await new.execute(
        sql.SQL(
            """INSERT INTO {table} AS present ({columns}) SELECT {columns} FROM {incoming}
               ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded})
               WHERE ROW ({present}) IS DISTINCT FROM ROW ({excluded})"""
        ).format(
            table=sql.Identifier(rows.table),
            incoming=sql.Identifier(_incoming(rows)),
            columns=listed,
            key=sql.SQL(", ").join(map(sql.Identifier, await _primary_key(new, rows.table))),
            excluded=sql.SQL(", ").join(sql.SQL("excluded.{}").format(column) for column in columns),
            present=sql.SQL(", ").join(sql.SQL("present.{}").format(column) for column in columns),
        )
    )


async def _delete_missing(connection: Connection, rows: Rows) -> None:
    await connection.execute(
        sql.SQL(
            """DELETE FROM {table}
               WHERE {condition} AND {removable} AND ({key}) NOT IN (SELECT {key} FROM {incoming})"""
        ).format(
            table=sql.Identifier(rows.table),
            removable=sql.SQL(REMOVABLE.get(rows.table, "true")),  # a constant of this program
            condition=sql.SQL(rows.condition),  # a constant of this program
            key=sql.SQL(", ").join(map(sql.Identifier, await _primary_key(connection, rows.table))),
            incoming=sql.Identifier(_incoming(rows)),
        )
    )


async def _primary_key(connection: Connection, table: str) -> Sequence[str]:
    cursor = await connection.execute(
        """SELECT a.attname FROM pg_index i
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indrelid = %(table)s::regclass AND i.indisprimary ORDER BY a.attnum""",
        {"table": table},
    )
    return [name for (name,) in await cursor.fetchall()]
