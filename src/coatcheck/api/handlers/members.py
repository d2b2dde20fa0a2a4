"""Members: the connections of users to institutions."""

from collections.abc import Sequence

from msgspec import UNSET, Struct

from coatcheck.api.products import KINDS, Product, job_kinds
from coatcheck.api.query import read_use_case
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.institutions import CredentialsResponseBody, credentials_body
from coatcheck.api.schemas.members import (
    ChallengesResponseBody,
    CredentialRequest,
    MemberCreateRequestBody,
    MemberResumeRequestBody,
    MemberStatusResponseBody,
    MemberUpdateRequestBody,
    OAuthWindowResponseBody,
    challenges_body,
    member_body,
    member_status_body,
    member_with_job_error_body,
    members_body,
    oauth_window_body,
)
from coatcheck.api.versions import Version
from coatcheck.connectors.contract import CredentialField
from coatcheck.errors import JobNotSupported
from coatcheck.http.decoding import given_fields, parse
from coatcheck.http.encoding import encode
from coatcheck.http.query import read_flag, read_page, read_text
from coatcheck.http.request import CompleteResponse
from coatcheck.members.oauth_windows import OAuthWindow, SignInPlace
from coatcheck.members.records import MemberChanges, NewMember
from coatcheck.members.return_target import ReturnTarget
from coatcheck.model.members import Member, find_member, list_members
from coatcheck.model.paging import paginate

NO_FIELDS: tuple[CredentialField, ...] = ()


async def create(request: ApiRequest) -> CompleteResponse:
    """202 if a job was started, 201 if v20250224 requested a job that cannot be.

    An OAuth member is PENDING until its user opens the `oauth_window_uri`.
    """
    body = parse(request.body, MemberCreateRequestBody)
    fields = body.member
    # Before the member is made: a target that cannot be used must leave nothing behind.
    return_target = _return_target(body)
    products = body.data_request.products if body.data_request else ()
    kinds = job_kinds(products)
    # The SDKs of v20111101 do not know the status 201.
    tells_refusals = request.version is Version.V20250224 and bool(products)
    connected = await request.services.members.connect(
        request.connection,
        await request.readable_user(),
        NewMember(
            institution_code=fields.institution_code,
            credentials=_values(fields.credentials),
            id=fields.id,
            metadata=fields.metadata,
            use_cases=fields.use_cases,
            is_oauth=fields.is_oauth,
            skip_aggregation=fields.skip_aggregation or (body.data_request is not None and not kinds),
            background_aggregation_is_disabled=fields.background_aggregation_is_disabled,
            kinds=kinds,
            omits_refused_jobs=tells_refusals,
            callback_payload=request.callback_payload,
            skip_webhook=fields.skip_webhook or request.skips_webhook,
            announces_initial_data=request.version is Version.V20250224,
        ),
    )
    member = connected.member
    uri = None
    if member.is_oauth:
        window = OAuthWindow(return_target=return_target, callback_payload=request.callback_payload)
        uri = await request.services.oauth.open_window(
            request.connection, member, window, request.prepared_window
        )
    refusal = connected.refusal or _unsupported(products)
    if refusal and tells_refusals:
        return CompleteResponse(201, encode(member_with_job_error_body(member, uri, refusal)))
    # MX answers 202 where a job reads the member now, and 200 where nothing was started.
    status = 202 if connected.has_started else 200
    return CompleteResponse(status, encode(member_body(request.version, member, uri)))


def _return_target(body: MemberCreateRequestBody) -> ReturnTarget:
    return ReturnTarget(
        referral_source=body.referral_source,
        client_redirect_url=body.client_redirect_url,
        ui_message_webview_url_scheme=body.ui_message_webview_url_scheme,
    )


def _unsupported(products: Sequence[Product]) -> JobNotSupported | None:
    """The refusal of the first product that no job reads."""
    return next(
        (JobNotSupported(f"No institution supports {each}.") for each in products if each not in KINDS), None
    )


async def signs_in_at(request: ApiRequest) -> SignInPlace | None:
    """The institution at whose own page the user of the new member signs in."""
    fields = parse(request.body, MemberCreateRequestBody).member
    user = await request.readable_user()
    is_oauth = fields.is_oauth and request.services.registry.find(fields.institution_code).supports_oauth
    return SignInPlace(fields.institution_code, user.guid) if is_oauth else None


async def list_(request: ApiRequest) -> Struct:
    user = await request.readable_user()
    members = await list_members(
        request.connection, user.guid, read_page(request.query), use_case=read_use_case(request.query)
    )
    return members_body(request.version, members)


async def read(request: ApiRequest) -> Struct:
    return member_body(request.version, await _find(request))


async def update(request: ApiRequest) -> Struct:
    """New credentials start an aggregation unless `skip_aggregation` is true."""
    change = parse(request.body, MemberUpdateRequestBody).member
    # The lock serialises updates: two that change different fields at once must both be kept.
    user = await request.readable_user(lock=True)
    changed = await request.services.members.change(
        request.connection,
        await find_member(request.connection, user.guid, request.path["member"]),
        MemberChanges(
            attributes=given_fields(
                change, "id", "metadata", "use_cases", "background_aggregation_is_disabled"
            ),
            credentials=None if change.credentials is UNSET else _values(change.credentials),
            skip_aggregation=change.skip_aggregation is True,
            callback_payload=request.callback_payload,
            skip_webhook=change.skip_webhook is True or request.skips_webhook,
        ),
    )
    return member_body(request.version, changed)


async def delete(request: ApiRequest) -> None:
    """Also deletes members of a disabled user."""
    user = await request.user()
    member = await find_member(request.connection, user.guid, request.path["member"])
    await request.services.members.disconnect(request.connection, member, skip_webhook=request.skips_webhook)


async def credentials(request: ApiRequest) -> CredentialsResponseBody:
    """The fields of the institution's sign-in form, without values."""
    member = await _find(request)
    fields = (
        NO_FIELDS if member.is_manual else request.services.registry.find(member.institution_code).credentials
    )
    return credentials_body(paginate(fields, read_page(request.query)))


async def status(request: ApiRequest) -> MemberStatusResponseBody:
    member = await _find(request)
    return member_status_body(member, await request.services.members.challenges(request.connection, member))


async def challenges(request: ApiRequest) -> ChallengesResponseBody | None:
    """None, a 204, unless the member is CHALLENGED."""
    found = await request.services.members.challenges(request.connection, await _find(request))
    if not found:
        return None
    return challenges_body(paginate(found, read_page(request.query)))


async def resume(request: ApiRequest) -> Struct:
    answers = parse(request.body, MemberResumeRequestBody).member.challenges
    member = await request.services.members.answer(
        request.connection, await _find(request), [(each.guid, each.value) for each in answers]
    )
    return member_body(request.version, member)


async def oauth_window_uri(request: ApiRequest) -> OAuthWindowResponseBody:
    """A new URL for a member that is PENDING or needs a new consent."""
    member = await _find(request)
    return_target = ReturnTarget(
        referral_source=read_text(request.query, "referral_source"),
        client_redirect_url=read_text(request.query, "client_redirect_url"),
        ui_message_webview_url_scheme=read_text(request.query, "ui_message_webview_url_scheme"),
    )
    window = OAuthWindow(
        return_target=return_target,
        skip_aggregation=read_flag(request.query, "skip_aggregation") or False,
        callback_payload=request.callback_payload,
    )
    uri = await request.services.oauth.open_window(
        request.connection, member, window, request.prepared_window
    )
    return oauth_window_body(member.guid, uri)


async def signs_in_again_at(request: ApiRequest) -> SignInPlace | None:
    """The institution at whose own page the member's user signs in."""
    member = await _find(request)
    return SignInPlace(member.institution_code, member.user_guid, member.guid) if member.is_oauth else None


def _values(values: tuple[CredentialRequest, ...]) -> dict[str, str]:
    return {each.guid: each.value for each in values}


async def _find(request: ApiRequest) -> Member:
    user = await request.readable_user()
    return await find_member(request.connection, user.guid, request.path["member"])
