"""`coatcheck keys`: the master keys, which wrap all other keys, and the keys that sign receipts."""

from __future__ import annotations

from typing import Annotated

import typer

from coatcheck import app
from coatcheck.audit import entries
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli import progress
from coatcheck.cli.console import AsJson, print_done, print_rows
from coatcheck.cli.runtime import change, open_services, read, run
from coatcheck.cli.settings import load_settings
from coatcheck.db import database
from coatcheck.errors import NotFound
from coatcheck.vault import key_service, keys, master_keys, signing_keys

command_group = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Master keys, which wrap all other keys, and the keys that sign receipts.",
)


@command_group.command()
def new(
    wrapped_by: Annotated[
        key_service.Service | None,
        typer.Option(help="Key management service that wraps the key; it needs its settings."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prints a line of the key file with a new random master key. Nothing is stored.

    Example: (umask 077; coatcheck keys new > master.key)

    Example: coatcheck keys new --wrapped-by aws-kms > master.key
    """
    line = master_keys.new_master_key_line(wrapped_by, load_settings() if wrapped_by else None)
    print_done({"master_key": line}, line, as_json=as_json)


@command_group.command()
def rotate(as_json: AsJson = False) -> None:
    """Wraps every key with the first master key of the file. Can be interrupted and run again, also under load.

    Put the new line first, keep the old one below it, restart serve and work, then run this. Afterwards the old
    line can be removed.

    Example: coatcheck keys rotate
    """
    count, master_key_id = run(_rotate())
    if count:
        sentence = (
            f"{count} keys were wrapped again. When every process runs with the new master key,"
            " the older ones can be removed from the file."
        )
    else:
        sentence = (
            f"Nothing was changed: {master_key_id}, the first master key of the file, wraps every key already."
            " To rotate, put a new line first: `coatcheck keys new` prints one."
        )
    print_done({"rewrapped": count}, sentence, as_json=as_json)


@command_group.command("rotate-signing")
def rotate_signing(
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Sign with the new key now, as after a leak.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Adds a key that signs receipts. It is published now and signs after 15 minutes. Old receipts still verify.

    With --at-once it signs now: a verifier that keeps an older key set must fetch it again.

    Example: coatcheck keys rotate-signing
    """
    added = change(lambda services, connection: _rotate_signing(services, connection, at_once=at_once))
    print_done(
        {"kid": added.kid, "signs_from": added.signs_from},
        f"Key {added.kid} is published and signs from {added.signs_from:%Y-%m-%dT%H:%M:%SZ}.",
        as_json=as_json,
    )


# A kid is base64url, so one in 64 begins with a hyphen; with a later "h" the program's `-h` would be found in it.
@command_group.command(
    "withdraw-signing", context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]}
)
def withdraw_signing(
    kid: Annotated[str, typer.Argument(help="The key, as `coatcheck keys list-signing` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Withdraws a key of receipts that may have leaked: it is published no more, and another one signs at once.

    Whoever has the key signs with any date, so nothing that it signed verifies any more. Clients get their documents
    again from the same endpoints, signed with the present key.

    Example: coatcheck keys withdraw-signing kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k
    """
    change(lambda services, connection: _withdraw_signing(services, connection, kid))
    print_done(
        {"kid": kid},
        f"Key {kid} is withdrawn. Processes that run stop signing with it within a minute.",
        as_json=as_json,
    )


@command_group.command("list-signing")
def list_signing(as_json: AsJson = False) -> None:
    """Lists the published keys of receipts, newest first, and when each began to sign.

    Example: coatcheck keys list-signing
    """
    rows = [
        {
            "kid": key.kid,
            "created_at": key.created_at,
            "signs_from": key.signs_from,
            "published_until": key.published_until,
            "withdrawn_at": key.withdrawn_at,
        }
        for key in read(
            lambda services, connection: signing_keys.published_keys(connection, services.clock.now())
        )
    ]
    print_rows(
        rows, as_json=as_json, empty="There is no signing key yet. A server creates it when it starts."
    )


async def _rotate_signing(
    services: app.Services, connection: database.Connection, *, at_once: bool
) -> signing_keys.PublishedKey:
    kept = signing_keys.documents_kept(services.settings)
    added = await services.signing_keys.rotate(connection, documents_kept=kept, at_once=at_once)
    await services.journal.record(
        connection, entries.Entry(actor=OPERATOR, action="signing_key.rotated", subject=added.kid)
    )
    return added


async def _withdraw_signing(services: app.Services, connection: database.Connection, kid: str) -> None:
    try:
        await services.signing_keys.withdraw(
            connection, kid, documents_kept=signing_keys.documents_kept(services.settings)
        )
    except NotFound:
        raise NotFound(f"There is no signing key {kid}. `coatcheck keys list-signing` shows them.") from None
    await services.journal.record(
        connection, entries.Entry(actor=OPERATOR, action="signing_key.withdrawn", subject=kid)
    )


async def _rotate() -> tuple[int, str]:
    """How many keys were wrapped, and the id of the master key that wraps them."""
    async with open_services() as services:
        with progress.progress_bar() as bar:
            task = bar.add_task("Wrapping keys", total=None)
            configured = master_keys.MasterKeys.load(load_settings())
            count = await keys.rotate(
                services.db,
                configured,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        async with services.db.transaction() as connection:
            entry = entries.Entry(actor=OPERATOR, action="master_key.rotated", subject=configured.sealing_id)
            await services.journal.record(connection, entry)
        return count, configured.sealing_id
