"""Opening a link to the widget. A link works once, and starts a session whose token exists only in the page."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.grants.widget_sessions import WidgetSession
from coatcheck.http.i18n import choose_locale
from coatcheck.members.widget_links import WidgetOptions
from coatcheck.model.clients import find_client
from coatcheck.model.widgets import WidgetAppearance, widget_appearance
from coatcheck.widget.handlers import start
from coatcheck.widget.page_texts import page_texts
from coatcheck.widget.request import WidgetRequest
from coatcheck.widget.schemas import Boot, Client

PRODUCTS = {
    JobKind.AGGREGATION: "transactions",
    JobKind.VERIFICATION: "account_verification",
    JobKind.IDENTIFICATION: "identity_verification",
    JobKind.HISTORY: "transaction_history",
    JobKind.STATEMENT: "statements",
}
"""MX's names for what each job reads."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The data of the page."""

    boot: Boot
    color_scheme: str
    appearance: WidgetAppearance


async def open_link(
    services: Services, connection: Connection, secret: str, *, accept_language: str | None, static: str
) -> Opened:
    """Opens the link and starts a session with the options that are sealed under it.

    Args:
        services: the application's parts.
        connection: the caller's transaction.
        secret: the secret in the URL of the link.
        accept_language: the browser's languages, for a link without one.
        static: the path below which the widget's files are served.

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
    await services.journal.record(
        connection,
        Entry(
            client_guid=link.client_guid,
            actor=link.user_guid,
            action="widget.opened",
            subject=session.guid,
            detail={"link_guid": link.guid},
        ),
    )
    appearance = await widget_appearance(connection, link.client_guid)
    boot = await _boot(services, connection, session, token=token, appearance=appearance, static=static)
    return Opened(boot, options.color_scheme, appearance)


async def _boot(
    services: Services,
    connection: Connection,
    session: WidgetSession,
    *,
    token: str,
    appearance: WidgetAppearance,
    static: str,
) -> Boot:
    client = await find_client(connection, session.client_guid)
    request = WidgetRequest(services, connection, session, path={}, query={}, body=b"")
    return Boot(
        session_token=token,
        session_guid=session.guid,
        user_guid=session.user_guid,
        locale=session.locale,
        config=config(services, request.options),
        client=Client(
            guid=client.guid, name=client.name, logo_url=appearance.logo, accent_color=appearance.accent_color
        ),
        target_origins=appearance.origins or [_own_origin(services)],
        messages=page_texts(session.locale),
        static=static,
        start=await start.read(request),
    )


def config(services: Services, options: WidgetOptions) -> dict[str, object]:
    """All options with their defaults, under the names in the client's request."""
    code, return_target = options.current_institution_code, options.return_target
    return {
        "mode": "verification" if JobKind.VERIFICATION in options.kinds else "aggregation",
        "products": [PRODUCTS[kind] for kind in options.kinds],
        "include_transactions": options.include_transactions,
        "include_identity": JobKind.IDENTIFICATION in options.kinds,
        "color_scheme": options.color_scheme,
        "current_institution_code": code,
        "current_institution_guid": services.registry.find(code).guid if code else None,
        "current_member_guid": options.current_member_guid,
        "current_microdeposit_guid": options.current_microdeposit_guid,
        "update_credentials": options.update_credentials,
        "disable_institution_search": options.disable_institution_search,
        "iso_country_code": options.iso_country_codes,
        "use_cases": options.use_cases,
        "is_mobile_webview": options.is_mobile_webview,
        "oauth_referral_source": return_target.referral_source or "BROWSER",
        "client_redirect_url": return_target.client_redirect_url,
        "ui_message_version": options.ui_message_version,
        "ui_message_webview_url_scheme": return_target.ui_message_webview_url_scheme or "mx",
    }


def _own_origin(services: Services) -> str:
    parts = urlsplit(services.settings.base_url)
    return f"{parts.scheme}://{parts.netloc}"
