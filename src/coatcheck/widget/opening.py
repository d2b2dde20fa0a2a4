"""Opening a link to the widget. A link works once, and starts a session whose token exists only in the page."""

from dataclasses import dataclass

from msgspec import structs

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.db.database import Connection
from coatcheck.http.i18n import choose_locale
from coatcheck.model.widgets import WidgetAppearance, widget_appearance
from coatcheck.widget.handlers import boot
from coatcheck.widget.handlers.start import continue_consent
from coatcheck.widget.request import WidgetRequest
from coatcheck.widget.schemas import OpenedBoot


@dataclass(frozen=True, slots=True)
class Opened:
    """The data of the page."""

    boot: OpenedBoot
    color_scheme: str
    appearance: WidgetAppearance


async def open_link(
    services: Services, connection: Connection, secret: str, *, accept_language: str | None
) -> Opened:
    """Opens the link and starts a session with the options that are sealed under it.

    Args:
        services: the application's parts.
        connection: the caller's transaction.
        secret: the secret in the URL of the link.
        accept_language: the browser's languages, for a link without one.

    Raises:
        NotFound: the link is unknown, expired or used, or its user or client was deleted.
        InvalidToken: its user or client is disabled.
    """
    opened = await services.widget_links.open(connection, secret)
    link, options = opened.link, opened.options
    session, token = await services.widget_sessions.start(
        connection,
        link,
        options=options.encode().decode(),
        locale=choose_locale(options.locale, accept_language),
    )
    request = await continue_consent(
        WidgetRequest(services, connection, session, path={}, query={}, body=b"")
    )
    earlier = request.session.earlier_disclosure_guid
    await services.journal.record(
        connection,
        Entry(
            client_guid=link.client_guid,
            actor=link.user_guid,
            action="widget.opened",
            subject=session.guid,
            detail={"link_guid": link.guid, **({"disclosure_guid": earlier} if earlier else {})},
        ),
    )
    appearance = await widget_appearance(connection, link.client_guid)
    data = await boot.boot_with(request, appearance)
    return Opened(OpenedBoot(**structs.asdict(data), session_token=token), options.color_scheme, appearance)
