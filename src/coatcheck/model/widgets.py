"""How a client's widget looks, and which pages may embed it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from coatcheck.db.database import Connection, columns, fetch_all, fetch_one
from coatcheck.errors import InvalidRequest

ORIGIN = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::(?:\d{1,5}|\*))?"
)
"""An origin as a browser writes it (RFC 6454 6.2), or one with any port."""
COLOR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
LOGO = re.compile(r"data:image/(?:svg\+xml|png);base64,([A-Za-z0-9+/]+)={0,2}")
MAX_LOGO_BYTES = 16 * 1024
"""The logo is part of every page of the widget."""
URL = re.compile(r"https?://[!-~]{1,900}")

LOCAL: Sequence[str] = ("http://localhost:*", "http://127.0.0.1:*")
"""The origins of a new sandbox's client: every page that the user's own machine serves, on any port. No remote page has
such an origin, and a sandbox holds generated data only."""


@dataclass(frozen=True, slots=True)
class WidgetAppearance:
    """The widget settings of a client.

    Raises:
        InvalidRequest: a value has the wrong form. The form also makes the values safe in a header.
    """

    origins: list[str] = field(default_factory=list)
    """The pages that may embed the widget and receive its messages; the port `*` means any port. Empty: only this
    server's own pages."""
    accent_color: str | None = None
    logo: str | None = None
    """An SVG or PNG as a `data:` URI: the page then loads it from no other host, and it runs no script."""
    privacy_url: str | None = None

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise InvalidRequest(f"{origin} is not an origin such as https://app.example.")
        if self.accent_color is not None and not COLOR.fullmatch(self.accent_color):
            raise InvalidRequest("The accent colour must be #rgb or #rrggbb.")
        if self.logo is not None:
            _check_logo(self.logo)
        if self.privacy_url is not None and not URL.fullmatch(self.privacy_url):
            raise InvalidRequest("The privacy URL must be an http or https URL.")


def canonical_origins(origins: Iterable[str]) -> list[str]:
    """The origins that are not empty, in lower case and each once."""
    return list(dict.fromkeys(each.strip().lower() for each in origins if each.strip()))


def _check_logo(logo: str) -> None:
    encoded = LOGO.fullmatch(logo)
    if encoded is None:
        raise InvalidRequest("The logo must be an SVG or a PNG picture.")
    if len(encoded[1]) * 3 // 4 > MAX_LOGO_BYTES:
        raise InvalidRequest("The logo must have at most 16 kB.")


@dataclass(frozen=True, slots=True)
class Reader:
    """A processor that may redeem the client's codes."""

    guid: str
    name: str


async def widget_appearance(connection: Connection, client_guid: str) -> WidgetAppearance:
    """The client's widget settings, or the defaults if it has none."""
    found = await fetch_one(
        connection,
        WidgetAppearance,
        f"SELECT {columns(WidgetAppearance)} FROM client_widget WHERE client_guid = %(client_guid)s",
        {"client_guid": client_guid},
    )
    return found or WidgetAppearance()


async def readers_of(connection: Connection, client_guid: str) -> Sequence[Reader]:
    """The processors that may redeem the client's codes, in the order of their names. Without apps."""
    return await fetch_all(
        connection,
        Reader,
        """SELECT p.guid, p.name FROM client_processor cp JOIN processor p ON p.guid = cp.processor_guid
           WHERE cp.client_guid = %(client_guid)s AND NOT p.is_disabled AND p.app_of IS NULL
           ORDER BY p.name, p.guid""",
        {"client_guid": client_guid},
    )
