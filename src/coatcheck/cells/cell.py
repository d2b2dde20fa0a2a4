"""The databases of the cells, and in which one a user is."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from coatcheck.app import Services
from coatcheck.cell_digit import FIRST, digit_of_guid
from coatcheck.db.coalescing import Asked, CoalescedStatement, Coalescer
from coatcheck.db.database import Connection, Database
from coatcheck.errors import ConstraintNotMet, NotFound, Unavailable
from coatcheck.migrations.revision import revision_of

ASKED = Asked({"name": "text"})
# The rows of a user that is being copied do not lead anywhere yet.
FIND = f"""
WITH {ASKED.cte}
SELECT asked.caller, m.to_cell FROM asked
JOIN cell_move_name n ON n.name = asked.name
JOIN cell_move m ON m.user_guid = n.user_guid AND m.phase <> 'copying'
ORDER BY asked.caller
"""
CYCLE_WAIT = timedelta(seconds=2)
"""How long at most two cells name each other, between the last steps of a move back."""
CYCLE_PAUSE = timedelta(milliseconds=20)


@dataclass(frozen=True, slots=True)
class _MovedTo:
    to_cell: str


FIND_TOGETHER = CoalescedStatement(ASKED, FIND, (_MovedTo,))


@dataclass(frozen=True, slots=True)
class Cell:
    digit: str
    db: Database


@asynccontextmanager
async def open_cells(services: Services) -> AsyncIterator[Mapping[str, Cell]]:
    """The cell of these services and the others of the settings, by their digits.

    Raises:
        ConstraintNotMet: the settings name no other cell.
    """
    settings = services.settings
    if not settings.cells:
        raise ConstraintNotMet(
            "There is one cell. Name the others: COATCHECK_CELL_1=postgresql://coatcheck@db1/coatcheck."
        )
    cells = {settings.cell: Cell(settings.cell, services.db)}
    async with AsyncExitStack() as stack:
        for digit, url in settings.cells.items():
            db = Database(url, pool_size=2, pooling=settings.database_pooling)
            await db.open()
            stack.push_async_callback(db.close)
            cells[digit] = Cell(digit, db)
        yield cells


def check_digit(digits: Collection[str], digit: str) -> None:
    """Checks that one of the cells has this digit.

    Raises:
        NotFound: none has.
    """
    if digit not in digits:
        raise NotFound(f"There is no cell {digit}. `coatcheck cell list` shows the cells.")


async def check_schemas(first: Cell, second: Cell) -> None:
    """Checks that the same migrations were applied to two cells.

    Raises:
        ConstraintNotMet: their schemas differ.
    """
    revisions = []
    for cell in (first, second):
        async with cell.db.connection() as connection:
            revisions.append(await revision_of(connection))
    if revisions[0] != revisions[1]:
        raise ConstraintNotMet(
            f"The schemas differ: {revisions[0]} in cell {first.digit}, {revisions[1]} in cell {second.digit}."
            " Run `coatcheck migrate` for both."
        )


def named_cell(cells: Mapping[str, Cell], digit: str) -> Cell:
    """The cell of this digit.

    Raises:
        NotFound: the settings name no such cell.
    """
    check_digit(cells, digit)
    return cells[digit]


class Directions:
    """Finds the cell in which a user is. Lookups that arrive together are one statement."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self._cells = cells
        self._lookups = {digit: Coalescer(cell.db, FIND_TOGETHER) for digit, cell in cells.items()}

    async def find(self, digit: str, name: str) -> Cell:
        """The cell of the user who has this name. A cell on the way that does not answer is the result.

        Args:
            digit: the cell that the name was made in. One that does not exist counts as the first.
            name: a guid, or the hash of a secret in hexadecimal.
        """
        digit = digit if digit in self._cells else FIRST
        until = monotonic() + CYCLE_WAIT.total_seconds()
        visited = []
        while (moved_to := await self._next(digit, name)) is not None:
            visited.append(digit)
            if moved_to in visited:
                # The last cell has the user already and will say so in a moment.
                if monotonic() > until:
                    break
                await asyncio.sleep(CYCLE_PAUSE.total_seconds())
                visited.clear()
            digit = moved_to
        return self._cells[digit]

    async def _next(self, digit: str, name: str) -> str | None:
        try:
            rows = await self._lookups[digit]({"name": name})
        except Unavailable:
            return None
        return rows[0][0] if rows and rows[0][0] in self._cells else None


async def find_user(cells: Mapping[str, Cell], user_guid: str) -> Cell:
    """The cell in which the user is.

    Raises:
        NotFound: there is no such user.
    """
    cell = await Directions(cells).find(digit_of_guid(user_guid), user_guid)
    async with cell.db.connection() as connection:
        await _check_exists(connection, user_guid)
    return cell


async def _check_exists(connection: Connection, user_guid: str) -> None:
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM end_user WHERE guid = %(guid)s)", {"guid": user_guid}
    )
    row = await cursor.fetchone()
    if row is None or not row[0]:
        raise NotFound(f"There is no user {user_guid}.")
