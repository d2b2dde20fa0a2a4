"""`coatcheck client`: the clients, their keys, their webhooks and their widgets."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from coatcheck import app
from coatcheck.audit.entries import OPERATOR
from coatcheck.cell_digit import FIRST, in_cell
from coatcheck.cells import cell as cells
from coatcheck.cli.api_keys import SHOWN_ONCE, AtOnce, Name, old_key_end, overlap_of
from coatcheck.cli.console import AsJson, print_done, print_facts, print_rows
from coatcheck.cli.lookups import ClientGuid, named_client
from coatcheck.cli.networks import AllowedNetworks, AllowsAll, is_change, print_networks
from coatcheck.cli.runtime import change, read
from coatcheck.db import database
from coatcheck.directory import clients as directory
from coatcheck.errors import ConstraintNotMet, InvalidRequest
from coatcheck.grants import api_keys
from coatcheck.model import clients, widgets

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Clients, which let their users link accounts."
)

LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@command_group.command("add")
def add(
    name: Name,
    cell: Annotated[
        str, typer.Option("--cell", help="The digit of the cell in which its users are created.")
    ] = FIRST,
    as_json: AsJson = False,
) -> None:
    """Adds a client and prints its API key, once.

    Example: coatcheck client add "Acme Bank"

    Example: coatcheck client add "Acme Bank" --cell 1
    """

    async def act(services: app.Services, connection: database.Connection) -> directory.NewClient:
        cells.check_digit({services.settings.cell, *services.settings.cells}, cell)
        with in_cell(cell):
            return await services.clients.add(connection, name, actor=OPERATOR)

    new = change(act)
    facts = {"client_id": new.client.guid, "client_api_key": new.api_key, "name": new.client.name}
    print_facts(facts, as_json=as_json, note=SHOWN_ONCE)


@command_group.command("list")
def list_(as_json: AsJson = False) -> None:
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
        for client in read(lambda _, connection: clients.list_clients(connection))
    ]
    print_rows(rows, as_json=as_json, empty='There is no client. Add one: coatcheck client add "Acme Bank"')


@command_group.command("rotate-key")
def rotate_key(client: ClientGuid, at_once: AtOnce = False, as_json: AsJson = False) -> None:
    """Issues a new API key and prints it, once. The old one works for another day (setting key_overlap).

    Example: coatcheck client rotate-key CLT-... --at-once
    """

    async def rotate(services: app.Services, connection: database.Connection) -> api_keys.Rotated:
        await named_client(connection, client)
        return await services.clients.rotate_key(connection, client, overlap=overlap_of(at_once))

    rotated = change(rotate)
    facts = {"client_id": client, "client_api_key": rotated.api_key} | old_key_end(rotated)
    print_facts(facts, as_json=as_json, note=SHOWN_ONCE)


@command_group.command("disable")
def disable(client: ClientGuid, as_json: AsJson = False) -> None:
    """Refuses the client's API keys, and every token on its users' data, at once.

    Example: coatcheck client disable CLT-...
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_client(connection, client)
        await services.clients.disable(connection, client, actor=OPERATOR)

    change(act)
    print_done(
        {"client_id": client, "is_disabled": True},
        f"Disabled. To enable it again: coatcheck client enable {client}",
        as_json=as_json,
    )


@command_group.command("networks")
def networks(
    client: ClientGuid, allowed: AllowedNetworks = None, remove: AllowsAll = False, as_json: AsJson = False
) -> None:
    """Shows from where the client's API keys are accepted. With networks, accepts them from there only.

    Example: coatcheck client networks CLT-... 203.0.113.0/24 2001:db8::/48
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_client(connection, client)
        await services.clients.set_allowed_networks(connection, client, allowed or None, actor=OPERATOR)

    async def find(_: app.Services, connection: database.Connection) -> Sequence[str] | None:
        await named_client(connection, client)
        return await clients.allowed_networks(connection, client)

    if is_change(allowed, remove=remove):
        change(act)
    print_networks({"client_id": client}, read(find), as_json=as_json)


@command_group.command("redirects")
def redirects(
    client: ClientGuid,
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL]...",
            help="URLs, in place of the earlier ones. Each is compared exactly. Without any, nothing changes.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Allow every URL.")] = False,
    as_json: AsJson = False,
) -> None:
    """Shows to which URLs the client's end users may be sent back (client_redirect_url). With URLs, to those only.

    Example: coatcheck client redirects CLT-... https://app.acme.example/connected
    """
    if urls and remove:
        raise typer.BadParameter("--remove takes no URLs.")

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_client(connection, client)
        await services.clients.set_redirect_urls(connection, client, urls or None, actor=OPERATOR)

    async def find(_: app.Services, connection: database.Connection) -> Sequence[str] | None:
        await named_client(connection, client)
        return await clients.redirect_urls(connection, client)

    if urls or remove:
        change(act)
    allowed = read(find)
    shown = "any" if allowed is None and not as_json else allowed
    print_facts({"client_id": client, "redirect_urls": shown}, as_json=as_json)


@command_group.command("enable")
def enable(client: ClientGuid, as_json: AsJson = False) -> None:
    """Enables a client that was disabled. Its tokens that have not expired work again.

    Example: coatcheck client enable CLT-...
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await named_client(connection, client)
        await services.clients.enable(connection, client, actor=OPERATOR)

    change(act)
    print_done({"client_id": client, "is_disabled": False}, "Enabled.", as_json=as_json)


@command_group.command("webhook")
def webhook(
    client: ClientGuid,
    url: Annotated[str | None, typer.Argument(help="An https:// URL. Without it, nothing changes.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Send no more webhooks to the client.")] = False,
    show_secret: Annotated[
        bool, typer.Option("--show-secret", help="Print the secret that signs the webhooks.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Shows where the client's webhooks are sent. With a URL, sends them there and prints the signing secret.

    Example: coatcheck client webhook CLT-... https://acme.example/webhooks
    """
    if remove and (url is not None or show_secret):
        raise typer.BadParameter("--remove takes no URL and no --show-secret.")
    if remove:
        change(lambda services, connection: _set_webhook(services, connection, client, None))
        print_done({"client_id": client, "webhook_url": None}, "No webhooks are sent.", as_json=as_json)
    elif url is not None:
        secret = change(lambda services, connection: _set_webhook(services, connection, client, url))
        _print_secret(client, url, secret, as_json)
    elif show_secret:
        shown_url, secret = change(lambda services, connection: _secret(services, connection, client))
        _print_secret(client, shown_url, secret, as_json)
    else:
        found = read(lambda _, connection: named_client(connection, client))
        print_facts({"client_id": client, "webhook_url": found.webhook_url}, as_json=as_json)


async def _set_webhook(
    services: app.Services, connection: database.Connection, guid: str, url: str | None
) -> str:
    """Returns the signing secret; empty where the URL is removed."""
    await named_client(connection, guid)
    await services.clients.set_webhook_url(connection, guid, url, actor=OPERATOR)
    if url is None:
        return ""
    return await services.clients.webhook_secret(connection, guid, reader=OPERATOR)


async def _secret(services: app.Services, connection: database.Connection, guid: str) -> tuple[str, str]:
    """The webhook URL and the signing secret."""
    client = await named_client(connection, guid)
    if client.webhook_url is None:
        raise ConstraintNotMet(
            f"The client has no webhook URL. Set one: coatcheck client webhook {guid} https://..."
        )
    return client.webhook_url, await services.clients.webhook_secret(connection, guid, reader=OPERATOR)


def _print_secret(guid: str, url: str, secret: str, as_json: bool) -> None:
    print_facts(
        {"client_id": guid, "webhook_url": url, "webhook_secret": secret},
        as_json=as_json,
        note="The receiver verifies the signature of each webhook with this secret (Standard Webhooks).",
    )


@command_group.command("widget")
def widget(
    client: ClientGuid,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="An origin whose pages may embed the widget, such as https://app.example. Can be repeated, and"
            " replaces the earlier ones."
        ),
    ] = None,
    accent: Annotated[str | None, typer.Option(help="A colour, such as '#0a7'; '' for the default.")] = None,
    logo: Annotated[
        str | None, typer.Option(metavar="FILE", help="An SVG or PNG of at most 16 kB; '' for none.")
    ] = None,
    privacy_url: Annotated[
        str | None, typer.Option(help="A page that the widget links to before consent; '' for none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Shows which pages may embed the client's widget and how it looks. With options, changes that.

    Example: coatcheck client widget CLT-... --origin https://app.example --accent '#0a7' --logo logo.svg
    """
    changes: dict[str, Any] = {}
    if origin is not None:
        changes["origins"] = widgets.canonical_origins(origin)
    if accent is not None:
        changes["accent_color"] = accent or None
    if logo is not None:
        changes["logo"] = _data_uri(Path(logo)) if logo else None
    if privacy_url is not None:
        changes["privacy_url"] = privacy_url or None
    if changes:
        appearance = change(
            lambda services, connection: _set_appearance(services, connection, client, changes)
        )
    else:
        appearance = read(lambda _, connection: _appearance(connection, client))
    _print_appearance(client, appearance, as_json)


async def _appearance(connection: database.Connection, guid: str) -> widgets.WidgetAppearance:
    await named_client(connection, guid)
    return await widgets.widget_appearance(connection, guid)


async def _set_appearance(
    services: app.Services, connection: database.Connection, guid: str, changes: dict[str, Any]
) -> widgets.WidgetAppearance:
    await named_client(connection, guid)
    return await services.clients.change_widget_appearance(connection, guid, changes, actor=OPERATOR)


def _print_appearance(guid: str, appearance: widgets.WidgetAppearance, as_json: bool) -> None:
    origins = appearance.origins if as_json or appearance.origins else "this server's own"
    print_facts(
        {
            "client_id": guid,
            "origins": origins,
            "accent_color": appearance.accent_color,
            "has_logo": appearance.logo is not None,
            "privacy_url": appearance.privacy_url,
        },
        as_json=as_json,
    )


def _data_uri(file: Path) -> str:
    """The picture as a `data:` URI."""
    media_type = LOGO_TYPES.get(file.suffix.lower())
    if media_type is None:
        raise InvalidRequest("The logo must be an .svg or a .png file.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"The logo {file} cannot be read: {error.strerror}.") from error
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
