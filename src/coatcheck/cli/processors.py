"""`coatcheck processor`: the processors, their keys, and for which clients each is enabled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from coatcheck import app
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli.api_keys import SHOWN_ONCE, AtOnce, Name, old_key_end, overlap_of
from coatcheck.cli.console import AsJson, print_done, print_facts, print_rows
from coatcheck.cli.lookups import ClientGuid, ProcessorGuid, named_client, named_processor
from coatcheck.cli.networks import AllowedNetworks, AllowsAll, is_change, print_networks
from coatcheck.cli.runtime import change, read
from coatcheck.db import database
from coatcheck.directory import processors
from coatcheck.grants import api_keys
from coatcheck.model import clients

command_group = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Processors, which redeem clients' codes and read accounts.",
)


@command_group.command("add")
def add(
    name: Name,
    owners_at_transactions: Annotated[
        bool,
        typer.Option(
            "--owners-at-transactions", help="Return owners at /account/transactions, as MX's SDKs expect."
        ),
    ] = False,
    numbers_as_strings: Annotated[
        bool, typer.Option("--numbers-as-strings", help="Return account and routing numbers as strings.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Adds a processor and prints its API key, once. It may redeem no client's codes yet.

    Example: coatcheck processor add "Acme Pay" --numbers-as-strings
    """
    options = processors.ProcessorOptions(owners_at_transactions, numbers_as_strings)
    new = change(
        lambda services, connection: services.processors.add(connection, name, options, actor=OPERATOR)
    )
    guid = new.processor.guid
    print_facts(
        {"processor_id": guid, "api_key": new.api_key, "name": new.processor.name},
        as_json=as_json,
        note=f"{SHOWN_ONCE}\nTo enable the processor for a client: coatcheck processor enable-for {guid} CLT-...",
    )


@command_group.command("list")
def list_(as_json: AsJson = False) -> None:
    """Lists the processors and the clients' apps, oldest first.

    Example: coatcheck processor list --json
    """
    rows = [
        {
            "processor_id": processor.guid,
            "name": processor.name,
            "app_of": processor.app_of,
            "is_disabled": processor.is_disabled,
            "owners_at_transactions": processor.owners_at_transactions,
            "numbers_as_strings": processor.numbers_as_strings,
            "created_at": processor.created_at,
        }
        for processor in read(lambda _, connection: clients.list_processors(connection, with_apps=True))
    ]
    print_rows(
        rows, as_json=as_json, empty='There is no processor. Add one: coatcheck processor add "Acme Pay"'
    )


@command_group.command("rotate-key")
def rotate_key(processor: ProcessorGuid, at_once: AtOnce = False, as_json: AsJson = False) -> None:
    """Issues a new API key and prints it, once. The old one works for another day (setting key_overlap).

    Example: coatcheck processor rotate-key PPR-...
    """

    async def rotate(services: app.Services, connection: database.Connection) -> api_keys.Rotated:
        await named_processor(connection, processor)
        return await services.processors.rotate_key(connection, processor, overlap=overlap_of(at_once))

    rotated = change(rotate)
    facts = {"processor_id": processor, "api_key": rotated.api_key} | old_key_end(rotated)
    print_facts(facts, as_json=as_json, note=SHOWN_ONCE)


@command_group.command("disable")
def disable(processor: ProcessorGuid, as_json: AsJson = False) -> None:
    """Refuses the processor's API keys and every one of its tokens, at once.

    Example: coatcheck processor disable PPR-...
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_processor(connection, processor)
        await services.processors.disable(connection, processor, actor=OPERATOR)

    change(act)
    print_done(
        {"processor_id": processor, "is_disabled": True},
        f"Disabled. To enable it again: coatcheck processor enable {processor}",
        as_json=as_json,
    )


@command_group.command("networks")
def networks(
    processor: ProcessorGuid,
    allowed: AllowedNetworks = None,
    remove: AllowsAll = False,
    as_json: AsJson = False,
) -> None:
    """Shows from where the processor's API keys and tokens are accepted. With networks, accepts them from there only.

    Example: coatcheck processor networks PPR-... 203.0.113.0/24 2001:db8::/48
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_processor(connection, processor)
        await services.processors.set_allowed_networks(connection, processor, allowed or None, actor=OPERATOR)

    async def find(_: app.Services, connection: database.Connection) -> Sequence[str] | None:
        await named_processor(connection, processor)
        return await clients.allowed_networks(connection, processor)

    if is_change(allowed, remove=remove):
        change(act)
    print_networks({"processor_id": processor}, read(find), as_json=as_json)


@command_group.command("enable")
def enable(processor: ProcessorGuid, as_json: AsJson = False) -> None:
    """Enables a processor that was disabled. Its tokens that have not expired work again.

    Example: coatcheck processor enable PPR-...
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_processor(connection, processor)
        await services.processors.enable(connection, processor, actor=OPERATOR)

    change(act)
    print_done({"processor_id": processor, "is_disabled": False}, "Enabled.", as_json=as_json)


@command_group.command("enable-for")
def enable_for(processor: ProcessorGuid, client: ClientGuid, as_json: AsJson = False) -> None:
    """Lets the processor redeem the client's codes.

    Example: coatcheck processor enable-for PPR-... CLT-...
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_processor(connection, processor)
        await named_client(connection, client)
        await services.processors.enable_for(connection, processor, client, actor=OPERATOR)

    change(act)
    print_done(
        {"processor_id": processor, "client_id": client, "is_enabled": True},
        "The processor can redeem the client's codes.",
        as_json=as_json,
    )


@command_group.command("disable-for")
def disable_for(processor: ProcessorGuid, client: ClientGuid, as_json: AsJson = False) -> None:
    """Ends the processor's tokens of this client at once, and lets it redeem no more of the client's codes.

    Example: coatcheck processor disable-for PPR-... CLT-...
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_processor(connection, processor)
        await named_client(connection, client)
        await services.processors.disable_for(connection, processor, client, actor=OPERATOR)

    change(act)
    print_done(
        {"processor_id": processor, "client_id": client, "is_enabled": False},
        f"Disabled for this client. To enable it again: coatcheck processor enable-for {processor} {client}",
        as_json=as_json,
    )
