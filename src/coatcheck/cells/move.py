"""Moves a user to another cell while the user's tokens read.

    begin     from now on the old cell refuses changes of the user with 503; those that run end first
    copy      every row, in one snapshot of the old cell and one transaction of the new one; then both are compared
    switch    the old cell notes where the user is, and by which names requests ask; the counts of reads go along
    release   the new cell takes changes
    delete    in the old cell, after the requests that found the user there have ended

Before the switch the old cell has the user, after it the new one, whatever dies when. Each step can be repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import psycopg

from coatcheck.audit.entries import OPERATOR, Entry
from coatcheck.audit.journal import Journal
from coatcheck.cells.cell import Cell, check_schemas, find_user, named_cell
from coatcheck.cells.copying import copy_rows, digest_rows
from coatcheck.cells.preparation import is_prepared
from coatcheck.cells.tables import DERIVED, MOVED
from coatcheck.clock import Clock
from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.errors import ConstraintNotMet, NotFound
from coatcheck.events.sequences import find_sequences, store_sequences
from coatcheck.grants.moved_grants import lock_read_counts, parties_of_grants, store_read_counts

LARGEST = "transaction"
BATCH = 10_000
"""Rows of the largest table that are deleted in one transaction."""
SLOW = "SET LOCAL statement_timeout TO 0"
"""Of a transaction that copies or deletes much."""
POLL = timedelta(milliseconds=20)
"""How often the changes that run are looked at."""


class Step(StrEnum):
    BEGIN = "begin"
    COPY = "copy"
    SWITCH = "switch"
    RELEASE = "release"
    DELETE = "delete"


Progress = Callable[[Step], None]
"""Receives each step before it begins."""


@dataclass(frozen=True, slots=True)
class _Move:
    to_cell: str
    phase: str


class UserMove:
    """Moves one user."""

    def __init__(self, clock: Clock, journal: Journal, *, grace: timedelta) -> None:
        """`grace` is how long a request may still read in the old cell: the deadline of requests, and some more."""
        self._clock = clock
        self._journal = journal
        self._grace = grace

    async def run(self, user_guid: str, source: Cell, target: Cell, progress: Progress) -> None:
        """Moves the user, or ends a move that was interrupted.

        Args:
            user_guid: who is moved.
            source: where the user is, or was when the interrupted move began.
            target: where the user will be.
            progress: receives each step before it begins.

        Raises:
            ConstraintNotMet: the cells are the same, or not prepared, or the user is moving to another one; or the new
                cell has a different user with the same id.
            NotFound: there is no such user in the old cell.
        """
        await _check_cells(source, target)
        async with source.db.connection() as connection:
            begun = await _find_move(connection, user_guid)
        if begun is not None and begun.to_cell != target.digit:
            raise ConstraintNotMet(
                f"{user_guid} is moving to cell {begun.to_cell}. Run `coatcheck cell move {user_guid} --to"
                f" {begun.to_cell}` first."
            )
        if begun is None or begun.phase == "copying":
            progress(Step.BEGIN)
            await self._begin(user_guid, source, target)
            await _wait_for_changes(source)
            progress(Step.COPY)
            await self._copy(user_guid, source, target)
            progress(Step.SWITCH)
            await self._switch(user_guid, source, target)
        progress(Step.RELEASE)
        await self._release(user_guid, source, target)
        await asyncio.sleep(self._grace.total_seconds())
        progress(Step.DELETE)
        await self._delete(user_guid, source)

    async def _begin(self, user_guid: str, source: Cell, target: Cell) -> None:
        async with source.db.transaction() as connection:
            # A deletion of the user that runs ends first.
            if not await run(
                connection, "SELECT FROM end_user WHERE guid = %(guid)s FOR UPDATE", {"guid": user_guid}
            ):
                raise NotFound(f"There is no user {user_guid} in cell {source.digit}.")
            await self._note(connection, user_guid, target)

    async def _note(self, connection: Connection, user_guid: str, target: Cell) -> None:
        """Refuses changes of the user in this cell, unless they are refused already."""
        await run(
            connection,
            """INSERT INTO cell_move (user_guid, to_cell, phase, began_at)
               VALUES (%(user_guid)s, %(to_cell)s, 'copying', %(now)s) ON CONFLICT (user_guid) DO NOTHING""",
            {"user_guid": user_guid, "to_cell": target.digit, "now": self._clock.instant()},
        )

    async def _copy(self, user_guid: str, source: Cell, target: Cell) -> None:
        async with _snapshot(source) as old, target.db.transaction() as new:
            await _allow_moves(new)
            await self._note(new, user_guid, target)
            # Of an attempt that was interrupted.
            await _delete_rows(new, user_guid)
            try:
                for table in MOVED:
                    await copy_rows(old, new, table.rows_of(user_guid))
            except psycopg.errors.UniqueViolation as error:
                raise ConstraintNotMet(
                    f"Cell {target.digit} has another user with the same id ({error.diag.constraint_name})."
                ) from error
            for table in (*MOVED, *DERIVED):
                rows = table.rows_of(user_guid)
                if await digest_rows(old, rows) != await digest_rows(new, rows):
                    raise ConstraintNotMet(
                        f"The rows of {table.name} differ between the cells. Nothing was moved."
                    )

    async def _switch(self, user_guid: str, source: Cell, target: Cell) -> None:
        async with source.db.transaction() as old:
            counts = await lock_read_counts(old, user_guid)
            objects = await _store_names(old, user_guid)
            owners = {*await parties_of_grants(old, user_guid), await _client_of(old, user_guid)}
            sequences = await find_sequences(old, owners, objects)
            # Committed first. If this process dies in between, nobody has asked the new cell yet.
            async with target.db.transaction() as new:
                await _allow_moves(new)
                await store_read_counts(new, counts)
                await store_sequences(new, sequences)
            await run(
                old,
                """UPDATE cell_move SET phase = 'switched', switched_at = %(now)s
                   WHERE user_guid = %(user_guid)s""",
                {"user_guid": user_guid, "now": self._clock.instant()},
            )
            await self._record(old, user_guid, source, target)

    async def _release(self, user_guid: str, source: Cell, target: Cell) -> None:
        async with target.db.transaction() as connection:
            # Also the row of an earlier move away from here.
            if await run(
                connection,
                "DELETE FROM cell_move WHERE user_guid = %(user_guid)s",
                {"user_guid": user_guid},
            ):
                await self._record(connection, user_guid, source, target)

    async def _delete(self, user_guid: str, source: Cell) -> None:
        rows = next(table for table in MOVED if table.name == LARGEST).rows_of(user_guid)
        deleted = BATCH
        while deleted == BATCH:
            async with source.db.transaction() as connection:
                await _allow_moves(connection)
                deleted = await run(
                    connection,
                    f"""DELETE FROM {rows.table} WHERE (user_guid, guid) IN (
                            SELECT user_guid, guid FROM {rows.table} WHERE {rows.condition} LIMIT {BATCH})""",
                    rows.parameters,
                )
        async with source.db.transaction() as connection:
            await _allow_moves(connection)
            await _delete_rows(connection, user_guid)
            await run(
                connection,
                "UPDATE cell_move SET phase = 'finished' WHERE user_guid = %(user_guid)s",
                {"user_guid": user_guid},
            )

    async def _record(self, connection: Connection, user_guid: str, source: Cell, target: Cell) -> None:
        """The same entry in the log of both cells."""
        await self._journal.record(
            connection,
            Entry(
                client_guid=await _client_of(connection, user_guid),
                actor=OPERATOR,
                action="user.moved",
                subject=user_guid,
                detail={"from_cell": source.digit, "to_cell": target.digit},
            ),
        )


async def cancel(cells: Mapping[str, Cell], user_guid: str, source: Cell) -> None:
    """Ends a move that has not switched: the user stays in the old cell.

    Raises:
        ConstraintNotMet: the user is not moving, or has moved.
    """
    async with source.db.connection() as connection:
        begun = await _find_move(connection, user_guid)
    if begun is None or begun.phase != "copying":
        raise ConstraintNotMet(f"{user_guid} is not moving, or has moved already.")
    end = "DELETE FROM cell_move WHERE user_guid = %(user_guid)s AND phase = 'copying'"
    # The copy first: after an interruption the move is still known.
    async with named_cell(cells, begun.to_cell).db.transaction() as connection:
        await _allow_moves(connection)
        await _delete_rows(connection, user_guid)
        await run(connection, end, {"user_guid": user_guid})
    async with source.db.transaction() as connection:
        await run(connection, end, {"user_guid": user_guid})


async def _client_of(connection: Connection, user_guid: str) -> str:
    cursor = await connection.execute(
        "SELECT client_guid FROM end_user WHERE guid = %(guid)s", {"guid": user_guid}
    )
    row = await cursor.fetchone()
    assert row is not None, "the user is in this cell"
    return str(row[0])


async def find_source(cells: Mapping[str, Cell], user_guid: str) -> Cell:
    """The cell that an interrupted move of the user left, or else the one in which the user is.

    Raises:
        NotFound: there is no such user.
    """
    for cell in cells.values():
        async with cell.db.connection() as connection:
            move = await _find_move(connection, user_guid)
        if move is not None and move.phase != "finished" and move.to_cell != cell.digit:
            return cell
    return await find_user(cells, user_guid)


async def _check_cells(source: Cell, target: Cell) -> None:
    if source.digit == target.digit:
        raise ConstraintNotMet(f"The user is in cell {target.digit} already.")
    for cell in (source, target):
        async with cell.db.connection() as connection:
            if not await is_prepared(connection):
                raise ConstraintNotMet(
                    f"Cell {cell.digit} is not prepared. Run `coatcheck cell prepare` first."
                )
    await check_schemas(source, target)


async def _find_move(connection: Connection, user_guid: str) -> _Move | None:
    return await fetch_one(
        connection,
        _Move,
        f"SELECT {columns(_Move)} FROM cell_move WHERE user_guid = %(user_guid)s",
        {"user_guid": user_guid},
    )


@asynccontextmanager
async def _snapshot(cell: Cell) -> AsyncIterator[Connection]:
    async with cell.db.transaction() as connection:
        await run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await run(connection, SLOW)
        yield connection


async def _allow_moves(connection: Connection) -> None:
    """Lets this transaction change the rows of a user that is moving."""
    await run(connection, "SELECT set_config('coatcheck.moves_users', 'on', true)")
    await run(connection, SLOW)


async def _wait_for_changes(cell: Cell) -> None:
    """Waits until the transactions that change rows of users now have ended. Later ones are refused by the triggers."""
    async with cell.db.connection() as connection:
        waiting = await _writers(connection)
        while waiting:
            await asyncio.sleep(POLL.total_seconds())
            waiting &= await _writers(connection)


async def _writers(connection: Connection) -> set[str]:
    cursor = await connection.execute(
        # Who changes rows holds this lock to the end, also a transaction whose triggers ran before the move was noted.
        # By transaction: a session goes on with its next one. `pg_locks` has those of all databases of the server.
        """SELECT DISTINCT virtualtransaction FROM pg_locks
           WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND mode = 'RowExclusiveLock' AND relation = ANY (%(tables)s::regclass[])""",
        {"tables": [table.name for table in MOVED]},
    )
    return {writer for (writer,) in await cursor.fetchall()}


async def _delete_rows(connection: Connection, user_guid: str) -> None:
    for table in reversed(MOVED):
        rows = table.rows_of(user_guid)
        await run(connection, f"DELETE FROM {rows.table} WHERE {rows.condition}", rows.parameters)


async def _store_names(connection: Connection, user_guid: str) -> Sequence[str]:
    """Stores what requests can name the user by, and returns it."""
    for table in MOVED:
        rows = table.rows_of(user_guid)
        for name in table.names:
            await run(
                connection,
                f"""INSERT INTO cell_move_name (name, user_guid)
                    SELECT DISTINCT {name}, %(user_guid)s FROM {rows.table}
                    WHERE {rows.condition} AND {name} IS NOT NULL
                    ON CONFLICT (name) DO NOTHING""",
                rows.parameters,
            )
    cursor = await connection.execute(
        "SELECT name FROM cell_move_name WHERE user_guid = %(user_guid)s", {"user_guid": user_guid}
    )
    return [name for (name,) in await cursor.fetchall()]
