"""`coatcheck client` and `coatcheck processor`: who may call, and with which keys."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from coatcheck import ids
from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.cli.console import AsJson, out, show_facts, show_json, show_table
from coatcheck.cli.runtime import opened, run
from coatcheck.db.database import Connection
from coatcheck.directory.client_rows import (
    add_client,
    put_widget_look,
    set_client_disabled,
    set_client_webhook_url,
)
from coatcheck.directory.processor_rows import (
    add_processor,
    disable_processor,
    enable_processor,
    set_processor_disabled,
)
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.events.signing import signing_secret
from coatcheck.events.ssrf import check_url
from coatcheck.grants.api_keys import Rotated
from coatcheck.model.clients import (
    Client,
    Processor,
    find_client,
    find_processor,
    list_clients,
    list_processors,
)
from coatcheck.model.widgets import WidgetLook, widget_look

clients = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Clients, who link their users' banks."
)
processors = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Processors, whom clients let read."
)

Name = Annotated[str, typer.Argument(help="What people call it.")]
ClientGuid = Annotated[str, typer.Argument(metavar="CLIENT", help="The client's id, CLT-...")]
ProcessorGuid = Annotated[str, typer.Argument(metavar="PROCESSOR", help="The processor's id, PPR-...")]
AtOnce = Annotated[
    bool, typer.Option("--at-once", help="End the old key now, as after a leak, and not after key_overlap.")
]


@clients.command("add")
def client_add(name: Name, as_json: AsJson = False) -> None:
    """Adds a client and shows its API key, once.

    Example: coatcheck client add "Acme Bank"
    """
    guid, api_key = run(_client_add(_named(name)))
    _show_new({"client_id": guid, "client_api_key": api_key, "name": name}, as_json)


async def _client_add(name: str) -> tuple[str, str]:
    async with opened() as services, services.db.transaction() as connection:
        guid = ids.new("CLT")
        await add_client(connection, Client(guid, name, None, False, services.clock.now()))
        await _trace(services, connection, "client.added", guid, client_guid=guid)
        return guid, await services.api_keys.issue(connection, guid)


@clients.command("list")
def client_list(as_json: AsJson = False) -> None:
    """Lists the clients, oldest first.

    Example: coatcheck client list --json
    """
    rows = [
        {
            "client_id": client.guid,
            "name": client.name,
            "is_disabled": client.is_disabled,
            "webhook_url": client.webhook_url,
            "created_at": client.created_at,
        }
        for client in run(_read(list_clients))
    ]
    _show_list(rows, as_json, nothing='There is no client yet. Add one: coatcheck client add "Acme Bank"')


@clients.command("rotate-key")
def client_rotate_key(client: ClientGuid, at_once: AtOnce = False, as_json: AsJson = False) -> None:
    """Makes a new API key and shows it, once; the old one works on for a day (setting key_overlap).

    Example: coatcheck client rotate-key CLT-... --at-once
    """
    rotated = run(_rotate(client, _found_client, at_once))
    _show_new({"client_id": client, "client_api_key": rotated.api_key} | _end_of_old(rotated), as_json)


@clients.command("disable")
def client_disable(client: ClientGuid) -> None:
    """Refuses the client's keys, and ends every token it handed out, at once.

    Example: coatcheck client disable CLT-...
    """
    run(_set_client_disabled(client, True))
    out.print("Disabled. `coatcheck client enable` takes it back.")


@clients.command("enable")
def client_enable(client: ClientGuid) -> None:
    """Takes a disabling back.

    Example: coatcheck client enable CLT-...
    """
    run(_set_client_disabled(client, False))
    out.print("Enabled.")


async def _set_client_disabled(guid: str, is_disabled: bool) -> None:
    async with opened() as services, services.db.transaction() as connection:
        await _found_client(connection, guid)
        await set_client_disabled(connection, guid, is_disabled)
        action = "client.disabled" if is_disabled else "client.enabled"
        await _trace(services, connection, action, guid, client_guid=guid)


@clients.command("webhook")
def client_webhook(
    client: ClientGuid,
    url: Annotated[str, typer.Argument(help="An https:// address, or nothing to send no more.")] = "",
    as_json: AsJson = False,
) -> None:
    """Says where the client's webhooks go, and shows the secret that signs them.

    Example: coatcheck client webhook CLT-... https://acme.example/webhooks
    """
    secret = run(_client_webhook(client, url))
    if as_json:
        show_json({"client_id": client, "webhook_url": url or None, "webhook_secret": secret})
    elif secret:
        show_facts({"webhook_url": url, "webhook_secret": secret})
        out.print("Check each webhook's signature with it (Standard Webhooks).")
    else:
        out.print("No more webhooks are sent.")


async def _client_webhook(guid: str, url: str) -> str | None:
    if url:
        check_url(url)
    async with opened() as services, services.db.transaction() as connection:
        await _found_client(connection, guid)
        await set_client_webhook_url(connection, guid, url or None)
        await _trace(services, connection, "client.webhook_changed", guid, client_guid=guid)
        if not url:
            return None
        return await signing_secret(connection, services.vault, guid, reader_guid="operator")


LOGOS = {".svg": "image/svg+xml", ".png": "image/png"}
MAX_LOGO_BYTES = 16 * 1024
"""It travels with every page."""


@clients.command("widget")
def client_widget(
    client: ClientGuid,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Who may embed the widget, such as https://app.example; repeat it for more. Replaces all."
        ),
    ] = None,
    accent: Annotated[str | None, typer.Option(help="A colour, such as '#0a7'; '' for ours.")] = None,
    logo: Annotated[
        str | None, typer.Option(metavar="FILE", help="An SVG or PNG of at most 16 kB; '' for none.")
    ] = None,
    privacy_url: Annotated[
        str | None, typer.Option(help="What the widget links to before the user agrees; '' for nothing.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Says whose pages may embed the client's widget and how it looks; without options, shows it.

    Example: coatcheck client widget CLT-... --origin https://app.example --accent '#0a7' --logo logo.svg
    """
    changes: dict[str, Any] = {}
    if origin is not None:
        changes["origins"] = list(dict.fromkeys(each.lower() for each in origin if each))
    if accent is not None:
        changes["accent_color"] = accent or None
    if logo is not None:
        changes["logo"] = _logo(Path(logo)) if logo else None
    if privacy_url is not None:
        changes["privacy_url"] = privacy_url or None
    look = run(_client_widget(client, changes))
    facts = {
        "client_id": client,
        "origins": look.origins if as_json else ", ".join(look.origins) or "this server's own",
        "accent_color": look.accent_color,
        "has_logo": look.logo is not None,
        "privacy_url": look.privacy_url,
    }
    if as_json:
        show_json(facts)
    else:
        show_facts(facts)


async def _client_widget(guid: str, changes: dict[str, Any]) -> WidgetLook:
    async with opened() as services, services.db.transaction() as connection:
        await _found_client(connection, guid)
        look = replace(await widget_look(connection, guid), **changes)
        if changes:
            await put_widget_look(connection, guid, look)
            await _trace(services, connection, "client.widget_changed", guid, client_guid=guid)
        return look


def _logo(file: Path) -> str:
    """The picture as a `data:` URI: the widget's page asks no host for it, and so it runs no script."""
    media_type = LOGOS.get(file.suffix.lower())
    if media_type is None:
        raise InvalidRequest("The logo is an .svg or a .png file.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"The logo {file} cannot be read: {error.strerror}.") from error
    if len(content) > MAX_LOGO_BYTES:
        raise InvalidRequest(
            f"The logo has {len(content)} bytes; at most {MAX_LOGO_BYTES} travel with the page."
        )
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@processors.command("add")
def processor_add(
    name: Name,
    owners_at_transactions: Annotated[
        bool,
        typer.Option("--owners-at-transactions", help="Serve owners where MX's SDK method asks for them."),
    ] = False,
    numbers_as_strings: Annotated[
        bool, typer.Option("--numbers-as-strings", help="Account and routing numbers always as strings.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Adds a processor and shows its API key, once. No client's codes are open to it yet.

    Example: coatcheck processor add "Acme Pay" --numbers-as-strings
    """
    guid, api_key = run(_processor_add(_named(name), owners_at_transactions, numbers_as_strings))
    _show_new({"processor_id": guid, "api_key": api_key, "name": name}, as_json)
    if not as_json:
        out.print(f"Let it read for a client: coatcheck processor enable-for {guid} CLT-...", markup=False)


async def _processor_add(
    name: str, owners_at_transactions: bool, numbers_as_strings: bool
) -> tuple[str, str]:
    async with opened() as services, services.db.transaction() as connection:
        guid = ids.new("PPR")
        await add_processor(
            connection,
            Processor(guid, name, owners_at_transactions, numbers_as_strings, False, services.clock.now()),
        )
        await _trace(services, connection, "processor.added", guid)
        return guid, await services.api_keys.issue(connection, guid)


@processors.command("list")
def processor_list(as_json: AsJson = False) -> None:
    """Lists the processors, oldest first.

    Example: coatcheck processor list --json
    """
    rows = [
        {
            "processor_id": processor.guid,
            "name": processor.name,
            "is_disabled": processor.is_disabled,
            "owners_at_transactions": processor.owners_at_transactions,
            "numbers_as_strings": processor.numbers_as_strings,
            "created_at": processor.created_at,
        }
        for processor in run(_read(list_processors))
    ]
    _show_list(
        rows, as_json, nothing='There is no processor yet. Add one: coatcheck processor add "Acme Pay"'
    )


@processors.command("rotate-key")
def processor_rotate_key(processor: ProcessorGuid, at_once: AtOnce = False, as_json: AsJson = False) -> None:
    """Makes a new API key and shows it, once; the old one works on for a day (setting key_overlap).

    Example: coatcheck processor rotate-key PPR-...
    """
    rotated = run(_rotate(processor, _found_processor, at_once))
    _show_new({"processor_id": processor, "api_key": rotated.api_key} | _end_of_old(rotated), as_json)


@processors.command("disable")
def processor_disable(processor: ProcessorGuid) -> None:
    """Refuses the processor's keys, and ends every token it holds, at once.

    Example: coatcheck processor disable PPR-...
    """
    run(_set_processor_disabled(processor, True))
    out.print("Disabled. `coatcheck processor enable` takes it back.")


@processors.command("enable")
def processor_enable(processor: ProcessorGuid) -> None:
    """Takes a disabling back.

    Example: coatcheck processor enable PPR-...
    """
    run(_set_processor_disabled(processor, False))
    out.print("Enabled.")


async def _set_processor_disabled(guid: str, is_disabled: bool) -> None:
    async with opened() as services, services.db.transaction() as connection:
        await _found_processor(connection, guid)
        await set_processor_disabled(connection, guid, is_disabled)
        await _trace(services, connection, "processor.disabled" if is_disabled else "processor.enabled", guid)


@processors.command("enable-for")
def processor_enable_for(processor: ProcessorGuid, client: ClientGuid, as_json: AsJson = False) -> None:
    """From now on the processor may redeem the client's codes.

    Example: coatcheck processor enable-for PPR-... CLT-...
    """
    run(_set_enabled_for(processor, client, True))
    if as_json:
        show_json({"processor_id": processor, "client_id": client, "is_enabled": True})
    else:
        out.print("It may redeem the client's codes from now on.")


@processors.command("disable-for")
def processor_disable_for(processor: ProcessorGuid, client: ClientGuid, as_json: AsJson = False) -> None:
    """Ends the processor's tokens at this one client, and its right to redeem the client's codes, at once.

    Example: coatcheck processor disable-for PPR-... CLT-...
    """
    run(_set_enabled_for(processor, client, False))
    if as_json:
        show_json({"processor_id": processor, "client_id": client, "is_enabled": False})
    else:
        out.print("Disabled for this client. `coatcheck processor enable-for` takes it back.")


async def _set_enabled_for(processor_guid: str, client_guid: str, is_enabled: bool) -> None:
    async with opened() as services, services.db.transaction() as connection:
        await _found_processor(connection, processor_guid)
        await _found_client(connection, client_guid)
        if is_enabled:
            await enable_processor(
                connection, client_guid=client_guid, processor_guid=processor_guid, now=services.clock.now()
            )
        else:
            await disable_processor(connection, client_guid=client_guid, processor_guid=processor_guid)
        action = "processor.enabled_for_client" if is_enabled else "processor.disabled_for_client"
        await _trace(services, connection, action, processor_guid, client_guid=client_guid)


def _named(name: str) -> str:
    if not name.strip():
        raise InvalidRequest("The name is empty. Give one that people know it by.")
    return name.strip()


async def _read(ask: Callable[[Connection], Awaitable[Any]]) -> Any:
    async with opened() as services, services.db.connection() as connection:
        return await ask(connection)


async def _rotate(guid: str, find: Callable[[Connection, str], Awaitable[object]], at_once: bool) -> Rotated:
    async with opened() as services, services.db.transaction() as connection:
        await find(connection, guid)
        return await services.api_keys.rotate(connection, guid, overlap=timedelta() if at_once else None)


async def _found_client(connection: Connection, guid: str) -> Client:
    try:
        return await find_client(connection, guid)
    except NotFound:
        raise NotFound(f"There is no client {guid}. `coatcheck client list` shows all.") from None


async def _found_processor(connection: Connection, guid: str) -> Processor:
    try:
        return await find_processor(connection, guid)
    except NotFound:
        raise NotFound(f"There is no processor {guid}. `coatcheck processor list` shows all.") from None


async def _trace(
    services: Services, connection: Connection, action: str, subject: str, *, client_guid: str | None = None
) -> None:
    await services.journal.record(
        connection, Entry(client_guid=client_guid, actor="operator", action=action, subject=subject)
    )


def _end_of_old(rotated: Rotated) -> dict[str, object]:
    return {"old_key_ends_at": rotated.old_expires_at.isoformat()}


def _show_new(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        show_json(facts)
        return
    show_facts(facts)
    out.print("The key is shown this once and kept nowhere.")


def _show_list(rows: list[dict[str, object]], as_json: bool, *, nothing: str) -> None:
    if as_json:
        show_json(rows)
    else:
        show_table(rows, nothing=nothing)
