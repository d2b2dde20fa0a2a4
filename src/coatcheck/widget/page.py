"""The page itself: a link is opened, this once, and swapped for a session that lives in the page alone.

    GET /md/connect/<secret>  --the link opens-->  the page, with a session's token and what it begins with
                              `--it does not--->   410, and nothing to go on with

No cookie: third-party frames lose them. Nothing in the URL: that of the page is replaced by its own script.
"""

from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from urllib.parse import urlsplit

import msgspec
import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import JobKind
from coatcheck.db.database import Connection
from coatcheck.errors import InvalidToken, NotFound, Unavailable
from coatcheck.grants.links import LinkKind
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.message_page import message
from coatcheck.http.widget_link import PATH, WidgetOptions
from coatcheck.model.clients import find_client
from coatcheck.model.widgets import WidgetLook, widget_look
from coatcheck.vault.vault import SecretKind, WorkerReader
from coatcheck.widget.compression import compressed
from coatcheck.widget.handlers import starting
from coatcheck.widget.messages import LATER, LINK_OVER, NO_SCRIPT, TITLE, choose_locale, say
from coatcheck.widget.oauth_return import STYLE_PATH
from coatcheck.widget.page_texts import page_texts
from coatcheck.widget.request import WidgetRequest
from coatcheck.widget.schemas import Boot, Client
from coatcheck.widget.static_files import Statics

ESCAPES = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})
"""So that nothing inside a script element can end it."""

PRODUCTS = {
    JobKind.AGGREGATION: "transactions",
    JobKind.VERIFICATION: "account_verification",
    JobKind.IDENTIFICATION: "identity_verification",
    JobKind.HISTORY: "transaction_history",
    JobKind.STATEMENT: "statements",
}
"""MX's words for what each job brings."""

TEMPLATE = Environment(
    loader=FileSystemLoader(str(files("coatcheck.widget") / "templates")),
    autoescape=True,
    undefined=StrictUndefined,
).get_template("page.html")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """What stands on the page."""

    boot: Boot
    color_scheme: str
    look: WidgetLook


def page_routes(services: Services, statics: Statics) -> list[BaseRoute]:
    return [
        Route(PATH + "{secret}", partial(_open, services, statics), methods=["GET"]),
        Route(PATH.rstrip("/"), partial(_open, services, statics), methods=["GET"]),
    ]


async def _open(services: Services, statics: Statics, request: Request) -> Response:
    locale = choose_locale(request.headers.get("accept-language"))
    if request.method == "HEAD":
        # A look without a click must not use up the link.
        return Response(status_code=405, headers={"Allow": "GET", "Cache-Control": "no-store"})
    if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
        return _sorry(503, locale, LATER)
    try:
        async with services.db.transaction() as connection:
            opened = await _swap(
                services, connection, statics, request, request.path_params.get("secret", "")
            )
    except (NotFound, InvalidToken):
        return _sorry(410, locale, LINK_OVER)
    except Unavailable:
        return _sorry(503, locale, LATER)
    return compressed(request, _page(statics, opened))


async def _swap(
    services: Services, connection: Connection, statics: Statics, request: Request, secret: str
) -> Opened:
    """Opens the link and starts a session with what was sealed under it.

    Raises:
        NotFound: the link is unknown, expired or used, or whom it is for is gone.
        InvalidToken: whom it is for, or whose user that is, is disabled.
    """
    link = await services.links.open(connection, LinkKind.WIDGET, secret)
    kept = await services.vault.disclose_secret(
        connection,
        owner_guid=link.user_guid,
        record_guid=link.guid,
        kind=SecretKind.LINK,
        reader=WorkerReader(link.guid, link.client_guid),
    )
    if kept is None:
        raise NotFound
    await services.vault.delete(connection, owner_guid=link.user_guid, record_guid=link.guid)
    options = msgspec.json.decode(kept, type=WidgetOptions)
    locale = choose_locale(options.locale, request.headers.get("accept-language"))
    session, token = await services.widget_sessions.start(
        connection, link, options=kept.decode(), locale=locale
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
    client = await find_client(connection, link.client_guid)
    look = await widget_look(connection, link.client_guid)
    boot = Boot(
        session_token=token,
        session_guid=session.guid,
        user_guid=link.user_guid,
        locale=locale,
        config=config(services, options),
        client=Client(guid=client.guid, name=client.name, logo_url=look.logo, accent_color=look.accent_color),
        target_origins=look.origins or [_own_origin(services)],
        messages=page_texts(locale),
        static=statics.base,
        start=await starting.start(WidgetRequest(services, connection, session, path={}, query={}, body=b"")),
    )
    return Opened(boot, options.color_scheme, look)


def config(services: Services, options: WidgetOptions) -> dict[str, object]:
    """Every option, settled, in the names the client asked with."""
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


def _page(statics: Statics, opened: Opened) -> Response:
    boot = opened.boot
    page = TEMPLATE.render(
        lang=boot.locale,
        color_scheme=opened.color_scheme,
        title=say(boot.locale, TITLE),
        noscript=say(boot.locale, NO_SCRIPT),
        loading=boot.messages["loading"],
        static=statics.base,
        modules=statics.modules,
        boot=Markup(msgspec.json.encode(boot).decode().translate(ESCAPES)),  # noqa: S704 (escaped just here)
    )
    headers = page_headers(Policy.WIDGET, ancestors=" ".join(opened.look.origins) or "'self'")
    return HTMLResponse(page, headers=headers)


def _own_origin(services: Services) -> str:
    parts = urlsplit(services.settings.base_url)
    return f"{parts.scheme}://{parts.netloc}"


def _sorry(status: int, locale: str, words: tuple[str, str]) -> Response:
    """Nothing can be clicked there, so anybody may frame it: it is wherever the widget would have been."""
    title, text = (say(locale, each) for each in words)
    return message(status, title, text, style=STYLE_PATH, lang=locale, ancestors="*")
