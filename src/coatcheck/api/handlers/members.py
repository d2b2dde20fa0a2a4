"""Members: a user's connections to institutions."""

from dataclasses import replace

from msgspec import UNSET

from coatcheck.api.paging import read_flag, read_page, read_text
from coatcheck.api.products import job_kinds
from coatcheck.api.request import Call, Reply
from coatcheck.api.schemas.requests import (
    CredentialValue,
    MemberCreateBody,
    MemberResumeBody,
    MemberUpdateBody,
    given,
    parse,
)
from coatcheck.connectors.contract import CredentialField
from coatcheck.http.oauth_window import WayBack, open_window
from coatcheck.model.members import Member, find_member, list_members
from coatcheck.model.paging import cut

NO_FIELDS: tuple[CredentialField, ...] = ()


async def create(call: Call) -> Reply:
    """202 where a job was started; an OAuth member waits for its user, at the `oauth_window_uri` it comes with."""
    body = parse(call.body, MemberCreateBody)
    wanted = body.member
    way_back = WayBack(
        referral_source=body.referral_source,
        client_redirect_url=body.client_redirect_url,
        ui_message_webview_url_scheme=body.ui_message_webview_url_scheme,
    )
    kinds = job_kinds(body.data_request.products) if body.data_request else []
    member, is_started = await call.house.linker.connect(
        call.connection,
        client=call.client,
        user=await call.readable_user(),
        institution_code=wanted.institution_code,
        credentials=_entered(wanted.credentials),
        id=wanted.id,
        metadata=wanted.metadata,
        use_cases=wanted.use_cases,
        is_oauth=wanted.is_oauth,
        skip_aggregation=wanted.skip_aggregation or (body.data_request is not None and not kinds),
        background_aggregation_is_disabled=wanted.background_aggregation_is_disabled,
        kinds=kinds,
        callback_payload=call.callback_payload,
        skip_webhook=wanted.skip_webhook or call.skips_webhook,
    )
    uri = None
    if member.is_oauth:
        uri = await open_window(
            call.house, call.connection, member, way_back, callback_payload=call.callback_payload
        )
    return Reply(202 if is_started else 200, call.wire.show_member(member, uri))


async def list_(call: Call) -> bytes:
    user = await call.readable_user()
    members = await list_members(
        call.connection, user.guid, read_page(call.query), use_case=read_text(call.query, "use_case")
    )
    return call.wire.show_members(members)


async def read(call: Call) -> bytes:
    return call.wire.show_member(await _find(call))


async def update(call: Call) -> bytes:
    """New credentials start an aggregation, unless `skip_aggregation`."""
    change = parse(call.body, MemberUpdateBody).member
    user = await call.readable_user(hold=True)
    member = replace(
        await find_member(call.connection, user.guid, call.path["member"]),
        **given(change, "id", "metadata", "use_cases", "background_aggregation_is_disabled"),
    )
    changed = await call.house.linker.change(
        call.connection,
        member,
        credentials=None if change.credentials is UNSET else _entered(change.credentials),
        skip_aggregation=change.skip_aggregation is True,
        callback_payload=call.callback_payload,
        skip_webhook=change.skip_webhook is True or call.skips_webhook,
    )
    return call.wire.show_member(changed)


async def delete(call: Call) -> Reply:
    """Also a disabled user's: what must not be read may be removed."""
    user = await call.user()
    member = await find_member(call.connection, user.guid, call.path["member"])
    await call.house.linker.disconnect(call.connection, member, skip_webhook=call.skips_webhook)
    return Reply(204)


async def credentials(call: Call) -> bytes:
    """The boxes of its institution's login form, never what was entered."""
    member = await _find(call)
    fields = NO_FIELDS if member.is_manual else call.house.registry.find(member.institution_code).credentials
    return call.wire.show_credentials(cut(fields, read_page(call.query)))


async def status(call: Call) -> bytes:
    member = await _find(call)
    return call.wire.show_member_status(member, await call.house.linker.challenges(call.connection, member))


async def challenges(call: Call) -> bytes | Reply:
    """204 while the bank asks nothing."""
    asked = await call.house.linker.challenges(call.connection, await _find(call))
    if not asked:
        return Reply(204)
    return call.wire.show_challenges(cut(asked, read_page(call.query)))


async def resume(call: Call) -> bytes:
    answers = parse(call.body, MemberResumeBody).member.challenges
    member = await call.house.linker.answer(
        call.connection, await _find(call), [(each.guid, each.value) for each in answers]
    )
    return call.wire.show_member(member)


async def oauth_window_uri(call: Call) -> bytes:
    """A fresh window for a member that is PENDING, or must consent again."""
    member = await _find(call)
    way_back = WayBack(
        referral_source=read_text(call.query, "referral_source"),
        client_redirect_url=read_text(call.query, "client_redirect_url"),
        ui_message_webview_url_scheme=read_text(call.query, "ui_message_webview_url_scheme"),
    )
    uri = await open_window(
        call.house,
        call.connection,
        member,
        way_back,
        skip_aggregation=read_flag(call.query, "skip_aggregation") or False,
        callback_payload=call.callback_payload,
    )
    return call.wire.show_oauth_window(member.guid, uri)


def _entered(values: tuple[CredentialValue, ...]) -> dict[str, str]:
    return {each.guid: each.value for each in values}


async def _find(call: Call) -> Member:
    user = await call.readable_user()
    return await find_member(call.connection, user.guid, call.path["member"])
