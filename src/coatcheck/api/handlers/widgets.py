"""Widget URLs, which can be loaded once."""

from collections.abc import Iterator
from contextlib import contextmanager

from coatcheck.api.products import job_kinds
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.widgets import (
    ConnectWidgetRequest,
    ConnectWidgetRequestBody,
    ConnectWidgetResponseBody,
    WidgetRequestBody,
    WidgetResponseBody,
    connect_widget_body,
    widget_body,
)
from coatcheck.api.versions import Version
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.http.decoding import parse
from coatcheck.members.return_target import ReturnTarget
from coatcheck.members.widget_links import WidgetOptions
from coatcheck.model.members import find_member
from coatcheck.model.micro_deposits import find_micro_deposit
from coatcheck.model.users import User

CONNECT = "connect_widget"
MAX_LOCALE = 100


async def request_url(request: ApiRequest) -> WidgetResponseBody:
    """Only the connect widget is available; MX's other widgets are for personal finance management."""
    fields = parse(request.body, WidgetRequestBody).widget_url
    if fields.widget_type != CONNECT:
        raise InvalidRequest(f"widget_type must be {CONNECT}; no other widget is available.")
    user = await request.readable_user()
    options = await _options(request, user, fields)
    url = await request.services.widget_links.create_url(request.connection, user, options)
    return widget_body(widget_type=CONNECT, url=url, user_id=user.id)


async def request_connect_url(request: ApiRequest) -> ConnectWidgetResponseBody:
    user = await request.readable_user()
    fields = parse(request.body, ConnectWidgetRequestBody).config
    options = await _options(request, user, fields)
    url = await request.services.widget_links.create_url(request.connection, user, options)
    return connect_widget_body(url=url, user_guid=user.guid)


async def _options(request: ApiRequest, user: User, fields: ConnectWidgetRequest) -> WidgetOptions:
    """The options of the request, with MX's defaults (MX docs: widget URL).

    Raises:
        NotFound: the institution does not exist, or the member or micro-deposit is not the user's.
        InvalidRequest: a value is not supported.
    """
    is_verification = fields.mode == "verification"
    include_transactions = (
        not is_verification if fields.include_transactions is None else fields.include_transactions
    )
    kinds = _kinds(fields, is_verification=is_verification, include_transactions=include_transactions)
    # In the other mode the user selects no account, so that none could have a code.
    if fields.select_several_accounts and JobKind.VERIFICATION not in kinds:
        raise InvalidRequest("select_several_accounts needs the mode verification.")
    source = fields.oauth_referral_source or ("APP" if fields.is_mobile_webview else "BROWSER")
    return WidgetOptions(
        kinds=kinds,
        include_transactions=include_transactions,
        background_aggregation_is_disabled=(
            is_verification if fields.disable_background_agg is None else fields.disable_background_agg
        ),
        return_target=ReturnTarget(
            referral_source=source,
            client_redirect_url=fields.client_redirect_url,
            ui_message_webview_url_scheme=fields.ui_message_webview_url_scheme,
        ),
        current_institution_code=_institution_code(request, fields),
        current_member_guid=await _member_guid(request, user, fields),
        current_microdeposit_guid=await _micro_deposit_guid(request, user, fields),
        update_credentials=fields.update_credentials or False,
        disable_institution_search=fields.disable_institution_search or False,
        select_several_accounts=fields.select_several_accounts or False,
        iso_country_codes=[code.upper() for code in fields.iso_country_code or ()],
        use_cases=None if fields.use_cases is None else list(fields.use_cases),
        is_mobile_webview=fields.is_mobile_webview or False,
        ui_message_version=fields.ui_message_version or 4,
        color_scheme=fields.color_scheme or "light",
        # An Accept-Language can be long, and only its first languages matter.
        locale=(fields.locale or request.headers.get("accept-language", ""))[:MAX_LOCALE] or None,
        callback_payload=request.callback_payload,
        announces_initial_data=request.version is Version.V20250224,
    )


def _kinds(
    fields: ConnectWidgetRequest, *, is_verification: bool, include_transactions: bool
) -> list[JobKind]:
    """The jobs of `data_request`; without it, the job of the mode and then those of the `include_` options."""
    if fields.data_request is not None:
        return job_kinds(fields.data_request.products)
    kinds = [JobKind.VERIFICATION if is_verification else JobKind.AGGREGATION]
    if is_verification and include_transactions:
        kinds.append(JobKind.AGGREGATION)
    if fields.include_identity:
        kinds.append(JobKind.IDENTIFICATION)
    return kinds


def _institution_code(request: ApiRequest, fields: ConnectWidgetRequest) -> str | None:
    institution = fields.current_institution_code or fields.current_institution_guid
    if not institution:
        return None
    with _naming(
        "current_institution_code" if fields.current_institution_code else "current_institution_guid"
    ):
        return request.services.registry.find(institution).code


async def _member_guid(request: ApiRequest, user: User, fields: ConnectWidgetRequest) -> str | None:
    if not fields.current_member_guid:
        return None
    with _naming("current_member_guid"):
        return (await find_member(request.connection, user.guid, fields.current_member_guid)).guid


async def _micro_deposit_guid(request: ApiRequest, user: User, fields: ConnectWidgetRequest) -> str | None:
    guid = fields.current_microdeposit_guid
    if not guid:
        return None
    with _naming("current_microdeposit_guid"):
        deposit = await find_micro_deposit(request.connection, request.client.guid, guid, user_guid=user.guid)
    return deposit.guid


@contextmanager
def _naming(option: str) -> Iterator[None]:
    """Names the option in the NotFound; the message does not say whether another client has the object."""
    try:
        yield
    except NotFound:
        raise NotFound(f"{option}: not found.") from None
