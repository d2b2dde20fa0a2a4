"""The data that the page starts with."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from coatcheck.app import Services
from coatcheck.connectors.contract import JobKind
from coatcheck.members.widget_links import WidgetOptions
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


async def read(request: WidgetRequest) -> Boot:
    """Of a session that goes on after the page was loaded again."""
    return await boot_with(request, await widget_appearance(request.connection, request.session.client_guid))


async def boot_with(request: WidgetRequest, appearance: WidgetAppearance) -> Boot:
    """Of a session whose client has this appearance."""
    session, client = request.session, await request.client()
    return Boot(
        session_guid=session.guid,
        user_guid=session.user_guid,
        locale=session.locale,
        config=config_of(request.services, request.options),
        client=Client(
            guid=client.guid, name=client.name, logo_url=appearance.logo, accent_color=appearance.accent_color
        ),
        target_origins=appearance.origins or [_own_origin(request.services)],
        messages=_texts(request),
        start=await start.read(request),
    )


def _texts(request: WidgetRequest) -> Mapping[str, str]:
    """The texts of the screens that the session can show: every page waits for its texts."""
    has_deposits = request.has_micro_deposits or request.options.current_microdeposit_guid is not None
    offers = {"files.": request.has_statement_files, "microdeposits.": has_deposits}
    unused = tuple(prefix for prefix, is_offered in offers.items() if not is_offered)
    return {key: text for key, text in page_texts(request.locale).items() if not key.startswith(unused)}


def config_of(services: Services, options: WidgetOptions) -> dict[str, object]:
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
        "select_several_accounts": options.select_several_accounts,
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
