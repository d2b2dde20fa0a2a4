"""The allowed networks of a client or a processor: the arguments and the output of both commands."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from coatcheck.cli.console import print_facts

AllowedNetworks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NETWORK]...",
        help="Networks such as 203.0.113.0/24, in place of the earlier ones. Without any, nothing changes.",
    ),
]
AllowsAll = Annotated[bool, typer.Option("--remove", help="Accept them from everywhere.")]


def is_change(allowed: Sequence[str] | None, *, remove: bool) -> bool:
    """Whether the arguments change something.

    Raises:
        typer.BadParameter: they contradict each other.
    """
    if allowed and remove:
        raise typer.BadParameter("--remove takes no networks.")
    return bool(allowed) or remove


def print_networks(facts: Mapping[str, str], allowed: Sequence[str] | None, *, as_json: bool) -> None:
    shown = "everywhere" if allowed is None and not as_json else allowed
    print_facts({**facts, "allowed_networks": shown}, as_json=as_json)
