"""Widget URLs."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from coatcheck.api.schemas.choices import ReferralSource, UseCases
from coatcheck.api.schemas.members import DataRequest
from coatcheck.http.decoding import Guid, Line, RequestSchema
from coatcheck.http.doc import UserGuid, UserOwnId, doc

WidgetMode: TypeAlias = Literal["aggregation", "verification"]
ColorScheme: TypeAlias = Literal["light", "dark", "browser"]


class ConnectWidgetRequest(RequestSchema, frozen=True, kw_only=True):
    """The options of both widget requests. Null selects the widget's default."""

    client_redirect_url: Annotated[
        Line | None,
        doc(
            "The URL to which an app's user is redirected after the sign-in at a bank. It must be one that "
            "the operator registered."
        ),
    ] = None
    color_scheme: Annotated[ColorScheme | None, doc("The colours; `browser` follows the user's setting.")] = (
        None
    )
    current_institution_code: Annotated[Line | None, doc("Opens the widget at this institution.")] = None
    current_institution_guid: Annotated[Guid | None, doc("The same by guid.")] = None
    current_member_guid: Annotated[
        Guid | None, doc("Opens the widget at this member, to repair or to verify it.")
    ] = None
    current_microdeposit_guid: Annotated[Guid | None, doc("Opens the widget at this micro-deposit.")] = None
    data_request: Annotated[DataRequest | None, doc("The products to read, a field of v20250224.")] = None
    disable_background_agg: Annotated[bool | None, doc("Whether the new member is not read daily.")] = None
    disable_institution_search: Annotated[
        bool | None, doc("Whether the user cannot choose another institution than the given one.")
    ] = None
    enable_app2app: Annotated[bool | None, doc("Has no effect: no institution opens its own app.")] = None
    include_identity: Annotated[bool | None, doc("Whether the owners are read too.")] = None
    include_transactions: Annotated[bool | None, doc("Whether transactions are read.")] = None
    is_mobile_webview: Annotated[
        bool | None,
        doc(
            "Whether the widget is shown in an app's web view, which receives its events as URLs or messages."
        ),
    ] = None
    iso_country_code: Annotated[
        Annotated[tuple[Line, ...], Meta(max_length=10)] | None, doc("Only institutions of these countries.")
    ] = None
    locale: Annotated[Line | None, doc("The language.", "en")] = None
    mode: Annotated[WidgetMode | None, doc("`verification` reads account numbers.", "verification")] = None
    oauth_referral_source: Annotated[
        ReferralSource | None, doc("Whether the sign-in at a bank returns to a browser or to an app.")
    ] = None
    select_several_accounts: Annotated[
        bool | None,
        doc(
            "Whether the user selects one or several accounts, and no other account can have codes. It needs "
            "the mode `verification`."
        ),
    ] = None
    ui_message_version: Annotated[
        Literal[4] | None, doc("The version of the events that the widget posts.")
    ] = None
    ui_message_webview_url_scheme: Annotated[
        Line | None, doc("The URL scheme of the app that receives the events.")
    ] = None
    update_credentials: Annotated[bool | None, doc("Opens the form for new credentials of the member.")] = (
        None
    )
    use_cases: Annotated[UseCases | None, doc("What the client uses the data for.")] = None


class WidgetRequest(ConnectWidgetRequest, frozen=True, kw_only=True):
    widget_type: Annotated[Line, doc("Always `connect_widget`.", "connect_widget")]


class WidgetRequestBody(RequestSchema, frozen=True, kw_only=True):
    widget_url: Annotated[WidgetRequest, doc("The options of the widget.")]


class ConnectWidgetRequestBody(RequestSchema, frozen=True, kw_only=True):
    config: Annotated[ConnectWidgetRequest, doc("The options of the widget.", {"mode": "verification"})] = (
        field(default_factory=ConnectWidgetRequest)
    )


class WidgetResponse(Struct, frozen=True):
    type: Annotated[str, doc("The type that was requested.", "connect_widget")]
    url: Annotated[
        str,
        doc(
            "The address of the page. It can be loaded once, within ten minutes.",
            "https://coatcheck.test/md/connect/cwl_...",
        ),
    ]
    user_id: UserOwnId


class WidgetResponseBody(Struct, frozen=True):
    widget_url: Annotated[WidgetResponse, doc("The address of the widget.")]


class ConnectWidgetResponse(Struct, frozen=True):
    connect_widget_url: Annotated[
        str,
        doc(
            "The address of the page. It can be loaded once, within ten minutes.",
            "https://coatcheck.test/md/connect/cwl_...",
        ),
    ]
    guid: UserGuid


class ConnectWidgetResponseBody(Struct, frozen=True):
    user: Annotated[ConnectWidgetResponse, doc("The user, with the address of the widget.")]


def widget_body(*, widget_type: str, url: str, user_id: str | None) -> WidgetResponseBody:
    return WidgetResponseBody(WidgetResponse(widget_type, url, user_id))


def connect_widget_body(*, url: str, user_guid: str) -> ConnectWidgetResponseBody:
    return ConnectWidgetResponseBody(ConnectWidgetResponse(url, user_guid))
