"""SQL statements that write clients and their widget settings."""

from collections.abc import Sequence

from coatcheck.db.database import Connection, run
from coatcheck.errors import NotFound
from coatcheck.model.clients import Client
from coatcheck.model.widgets import WidgetAppearance


async def add_client(connection: Connection, client: Client) -> None:
    await run(
        connection,
        """INSERT INTO client (guid, name, webhook_url, is_disabled, created_at)
           VALUES (%(guid)s, %(name)s, %(webhook_url)s, %(is_disabled)s, %(created_at)s)""",
        {name: getattr(client, name) for name in Client.__slots__},
    )


async def set_client_disabled(connection: Connection, guid: str, is_disabled: bool) -> None:
    """Enables or disables the client. Every read by a token checks this flag.

    Raises:
        NotFound: there is no such client.
    """
    await _update(connection, guid, "is_disabled = %(value)s", is_disabled)


async def set_client_webhook_url(connection: Connection, guid: str, webhook_url: str | None) -> None:
    """Sets the URL of the client's webhooks. None: no webhook is sent.

    Raises:
        NotFound: there is no such client.
    """
    await _update(connection, guid, "webhook_url = %(value)s", webhook_url)


async def set_client_networks(connection: Connection, guid: str, networks: Sequence[str] | None) -> None:
    """Sets from where the client's API keys are accepted. None: from everywhere.

    Raises:
        NotFound: there is no such client.
    """
    await _update(connection, guid, "allowed_networks = %(value)s::cidr[]", networks)


async def set_client_redirect_urls(connection: Connection, guid: str, urls: Sequence[str] | None) -> None:
    """Sets to where the client's end users may be sent back. None: to any URL.

    Raises:
        NotFound: there is no such client.
    """
    await _update(connection, guid, "redirect_urls = %(value)s", urls)


async def lock_client(connection: Connection, guid: str) -> None:
    """Locks the client, so that its settings can be read and changed.

    Raises:
        NotFound: there is no such client.
    """
    # NO KEY: rows that reference the client may be inserted meanwhile.
    if not await run(
        connection, "SELECT FROM client WHERE guid = %(guid)s FOR NO KEY UPDATE", {"guid": guid}
    ):
        raise NotFound


async def put_widget_appearance(
    connection: Connection, client_guid: str, appearance: WidgetAppearance
) -> None:
    """Replaces all of the client's widget settings."""
    await run(
        connection,
        """INSERT INTO client_widget (client_guid, origins, accent_color, logo, privacy_url)
           VALUES (%(client_guid)s, %(origins)s, %(accent_color)s, %(logo)s, %(privacy_url)s)
           ON CONFLICT (client_guid) DO UPDATE
           SET origins = excluded.origins, accent_color = excluded.accent_color, logo = excluded.logo,
               privacy_url = excluded.privacy_url""",
        {
            "client_guid": client_guid,
            **{name: getattr(appearance, name) for name in WidgetAppearance.__slots__},
        },
    )


async def _update(connection: Connection, guid: str, assignment: str, value: object) -> None:
    if not await run(
        connection,
        f"UPDATE client SET {assignment} WHERE guid = %(guid)s",
        {"guid": guid, "value": value},
    ):
        raise NotFound
