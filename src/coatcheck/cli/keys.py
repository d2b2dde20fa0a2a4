"""`coatcheck keys`: the master keys, which wrap all other keys."""

from typing import Annotated

import typer

from coatcheck.cli.console import AsJson, print_done, progress
from coatcheck.cli.runtime import open_services, run
from coatcheck.config import load
from coatcheck.vault import keys
from coatcheck.vault.master_keys import MasterKeys, Service, new_master_key_line

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Master keys, which wrap all other keys."
)


@command_group.command()
def new(
    wrapped_by: Annotated[
        Service | None, typer.Option(help="Key management service that wraps the key; it needs its settings.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prints a line of the key file with a new random master key. Nothing is stored.

    Example: (umask 077; coatcheck keys new > master.key)

    Example: coatcheck keys new --wrapped-by aws-kms > master.key
    """
    line = new_master_key_line(wrapped_by, load() if wrapped_by else None)
    print_done({"master_key": line}, line, as_json=as_json)


@command_group.command()
def rotate(as_json: AsJson = False) -> None:
    """Wraps every key with the first master key of the file. Can be interrupted and run again, also under load.

    Put the new line first, keep the old one below it, restart serve and work, then run this. Afterwards the old
    line can be removed.

    Example: coatcheck keys rotate
    """
    count = run(_rotate())
    print_done(
        {"rewrapped": count},
        f"{count} keys were wrapped again. When every process runs with the new master key,"
        " the older ones can be removed from the file.",
        as_json=as_json,
    )


async def _rotate() -> int:
    async with open_services() as services:
        with progress() as bar:
            task = bar.add_task("Wrapping keys", total=None)
            return await keys.rotate(
                services.db,
                MasterKeys.load(load()),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
