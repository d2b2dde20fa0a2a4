"""What the operator sees of each cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coatcheck.cells.cell import Cell
from coatcheck.cells.preparation import is_prepared
from coatcheck.db.database import fetch_one
from coatcheck.errors import Unavailable
from coatcheck.migrations.revision import revision_of


@dataclass(frozen=True, slots=True)
class CellState:
    digit: str
    answers: bool
    revision: str | None = None
    is_prepared: bool = False
    users: int = 0
    moving: int = 0
    """Users whose move from here has begun and has not ended."""


@dataclass(frozen=True, slots=True)
class _Counts:
    users: int
    moving: int


async def examine(cells: Mapping[str, Cell]) -> Sequence[CellState]:
    """The state of each cell, in the order of the digits. A database that does not answer is no error."""
    return [await _examine(cells[digit]) for digit in sorted(cells)]


async def _examine(cell: Cell) -> CellState:
    try:
        async with cell.db.connection() as connection:
            revision = await revision_of(connection)
            if revision is None or not await is_prepared(connection):
                return CellState(cell.digit, answers=True, revision=revision)
            counts = await fetch_one(
                connection,
                _Counts,
                """SELECT (SELECT count(*) FROM end_user) AS users,
                          (SELECT count(*) FROM cell_move
                           WHERE phase <> 'finished' AND to_cell <> %(digit)s) AS moving""",
                {"digit": cell.digit},
            )
    except Unavailable:
        return CellState(cell.digit, answers=False)
    assert counts is not None, "a statement without FROM has one row"
    return CellState(
        cell.digit,
        answers=True,
        revision=revision,
        is_prepared=True,
        users=counts.users,
        moving=counts.moving,
    )
