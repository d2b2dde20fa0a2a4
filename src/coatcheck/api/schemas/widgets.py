"""Widget URLs."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from coatcheck.api.schemas.choices import ReferralSource, UseCases
from coatcheck.api.schemas.members import DataRequest
from coatcheck.http.decoding import Guid, Line, RequestSchema

WidgetMode: TypeAlias = Literal["aggregation", "verification"]
ColorScheme: TypeAlias = Literal["light", "dark", "browser"]


class ConnectWidgetRequest(RequestSchema, frozen=True, kw_only=True):
    """The options of both widget requests. Null selects the widget's default."""

    client_redirect_url: Line | None = None
    color_scheme: ColorScheme | None = None
    current_institution_code: Line | None = None
    current_institution_guid: Guid | None = None
    current_member_guid: Guid | None = None
    current_microdeposit_guid: Guid | None = None
    data_request: DataRequest | None = None
    disable_background_agg: bool | None = None
    disable_institution_search: bool | None = None
    enable_app2app: bool | None = None
    include_identity: bool | None = None
    include_transactions: bool | None = None
    is_mobile_webview: bool | None = None
    iso_country_code: Annotated[tuple[Line, ...], Meta(max_length=10)] | None = None
    locale: Line | None = None
    mode: WidgetMode | None = None
    oauth_referral_source: ReferralSource | None = None
    ui_message_version: Literal[4] | None = None
    ui_message_webview_url_scheme: Line | None = None
    update_credentials: bool | None = None
    use_cases: UseCases | None = None


class WidgetRequest(ConnectWidgetRequest, frozen=True, kw_only=True):
    widget_type: Line


class WidgetRequestBody(RequestSchema, frozen=True, kw_only=True):
    widget_url: WidgetRequest


class ConnectWidgetRequestBody(RequestSchema, frozen=True, kw_only=True):
    config: ConnectWidgetRequest = field(default_factory=ConnectWidgetRequest)


class WidgetResponse(Struct, frozen=True):
    type: str
    url: str
    user_id: str | None


class WidgetResponseBody(Struct, frozen=True):
    widget_url: WidgetResponse


class ConnectWidgetResponse(Struct, frozen=True):
    connect_widget_url: str
    guid: str


class ConnectWidgetResponseBody(Struct, frozen=True):
    user: ConnectWidgetResponse


def widget_body(*, widget_type: str, url: str, user_id: str | None) -> WidgetResponseBody:
    return WidgetResponseBody(WidgetResponse(widget_type, url, user_id))


def connect_widget_body(*, url: str, user_guid: str) -> ConnectWidgetResponseBody:
    return ConnectWidgetResponseBody(ConnectWidgetResponse(url, user_guid))
