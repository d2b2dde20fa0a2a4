"""The user's members: create, update, answer challenges, start jobs, delete."""

from collections.abc import Sequence
from dataclasses import replace

from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.errors import InvalidRequest
from coatcheck.members.oauth_windows import OAuthWindow, SignInPlace
from coatcheck.members.records import JobRequest, MemberChanges, NewMember
from coatcheck.members.verified_accounts import verified_accounts
from coatcheck.model.accounts import accounts_of_member
from coatcheck.model.jobs import find_job
from coatcheck.model.members import Member, list_members
from coatcheck.model.mx_codes import JOB_TYPE_IDS
from coatcheck.widget import schemas
from coatcheck.widget.bodies import JobBody, MemberBody, SelectionBody, SelectionsBody, Value, ValuesBody
from coatcheck.widget.handlers.start import ALL_MEMBERS
from coatcheck.widget.presenters import (
    load_context,
    present_account,
    present_credentials,
    present_job,
    present_member,
    present_members,
    supported_kinds,
)
from coatcheck.widget.request import WidgetRequest


async def list_(request: WidgetRequest) -> schemas.Members:
    found = await list_members(request.connection, request.session.user_guid, ALL_MEMBERS)
    return schemas.Members(members=await present_members(request, found.items))


async def create(request: WidgetRequest) -> schemas.MemberAnswer:
    """Connects a new member. Its jobs start now, or after the sign-in if it is an OAuth member."""
    request.require_consent()
    body, options = request.parse(MemberBody), request.options
    connected = await request.services.members.connect(
        request.connection,
        await request.user(),
        NewMember(
            institution_code=request.services.registry.find(body.institution_guid).code,
            credentials=_entered(body.credentials),
            use_cases=options.use_cases,
            is_oauth=body.is_oauth,
            background_aggregation_is_disabled=options.background_aggregation_is_disabled,
            kinds=options.kinds,
            include_transactions=options.include_transactions,
            callback_payload=options.callback_payload,
            announces_initial_data=options.announces_initial_data,
        ),
    )
    member = connected.member
    await request.bind_consent(member, is_new=True)
    uri = await _window(request, member) if member.is_oauth else None
    return schemas.MemberAnswer(member=await present_member(request, member, uri))


async def signs_in_at(request: WidgetRequest) -> SignInPlace | None:
    """The institution at whose own page the user of the new member signs in."""
    request.require_consent()
    body = request.parse(MemberBody)
    institution = request.services.registry.find(body.institution_guid)
    is_oauth = body.is_oauth and institution.supports_oauth
    if not is_oauth:
        return None
    return await _place(request, institution)


async def read(request: WidgetRequest) -> schemas.Member:
    return await present_member(request, await request.member())


async def update(request: WidgetRequest) -> schemas.MemberAnswer:
    """Replaces the credentials. A live job with the old credentials is cancelled."""
    member = await request.member()
    request.require_consent(member)
    institution = request.services.registry.find(member.institution_code)
    changed = await request.services.members.change(
        request.connection,
        member,
        MemberChanges(
            credentials=_entered(request.parse(ValuesBody).credentials),
            kinds=supported_kinds(request, institution),
            include_transactions=request.options.include_transactions,
            callback_payload=request.options.callback_payload,
        ),
    )
    # Afterwards: it locks the member less than the change does, and a deletion of the member could come in between.
    await request.bind_consent(member)
    return schemas.MemberAnswer(member=await present_member(request, changed))


async def delete(request: WidgetRequest) -> None:
    await request.services.members.disconnect(request.connection, await request.member())


async def credentials(request: WidgetRequest) -> schemas.Credentials:
    """The fields of the member's login form, without values."""
    member = await request.member()
    return present_credentials(request, request.services.registry.find(member.institution_code))


async def answer(request: WidgetRequest) -> schemas.MemberAnswer:
    member = await request.member()
    request.require_consent(member)
    answers = [(each.guid, each.value) for each in request.parse(ValuesBody).credentials]
    answered = await request.services.members.answer(request.connection, member, answers)
    return schemas.MemberAnswer(member=await present_member(request, answered))


async def start_job(request: WidgetRequest) -> schemas.MemberAnswer:
    """Starts the jobs that have not succeeded yet, or all jobs if none is missing; or only the kind in the body."""
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
    # Afterwards, as in `update`.
    await request.bind_consent(member)
    return schemas.MemberAnswer(member=await present_member(request, started))


async def job(request: WidgetRequest) -> schemas.Job:
    return present_job(await find_job(request.connection, request.session.user_guid, request.path["job"]))


async def oauth_window_uri(request: WidgetRequest) -> schemas.OAuthWindow:
    """Opens a new sign-in window for an OAuth member."""
    member = await request.member()
    request.require_consent(member)
    await request.bind_consent(member)
    return schemas.OAuthWindow(guid=member.guid, oauth_window_uri=await _window(request, member))


async def signs_in_again_at(request: WidgetRequest) -> SignInPlace | None:
    """The institution at whose own page the member's user signs in."""
    member = await request.member()
    request.require_consent(member)
    if not member.is_oauth:
        return None
    institution = request.services.registry.find(member.institution_code)
    return await _place(request, institution, member.guid)


async def list_accounts(request: WidgetRequest) -> schemas.Accounts:
    """The open accounts; in a session for verification those that can be verified."""
    member = await request.member()
    if request.is_for_verification:
        found = await verified_accounts(request.connection, member.user_guid, member.guid)
    else:
        every = await accounts_of_member(request.connection, member.user_guid, member.guid)
        found = [each for each in every if not each.is_closed]
    disclosures, selected = request.services.authorization_disclosures, frozenset[str]()
    if request.options.select_several_accounts:
        selected = frozenset(await disclosures.selected(request.connection, member.user_guid, member.guid))
    return schemas.Accounts(
        accounts=[present_account(each, is_selected=each.guid in selected) for each in found]
    )


async def select_account(request: WidgetRequest) -> schemas.MemberAnswer:
    """Saves which account the user chose, or which several; the page sends them to the client."""
    member, selects_several = await request.member(), request.options.select_several_accounts
    request.require_consent(None if selects_several else member)
    chosen = frozenset(
        request.parse(SelectionsBody).account_guids
        if selects_several
        else [request.parse(SelectionBody).account_guid]
    )
    found = await verified_accounts(request.connection, member.user_guid, member.guid)
    # The guids come from the browser, so they must be those of this member's verified accounts.
    if not chosen <= {each.guid for each in found}:
        raise InvalidRequest("The account cannot be verified.")
    in_order = [each.guid for each in found if each.guid in chosen]
    services = request.services
    session = await services.widget_sessions.record_accounts(request.connection, request.session, in_order)
    if selects_several:
        await services.authorization_disclosures.record_selection(
            request.connection, session, member.guid, in_order
        )
    await request.bind_consent(member)
    for guid in in_order:
        await request.record("widget.account_selected", guid, member_guid=member.guid)
    request = replace(request, session=session)
    return schemas.MemberAnswer(member=await present_member(request, member))


async def _place(
    request: WidgetRequest, institution: Institution, member_guid: str | None = None
) -> SignInPlace:
    """The sign-in page of the institution, which names the client and what it asks for."""
    return SignInPlace(
        institution.code,
        request.session.user_guid,
        member_guid,
        client_name=(await request.client()).name,
        kinds=tuple(supported_kinds(request, institution)),
        language=request.locale,
    )


async def _window(request: WidgetRequest, member: Member) -> str:
    return_target = request.options.return_target
    window = OAuthWindow(
        return_target=return_target,
        include_transactions=request.options.include_transactions,
        callback_payload=request.options.callback_payload,
        session_guid=request.session.guid,
        locale=request.locale,
        is_opened_by_widget=not request.options.is_mobile_webview and return_target.referral_source != "APP",
    )
    return await request.services.oauth.open_window(
        request.connection, member, window, request.prepared.window
    )


async def _kinds(request: WidgetRequest, member: Member) -> Sequence[JobKind]:
    job_type = request.parse(JobBody).job_type if request.body else None
    institution = request.services.registry.find(member.institution_code)
    if job_type is not None:
        named = [kind for kind in request.options.kinds if JOB_TYPE_IDS[kind] == job_type]
        # A session must not start jobs for which its user gave no consent.
        if not named:
            raise InvalidRequest("This session does not include a job of this type.")
        return named
    context = await load_context(request, member, institution)
    return context.missing or supported_kinds(request, institution) or request.options.kinds


def _entered(values: Sequence[Value]) -> dict[str, str]:
    return {each.guid: each.value for each in values}
