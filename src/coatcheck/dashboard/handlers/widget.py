"""A client's widget: how it looks, with a preview, and which pages may embed it."""

from typing import Any

from starlette.responses import Response

from coatcheck.dashboard.request import DashboardRequest
from coatcheck.model.clients import find_client
from coatcheck.model.widgets import canonical_origins, readers_of, widget_appearance

LANGUAGES = (("en", "English"), ("es", "Español"), ("fr-CA", "Français (Canada)"))


async def show_settings(request: DashboardRequest) -> Response:
    """The settings, and the page of the widget that shows them while they are typed."""
    async with request.services.db.connection() as connection:
        client = await find_client(connection, request.client_guid)
        appearance = await widget_appearance(connection, client.guid)
        readers = await readers_of(connection, client.guid)
    return request.page(
        "widget",
        client=client,
        appearance=appearance,
        reader_names=[each.name for each in readers],
        languages=LANGUAGES,
    )


async def change_look(request: DashboardRequest) -> Response:
    """Sets the colour, the logo and the privacy page.

    Raises:
        InvalidRequest: one of them is not valid.
    """
    names = ("accent_color", "logo", "privacy_url")
    await _change(request, **{name: request.field(name).strip() or None for name in names})
    return request.redirect("/widget")


async def show_origins(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        appearance = await widget_appearance(connection, request.client_guid)
    return request.page("widget_origins", origins=appearance.origins)


async def change_origins(request: DashboardRequest) -> Response:
    """Sets the pages that may embed the widget.

    Raises:
        InvalidRequest: one is not an origin.
    """
    await _change(request, origins=canonical_origins(request.field("origins").split()))
    return request.redirect("/widget")


async def _change(request: DashboardRequest, **changes: Any) -> None:
    async with request.services.db.transaction() as connection:
        await request.services.clients.change_widget_appearance(
            connection, request.client_guid, changes, actor=request.actor
        )
