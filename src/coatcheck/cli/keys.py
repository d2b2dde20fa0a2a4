"""`coatcheck keys`: the master keys, which wrap all others."""

import typer

from coatcheck.cli.console import AsJson, out, progress, show_json
from coatcheck.cli.runtime import opened, run
from coatcheck.config import load
from coatcheck.vault import keys

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Master keys, which wrap all others."
)


@command_group.command()
def new() -> None:
    """Prints the line of a fresh master key, for the key file; nothing is kept.

    Example: (umask 077; coatcheck keys new > master.key)
    """
    out.print(keys.new_master_key_line(), markup=False)


@command_group.command()
def rotate(as_json: AsJson = False) -> None:
    """Wraps every key under the first master key of the file; may be stopped and run again, also under load.

    Put the new line first, keep the old one below, restart serve and work, then run this. When it is done the
    old line can go.

    Example: coatcheck keys rotate
    """
    count = run(_rotate())
    if as_json:
        show_json({"rewrapped": count})
    else:
        out.print(
            f"{count} keys are wrapped anew. Once every process runs with the new master key, "
            "the older ones may go from the file."
        )


async def _rotate() -> int:
    async with opened() as services:
        with progress() as bar:
            task = bar.add_task("Wrapping keys", total=None)
            return await keys.rotate(
                services.db,
                keys.MasterKeys.load(load()),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
