"""The user's connections: made, mended, answered for, and ended."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.connectors.contract import JobKind
from coatcheck.errors import InvalidRequest
from coatcheck.members.oauth import OAuthWindow
from coatcheck.members.records import JobRequest, MemberChanges, NewMember
from coatcheck.model.accounts import verified_accounts
from coatcheck.model.jobs import find_job
from coatcheck.model.members import Member, list_members
from coatcheck.widget import schemas
from coatcheck.widget.handlers.starting import EVERY
from coatcheck.widget.presenters import (
    offered,
    show_account,
    show_credentials,
    show_job,
    show_member,
    show_members,
    stand,
)
from coatcheck.widget.request import WidgetRequest


class Value(Struct, frozen=True):
    """One box, or one challenge, with what the user wrote or chose."""

    guid: Annotated[str, Meta(max_length=64)]
    value: Annotated[str, Meta(max_length=4096)]

    def __repr__(self) -> str:
        return f"Value({self.guid})"


class MemberBody(Struct, frozen=True):
    institution_guid: Annotated[str, Meta(max_length=64)]
    credentials: Annotated[tuple[Value, ...], Meta(max_length=50)] = ()
    is_oauth: bool = False


class ValuesBody(Struct, frozen=True):
    credentials: Annotated[tuple[Value, ...], Meta(min_length=1, max_length=50)]


class JobBody(Struct, frozen=True):
    job_type: int | None = None


class SelectionBody(Struct, frozen=True):
    account_guid: Annotated[str, Meta(max_length=64)]


async def list_(request: WidgetRequest) -> schemas.Members:
    found = await list_members(request.connection, request.session.user_guid, EVERY)
    return schemas.Members(members=await show_members(request, found.items))


async def create(request: WidgetRequest) -> schemas.MadeMember:
    """A new member with what the session is for: its jobs start, or wait for the bank's own page."""
    request.require_consent()
    wanted, options = request.parse(MemberBody), request.options
    member, _is_started = await request.services.members.connect(
        request.connection,
        await request.user(),
        NewMember(
            institution_code=request.services.registry.find(wanted.institution_guid).code,
            credentials=_entered(wanted.credentials),
            use_cases=options.use_cases,
            is_oauth=wanted.is_oauth,
            background_aggregation_is_disabled=options.background_aggregation_is_disabled,
            kinds=options.kinds,
            include_transactions=options.include_transactions,
            callback_payload=options.callback_payload,
        ),
    )
    uri = await _window(request, member) if member.is_oauth else None
    return schemas.MadeMember(member=await show_member(request, member, uri))


async def read(request: WidgetRequest) -> schemas.Member:
    return await show_member(request, await request.member())


async def update(request: WidgetRequest) -> schemas.MadeMember:
    """Other credentials: they take the place of what was on its way."""
    member = await request.member()
    request.require_consent(member)
    institution = request.services.registry.find(member.institution_code)
    changed = await request.services.members.change(
        request.connection,
        member,
        MemberChanges(
            credentials=_entered(request.parse(ValuesBody).credentials),
            kinds=offered(request, institution),
            include_transactions=request.options.include_transactions,
            callback_payload=request.options.callback_payload,
        ),
    )
    return schemas.MadeMember(member=await show_member(request, changed))


async def delete(request: WidgetRequest) -> None:
    await request.services.members.disconnect(request.connection, await request.member())


async def credentials(request: WidgetRequest) -> schemas.Credentials:
    """The boxes of its login form, never what was entered."""
    member = await request.member()
    return show_credentials(
        request.locale, request.services.registry.find(member.institution_code).credentials
    )


async def answer(request: WidgetRequest) -> schemas.MadeMember:
    member = await request.member()
    request.require_consent(member)
    answers = [(each.guid, each.value) for each in request.parse(ValuesBody).credentials]
    answered = await request.services.members.answer(request.connection, member, answers)
    return schemas.MadeMember(member=await show_member(request, answered))


async def start_job(request: WidgetRequest) -> schemas.MadeMember:
    """What the session still wants of the bank, else all it wants; or one kind of that."""
    member = await request.member()
    request.require_consent(member)
    started = await request.services.members.start(
        request.connection,
        member,
        JobRequest(
            kinds=await _kinds(request, member),
            requested_by=request.session.guid,
            callback_payload=request.options.callback_payload,
            include_transactions=request.options.include_transactions,
        ),
    )
    return schemas.MadeMember(member=await show_member(request, started))


async def job(request: WidgetRequest) -> schemas.Job:
    return show_job(await find_job(request.connection, request.session.user_guid, request.path["job"]))


async def oauth_window_uri(request: WidgetRequest) -> schemas.OAuthWindow:
    """A fresh window for a member that is PENDING, or must consent again."""
    member = await request.member()
    request.require_consent(member)
    return schemas.OAuthWindow(guid=member.guid, oauth_window_uri=await _window(request, member))


async def list_accounts(request: WidgetRequest) -> schemas.Accounts:
    """Those that can be verified."""
    member = await request.member()
    found = await verified_accounts(request.connection, member.user_guid, member.guid)
    return schemas.Accounts(accounts=[show_account(each) for each in found])


async def select_account(request: WidgetRequest) -> schemas.MadeMember:
    """Which of them the user means; written down, for the page to tell its client."""
    member, chosen = await request.member(), request.parse(SelectionBody).account_guid
    request.require_consent(member)
    found = await verified_accounts(request.connection, member.user_guid, member.guid)
    if chosen not in {each.guid for each in found}:
        raise InvalidRequest("This is none of the accounts that can be verified.")
    await request.services.widget_sessions.note_account(request.connection, request.session, chosen)
    await request.record("widget.account_selected", chosen, member_guid=member.guid)
    request = replace(request, session=replace(request.session, selected_account_guid=chosen))
    return schemas.MadeMember(member=await show_member(request, member))


async def _window(request: WidgetRequest, member: Member) -> str:
    window = OAuthWindow(
        return_target=request.options.return_target,
        include_transactions=request.options.include_transactions,
        callback_payload=request.options.callback_payload,
        session_guid=request.session.guid,
        locale=request.locale,
    )
    return await request.services.oauth.open_window(request.connection, member, window)


async def _kinds(request: WidgetRequest, member: Member) -> Sequence[JobKind]:
    wanted = request.parse(JobBody).job_type if request.body else None
    institution = request.services.registry.find(member.institution_code)
    if wanted is not None:
        named = [kind for kind in request.options.kinds if schemas.JOB_TYPES[kind] == wanted]
        if not named:
            raise InvalidRequest("This session is not for a job of this type.")
        return named
    standing = await stand(request, member, institution)
    return standing.missing or offered(request, institution) or request.options.kinds


def _entered(values: Sequence[Value]) -> dict[str, str]:
    return {each.guid: each.value for each in values}
