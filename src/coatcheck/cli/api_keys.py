"""What the commands that issue API keys share."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from coatcheck.grants import api_keys

Name = Annotated[str, typer.Argument(help="The name that people see.")]
AtOnce = Annotated[
    bool,
    typer.Option("--at-once", help="End the old key now, as after a leak, instead of after key_overlap."),
]

SHOWN_ONCE = "Store the key now. It is shown once, and only its hash is stored."


def overlap_of(at_once: bool) -> timedelta | None:
    """How long the old key works; None for the setting `key_overlap`."""
    return timedelta() if at_once else None


def old_key_end(rotated: api_keys.Rotated) -> dict[str, Any]:
    return {"old_key_ends_at": rotated.old_expires_at}
