"""The preview of the widget for the staff of a client, which its settings frame.

It is the widget without a session and without a client: the page around it sends the settings that it shows. Its policy
lets it send nothing, so that it can link nothing.
"""

from collections.abc import Sequence

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.app import Services
from coatcheck.connectors.contract import JobKind
from coatcheck.http.compression import COMPRESSED
from coatcheck.http.headers import Policy, page_headers
from coatcheck.http.i18n import choose_locale
from coatcheck.http.static_files import StaticFolder
from coatcheck.members.return_target import ReturnTarget
from coatcheck.members.widget_links import WidgetOptions
from coatcheck.model.mx_codes import FIELD_TYPE_IDS
from coatcheck.widget.handlers.boot import config_of
from coatcheck.widget.handlers.start import consent_of
from coatcheck.widget.i18n import translate
from coatcheck.widget.messages import FIELD_LABELS
from coatcheck.widget.page import render_page
from coatcheck.widget.page_texts import page_texts
from coatcheck.widget.presenters import logo_url
from coatcheck.widget.schemas import Boot, Client, Credential, Start
from coatcheck.widget.steps import Step

PATH = "/md/preview"
BANKS = 5
OPTIONS = WidgetOptions(
    kinds=[JobKind.VERIFICATION],
    include_transactions=True,
    background_aggregation_is_disabled=False,
    return_target=ReturnTarget(),
)


class ListedBank(Struct, frozen=True, kw_only=True):
    """What the list shows of a bank. Each opens a form: the preview opens no page of a bank."""

    guid: str
    code: str
    name: str
    url: str
    logo_url: str | None


class PreviewBoot(Boot, frozen=True, kw_only=True):
    institutions: Sequence[ListedBank]
    credentials: Sequence[Credential]
    """Of each of the banks."""


def preview_route(services: Services, static: StaticFolder) -> Route:
    async def answer(request: Request) -> Response:
        locale = choose_locale(request.query_params.get("locale"), request.headers.get("accept-language"))
        return render_page(
            preview_boot(services, locale),
            static.base,
            script="preview.js",
            color_scheme="light",
            headers=page_headers(Policy.WIDGET_PREVIEW, ancestors="'self'"),
        )

    return Route(PATH, answer, methods=["GET"], middleware=COMPRESSED)


def preview_boot(services: Services, locale: str) -> PreviewBoot:
    banks = services.registry.search(supports=OPTIONS.kinds)[:BANKS]
    return PreviewBoot(
        session_guid="",
        user_guid="",
        locale=locale,
        config=config_of(services, OPTIONS),
        client=Client(guid="", name="", logo_url=None, accent_color=None),
        target_origins=[],
        messages=page_texts(locale),
        start=Start(
            step=Step.CONSENT,
            member=None,
            institution=None,
            micro_deposit=None,
            members=[],
            consent_needed=True,
            consent=consent_of(services, OPTIONS, [], None),
            microdeposits_enabled=False,
            statement_files_enabled=False,
        ),
        institutions=[
            ListedBank(guid=each.guid, code=each.code, name=each.name, url=each.url, logo_url=logo_url(each))
            for each in banks
        ],
        credentials=[
            Credential(
                guid=name,
                label=translate(locale, label),
                field_name=name,
                field_type=FIELD_TYPE_IDS[name],
                display_order=order,
            )
            for order, (name, label) in enumerate(zip(("LOGIN", "PASSWORD"), FIELD_LABELS, strict=True))
        ],
    )
