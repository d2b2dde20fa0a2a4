"""How a client's widget looks, and which pages may embed it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one, run
from coatcheck.errors import InvalidRequest

ORIGIN = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::(?:\d{1,5}|\*))?"
)
"""An origin as a browser writes it (RFC 6454 6.2), or one with any port."""
COLOR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
URL = re.compile(r"https?://[!-~]{1,900}")

LOCAL: Sequence[str] = ("http://localhost:*", "http://127.0.0.1:*")
"""Every page of this machine: what a sandbox's client starts with, so that the first try works from any port. Nobody
else's page can have such an origin, and a sandbox holds made-up data alone."""


@dataclass(frozen=True, slots=True)
class WidgetLook:
    """What a client set; a client that set nothing has the defaults.

    Raises:
        InvalidRequest: a value could not be used, or must not stand in a header.
    """

    origins: list[str] = field(default_factory=list)
    """Whose pages may frame the widget and hear from it; a port of `*` is any. None: our own alone."""
    accent_color: str | None = None
    logo: str | None = None
    """A `data:` URI."""
    privacy_url: str | None = None

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise InvalidRequest(f"{origin} is not an origin such as https://app.example.")
        if self.accent_color is not None and not COLOR.fullmatch(self.accent_color):
            raise InvalidRequest("The accent colour is #rgb or #rrggbb.")
        if self.privacy_url is not None and not URL.fullmatch(self.privacy_url):
            raise InvalidRequest("The privacy URL is not an http or https URL.")


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


async def widget_look(connection: Connection, client_guid: str) -> WidgetLook:
    found = await fetch_one(
        connection,
        WidgetLook,
        f"SELECT {columns(WidgetLook)} FROM client_widget WHERE client_guid = %(client_guid)s",
        {"client_guid": client_guid},
    )
    return found or WidgetLook()


async def put_widget_look(connection: Connection, client_guid: str, look: WidgetLook) -> None:
    """Writes the whole of it, over what was there."""
    await run(
        connection,
        """INSERT INTO client_widget (client_guid, origins, accent_color, logo, privacy_url)
           VALUES (%(client_guid)s, %(origins)s, %(accent_color)s, %(logo)s, %(privacy_url)s)
           ON CONFLICT (client_guid) DO UPDATE
           SET origins = excluded.origins, accent_color = excluded.accent_color, logo = excluded.logo,
               privacy_url = excluded.privacy_url""",
        {"client_guid": client_guid, **{name: getattr(look, name) for name in WidgetLook.__slots__}},
    )


async def readers_of(connection: Connection, client_guid: str) -> Sequence[str]:
    """The names of the processors that the client may let read, in order."""
    found = await fetch_all(
        connection,
        _Name,
        """SELECT p.name FROM client_processor cp JOIN processor p ON p.guid = cp.processor_guid
           WHERE cp.client_guid = %(client_guid)s AND NOT p.is_disabled ORDER BY p.name""",
        {"client_guid": client_guid},
    )
    return [each.name for each in found]
