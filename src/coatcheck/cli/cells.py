"""`coatcheck cell`: the databases of an installation with several, and the moves of users between them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer

from coatcheck.cell_digit import FIRST
from coatcheck.cells import cell as cells_
from coatcheck.cells import directory, move, overview, preparation
from coatcheck.cli.console import AsJson, err, print_done, print_rows
from coatcheck.cli.runtime import open_services, run
from coatcheck.cli.settings import load_settings
from coatcheck.vault import master_keys

command_group = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Cells: several databases, and the moves of users between them.",
)

UserGuid = Annotated[str, typer.Argument(help="The guid of the user, USR-....")]
Digit = Annotated[str, typer.Argument(help="The digit of the cell, as in the settings.")]

GRACE = timedelta(seconds=1)
"""Added to the deadline of requests: after both, no request reads in the cell that the user has left."""
STEPS: Mapping[str, str] = {
    "begin": "Waiting for the changes of the user that run",
    "copy": "Copying and comparing",
    "switch": "Switching",
    "release": "Waiting for the requests that found the user in the old cell",
    "delete": "Deleting in the old cell",
}


@command_group.command("list")
def list_(as_json: AsJson = False) -> None:
    """Lists the cells: whether each answers and is prepared, and the users that are in it or moving.

    Example: coatcheck cell list
    """

    async def examine() -> list[dict[str, Any]]:
        async with open_services() as services, cells_.open_cells(services) as cells:
            return [
                {
                    "cell": state.digit,
                    "answers": state.answers,
                    "revision": state.revision,
                    "is_prepared": state.is_prepared,
                    "users": state.users,
                    "moving": state.moving,
                }
                for state in await overview.examine(cells)
            ]

    print_rows(run(examine()), as_json=as_json, empty="")


@command_group.command()
def prepare(cell: Digit, as_json: AsJson = False) -> None:
    """Makes a migrated database a cell: gives it the keys and the directory. Can be repeated.

    The roles of both databases must own the tables, as for `coatcheck migrate`.

    Example: coatcheck cell prepare 1
    """

    async def act() -> None:
        async with open_services() as services, cells_.open_cells(services) as cells:
            await preparation.prepare(
                cells_.named_cell(cells, FIRST),
                cells_.named_cell(cells, cell),
                master_keys.MasterKeys.load(load_settings()),
            )

    run(act())
    print_done(
        {"cell": cell},
        f"Cell {cell} is prepared. Start workers with COATCHECK_CELL={cell}, and restart serve.",
        as_json=as_json,
    )


@command_group.command("move")
def move_(
    user: UserGuid,
    to: Annotated[str, typer.Option("--to", help="The digit of the cell to move to.")],
    as_json: AsJson = False,
) -> None:
    """Moves all that belongs to a user to another cell, while the user's tokens read.

    Changes of the user are refused with 503 until the rows are copied. If the command is interrupted, run it again.

    Example: coatcheck cell move USR-... --to 1
    """

    async def act() -> str:
        async with open_services() as services, cells_.open_cells(services) as cells:
            target = cells_.named_cell(cells, to)
            source = await move.find_source(cells, user)
            if FIRST in cells:
                await directory.copy_to_reachable(cells)
            grace = services.settings.request_deadline + GRACE
            with err.status("Moving") as status:
                await move.UserMove(services.clock, services.journal, grace=grace).run(
                    user, source, target, lambda step: status.update(STEPS[step])
                )
            return source.digit

    source = run(act())
    print_done(
        {"user_guid": user, "from_cell": source, "to_cell": to},
        f"{user} has moved from cell {source} to cell {to}.",
        as_json=as_json,
    )


@command_group.command()
def cancel(user: UserGuid, as_json: AsJson = False) -> None:
    """Gives up an interrupted move that has not switched: the user stays, and changes are accepted again.

    Example: coatcheck cell cancel USR-...
    """

    async def act() -> str:
        async with open_services() as services, cells_.open_cells(services) as cells:
            source = await move.find_source(cells, user)
            await move.cancel(cells, user, source)
            return source.digit

    source = run(act())
    print_done({"user_guid": user, "cell": source}, f"{user} stays in cell {source}.", as_json=as_json)
