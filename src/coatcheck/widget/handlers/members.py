"""The user's connections: made, mended, answered for, and ended."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.connectors.contract import JobKind
from coatcheck.errors import InvalidRequest
from coatcheck.http.oauth_window import open_window
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
from coatcheck.widget.request import Visit


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


async def list_(visit: Visit) -> schemas.Members:
    found = await list_members(visit.connection, visit.session.user_guid, EVERY)
    return schemas.Members(members=await show_members(visit, found.items))


async def create(visit: Visit) -> schemas.MadeMember:
    """A new member with what the session is for: its jobs start, or wait for the bank's own page."""
    visit.require_consent()
    wanted, options = visit.parse(MemberBody), visit.options
    member, _is_started = await visit.house.linker.connect(
        visit.connection,
        client=await visit.client(),
        user=await visit.user(),
        institution_code=visit.house.registry.find(wanted.institution_guid).code,
        credentials=_entered(wanted.credentials),
        use_cases=options.use_cases,
        is_oauth=wanted.is_oauth,
        background_aggregation_is_disabled=options.background_aggregation_is_disabled,
        kinds=options.kinds,
        include_transactions=options.include_transactions,
        callback_payload=options.callback_payload,
    )
    uri = await _window(visit, member) if member.is_oauth else None
    return schemas.MadeMember(member=await show_member(visit, member, uri))


async def read(visit: Visit) -> schemas.Member:
    return await show_member(visit, await visit.member())


async def update(visit: Visit) -> schemas.MadeMember:
    """Other credentials: they take the place of what was on its way."""
    member = await visit.member()
    visit.require_consent(member)
    institution = visit.house.registry.find(member.institution_code)
    changed = await visit.house.linker.change(
        visit.connection,
        member,
        credentials=_entered(visit.parse(ValuesBody).credentials),
        kinds=offered(visit, institution),
        include_transactions=visit.options.include_transactions,
        callback_payload=visit.options.callback_payload,
    )
    return schemas.MadeMember(member=await show_member(visit, changed))


async def delete(visit: Visit) -> None:
    await visit.house.linker.disconnect(visit.connection, await visit.member())


async def credentials(visit: Visit) -> schemas.Credentials:
    """The boxes of its login form, never what was entered."""
    member = await visit.member()
    return show_credentials(visit.locale, visit.house.registry.find(member.institution_code).credentials)


async def answer(visit: Visit) -> schemas.MadeMember:
    member = await visit.member()
    visit.require_consent(member)
    answers = [(each.guid, each.value) for each in visit.parse(ValuesBody).credentials]
    answered = await visit.house.linker.answer(visit.connection, member, answers)
    return schemas.MadeMember(member=await show_member(visit, answered))


async def start_job(visit: Visit) -> schemas.MadeMember:
    """What the session still wants of the bank, else all it wants; or one kind of that."""
    member = await visit.member()
    visit.require_consent(member)
    first, *others = await _kinds(visit, member)
    started = await visit.house.linker.start(
        visit.connection,
        member,
        first,
        requested_by=visit.session.guid,
        callback_payload=visit.options.callback_payload,
        include_transactions=visit.options.include_transactions,
        follow_ups=others,
    )
    return schemas.MadeMember(member=await show_member(visit, started))


async def job(visit: Visit) -> schemas.Job:
    return show_job(await find_job(visit.connection, visit.session.user_guid, visit.path["job"]))


async def oauth_window_uri(visit: Visit) -> schemas.OAuthWindow:
    """A fresh window for a member that is PENDING, or must consent again."""
    member = await visit.member()
    visit.require_consent(member)
    return schemas.OAuthWindow(guid=member.guid, oauth_window_uri=await _window(visit, member))


async def list_accounts(visit: Visit) -> schemas.Accounts:
    """Those that can be verified."""
    member = await visit.member()
    found = await verified_accounts(visit.connection, member.user_guid, member.guid)
    return schemas.Accounts(accounts=[show_account(each) for each in found])


async def select_account(visit: Visit) -> schemas.MadeMember:
    """Which of them the user means; written down, for the page to tell its client."""
    member, chosen = await visit.member(), visit.parse(SelectionBody).account_guid
    visit.require_consent(member)
    found = await verified_accounts(visit.connection, member.user_guid, member.guid)
    if chosen not in {each.guid for each in found}:
        raise InvalidRequest("This is none of the accounts that can be verified.")
    await visit.house.widget_sessions.note_account(visit.connection, visit.session, chosen)
    await visit.record("widget.account_selected", chosen, member_guid=member.guid)
    visit = replace(visit, session=replace(visit.session, selected_account_guid=chosen))
    return schemas.MadeMember(member=await show_member(visit, member))


async def _window(visit: Visit, member: Member) -> str:
    return await open_window(
        visit.house,
        visit.connection,
        member,
        visit.options.way_back,
        include_transactions=visit.options.include_transactions,
        callback_payload=visit.options.callback_payload,
        session_guid=visit.session.guid,
        locale=visit.locale,
    )


async def _kinds(visit: Visit, member: Member) -> Sequence[JobKind]:
    wanted = visit.parse(JobBody).job_type if visit.body else None
    institution = visit.house.registry.find(member.institution_code)
    if wanted is not None:
        named = [kind for kind in visit.options.kinds if schemas.JOB_TYPES[kind] == wanted]
        if not named:
            raise InvalidRequest("This session is not for a job of this type.")
        return named
    standing = await stand(visit, member, institution)
    return standing.missing or offered(visit, institution) or visit.options.kinds


def _entered(values: Sequence[Value]) -> dict[str, str]:
    return {each.guid: each.value for each in values}
