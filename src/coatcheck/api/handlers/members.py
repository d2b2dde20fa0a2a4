"""Members: a user's connections to institutions."""

from msgspec import UNSET

from coatcheck.api.paging import read_flag, read_page, read_text
from coatcheck.api.products import job_kinds
from coatcheck.api.request import ApiRequest, ApiResponse
from coatcheck.api.schemas.requests import (
    CredentialValue,
    MemberCreateBody,
    MemberResumeBody,
    MemberUpdateBody,
    given,
    parse,
)
from coatcheck.connectors.contract import CredentialField
from coatcheck.members.oauth import OAuthWindow
from coatcheck.members.records import MemberChanges, NewMember
from coatcheck.members.return_target import ReturnTarget
from coatcheck.model.members import Member, find_member, list_members
from coatcheck.model.paging import paginate

NO_FIELDS: tuple[CredentialField, ...] = ()


async def create(request: ApiRequest) -> ApiResponse:
    """202 where a job was started; an OAuth member waits for its user, at the `oauth_window_uri` it comes with."""
    body = parse(request.body, MemberCreateBody)
    wanted = body.member
    return_target = ReturnTarget(
        referral_source=body.referral_source,
        client_redirect_url=body.client_redirect_url,
        ui_message_webview_url_scheme=body.ui_message_webview_url_scheme,
    )
    kinds = job_kinds(body.data_request.products) if body.data_request else []
    member, is_started = await request.services.members.connect(
        request.connection,
        await request.readable_user(),
        NewMember(
            institution_code=wanted.institution_code,
            credentials=_entered(wanted.credentials),
            id=wanted.id,
            metadata=wanted.metadata,
            use_cases=wanted.use_cases,
            is_oauth=wanted.is_oauth,
            skip_aggregation=wanted.skip_aggregation or (body.data_request is not None and not kinds),
            background_aggregation_is_disabled=wanted.background_aggregation_is_disabled,
            kinds=kinds,
            callback_payload=request.callback_payload,
            skip_webhook=wanted.skip_webhook or request.skips_webhook,
        ),
    )
    uri = None
    if member.is_oauth:
        window = OAuthWindow(return_target=return_target, callback_payload=request.callback_payload)
        uri = await request.services.oauth.open_window(request.connection, member, window)
    return ApiResponse(202 if is_started else 200, request.presenter.show_member(member, uri))


async def list_(request: ApiRequest) -> bytes:
    user = await request.readable_user()
    members = await list_members(
        request.connection, user.guid, read_page(request.query), use_case=read_text(request.query, "use_case")
    )
    return request.presenter.show_members(members)


async def read(request: ApiRequest) -> bytes:
    return request.presenter.show_member(await _find(request))


async def update(request: ApiRequest) -> bytes:
    """New credentials start an aggregation, unless `skip_aggregation`."""
    change = parse(request.body, MemberUpdateBody).member
    user = await request.readable_user(lock=True)
    changed = await request.services.members.change(
        request.connection,
        await find_member(request.connection, user.guid, request.path["member"]),
        MemberChanges(
            attributes=given(change, "id", "metadata", "use_cases", "background_aggregation_is_disabled"),
            credentials=None if change.credentials is UNSET else _entered(change.credentials),
            skip_aggregation=change.skip_aggregation is True,
            callback_payload=request.callback_payload,
            skip_webhook=change.skip_webhook is True or request.skips_webhook,
        ),
    )
    return request.presenter.show_member(changed)


async def delete(request: ApiRequest) -> ApiResponse:
    """Also a disabled user's: what must not be read may be removed."""
    user = await request.user()
    member = await find_member(request.connection, user.guid, request.path["member"])
    await request.services.members.disconnect(request.connection, member, skip_webhook=request.skips_webhook)
    return ApiResponse(204)


async def credentials(request: ApiRequest) -> bytes:
    """The boxes of its institution's login form, never what was entered."""
    member = await _find(request)
    fields = (
        NO_FIELDS if member.is_manual else request.services.registry.find(member.institution_code).credentials
    )
    return request.presenter.show_credentials(paginate(fields, read_page(request.query)))


async def status(request: ApiRequest) -> bytes:
    member = await _find(request)
    return request.presenter.show_member_status(
        member, await request.services.members.challenges(request.connection, member)
    )


async def challenges(request: ApiRequest) -> bytes | ApiResponse:
    """204 while the bank asks nothing."""
    asked = await request.services.members.challenges(request.connection, await _find(request))
    if not asked:
        return ApiResponse(204)
    return request.presenter.show_challenges(paginate(asked, read_page(request.query)))


async def resume(request: ApiRequest) -> bytes:
    answers = parse(request.body, MemberResumeBody).member.challenges
    member = await request.services.members.answer(
        request.connection, await _find(request), [(each.guid, each.value) for each in answers]
    )
    return request.presenter.show_member(member)


async def oauth_window_uri(request: ApiRequest) -> bytes:
    """A fresh window for a member that is PENDING, or must consent again."""
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
    uri = await request.services.oauth.open_window(request.connection, member, window)
    return request.presenter.show_oauth_window(member.guid, uri)


def _entered(values: tuple[CredentialValue, ...]) -> dict[str, str]:
    return {each.guid: each.value for each in values}


async def _find(request: ApiRequest) -> Member:
    user = await request.readable_user()
    return await find_member(request.connection, user.guid, request.path["member"])
