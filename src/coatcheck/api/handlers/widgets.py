"""The single-use link that loads the widget for a user."""

from collections.abc import Iterator
from contextlib import contextmanager

from coatcheck.api.products import job_kinds
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas import requests
from coatcheck.api.schemas.requests import ConnectWidgetBody, WidgetBody, parse
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.http.widget_link import WidgetOptions, create_widget_url
from coatcheck.members.return_target import ReturnTarget
from coatcheck.model.members import find_member
from coatcheck.model.micro_deposits import find_micro_deposit
from coatcheck.model.users import User

CONNECT = "connect_widget"
MAX_LOCALE = 100


async def request_url(request: ApiRequest) -> bytes:
    """Only the connect widget is served; the others are for the end user's own finances."""
    wanted = parse(request.body, WidgetBody).widget_url
    if wanted.widget_type != CONNECT:
        raise InvalidRequest(f"widget_type is {CONNECT}: there is no other widget here.")
    user = await request.readable_user()
    url = await create_widget_url(
        request.services, request.connection, user, await _options(request, user, wanted)
    )
    return request.presenter.show_widget_url(widget_type=CONNECT, url=url, user_id=user.id)


async def request_connect_url(request: ApiRequest) -> bytes:
    user = await request.readable_user()
    wanted = parse(request.body, ConnectWidgetBody).config
    url = await create_widget_url(
        request.services, request.connection, user, await _options(request, user, wanted)
    )
    return request.presenter.show_connect_widget_url(url=url, user_guid=user.guid)


async def _options(request: ApiRequest, user: User, wanted: requests.WidgetOptions) -> WidgetOptions:
    """What was asked for, with MX's defaults for what was not (MX docs: widget URL).

    Raises:
        NotFound: the institution is none of ours, or the member or micro-deposit is none of the user's.
        InvalidRequest: a value cannot be heeded.
    """
    mode = wanted.mode or "aggregation"
    is_verification = mode == "verification"
    include_transactions = (
        not is_verification if wanted.include_transactions is None else wanted.include_transactions
    )
    source = wanted.oauth_referral_source or ("APP" if wanted.is_mobile_webview else "BROWSER")
    return WidgetOptions(
        widget_type=CONNECT,
        mode=mode,
        kinds=_kinds(wanted, is_verification=is_verification, include_transactions=include_transactions),
        include_transactions=include_transactions,
        background_aggregation_is_disabled=(
            is_verification if wanted.disable_background_agg is None else wanted.disable_background_agg
        ),
        return_target=ReturnTarget(
            referral_source=source,
            client_redirect_url=wanted.client_redirect_url,
            ui_message_webview_url_scheme=wanted.ui_message_webview_url_scheme,
        ),
        current_institution_code=_institution_code(request, wanted),
        current_member_guid=await _member_guid(request, user, wanted),
        current_microdeposit_guid=await _micro_deposit_guid(request, user, wanted),
        update_credentials=wanted.update_credentials or False,
        disable_institution_search=wanted.disable_institution_search or False,
        iso_country_codes=[code.upper() for code in wanted.iso_country_code or ()],
        use_cases=None if wanted.use_cases is None else list(wanted.use_cases),
        is_mobile_webview=wanted.is_mobile_webview or False,
        ui_message_version=wanted.ui_message_version or 4,
        color_scheme=wanted.color_scheme or "light",
        locale=(wanted.locale or request.headers.get("accept-language", ""))[:MAX_LOCALE] or None,
        callback_payload=request.callback_payload,
    )


def _kinds(
    wanted: requests.WidgetOptions, *, is_verification: bool, include_transactions: bool
) -> list[JobKind]:
    """`data_request` decides alone where it is sent; else the mode comes first and what is included after it."""
    if wanted.data_request is not None:
        return job_kinds(wanted.data_request.products)
    kinds = [JobKind.VERIFICATION if is_verification else JobKind.AGGREGATION]
    if is_verification and include_transactions:
        kinds.append(JobKind.AGGREGATION)
    if wanted.include_identity:
        kinds.append(JobKind.IDENTIFICATION)
    return kinds


def _institution_code(request: ApiRequest, wanted: requests.WidgetOptions) -> str | None:
    named = wanted.current_institution_code or wanted.current_institution_guid
    if not named:
        return None
    with _found_for(
        "current_institution_code" if wanted.current_institution_code else "current_institution_guid"
    ):
        return request.services.registry.find(named).code


async def _member_guid(request: ApiRequest, user: User, wanted: requests.WidgetOptions) -> str | None:
    if not wanted.current_member_guid:
        return None
    with _found_for("current_member_guid"):
        return (await find_member(request.connection, user.guid, wanted.current_member_guid)).guid


async def _micro_deposit_guid(request: ApiRequest, user: User, wanted: requests.WidgetOptions) -> str | None:
    guid = wanted.current_microdeposit_guid
    if not guid:
        return None
    with _found_for("current_microdeposit_guid"):
        deposit = await find_micro_deposit(request.connection, request.client.guid, guid, user_guid=user.guid)
    return deposit.guid


@contextmanager
def _found_for(option: str) -> Iterator[None]:
    """Names the option in the refusal, which says the same of what is nowhere and of what is another's."""
    try:
        yield
    except NotFound:
        raise NotFound(f"{option}: there is no such thing here.") from None
