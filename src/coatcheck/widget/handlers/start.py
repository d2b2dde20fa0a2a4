"""The first step, and the user's consent."""

from collections.abc import Sequence
from dataclasses import replace

from coatcheck.app import Services
from coatcheck.connectors import contract
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import NotFound
from coatcheck.grants.authorization_disclosures import Agreement, Party
from coatcheck.members.widget_links import WidgetOptions
from coatcheck.model.members import Member, find_member, list_members
from coatcheck.model.micro_deposits import DepositStatus, MicroDeposit, find_micro_deposit
from coatcheck.model.mx_codes import CONNECTION_STATUS_IDS
from coatcheck.model.paging import PageRequest
from coatcheck.model.statuses import ConnectionStatus as Status
from coatcheck.model.widgets import Reader, WidgetAppearance, readers_of, widget_appearance
from coatcheck.widget import schemas
from coatcheck.widget.bodies import ConsentBody
from coatcheck.widget.consent_text import agreement_of
from coatcheck.widget.presenters import (
    load_context,
    present_institution,
    present_member,
    present_members,
    present_micro_deposit,
)
from coatcheck.widget.request import WidgetRequest
from coatcheck.widget.steps import Step, sign_in_step, step_for_current_member

ALL_MEMBERS = PageRequest(1, 1000)
"""A page larger than the number of members that a user can have."""

SHARES = {
    JobKind.AGGREGATION: ("accounts", "transactions"),
    JobKind.HISTORY: ("accounts", "transaction_history"),
    JobKind.VERIFICATION: ("accounts", "account_numbers"),
    JobKind.IDENTIFICATION: ("accounts", "identity"),
    JobKind.STATEMENT: ("accounts", "statements"),
}
"""The data that each job shares."""


async def read(request: WidgetRequest) -> schemas.Start:
    """The first step and its data."""
    member, deposit = await _current_member(request), await _current_deposit(request)
    institution = _institution(request, member)
    found = (await list_members(request.connection, request.session.user_guid, ALL_MEMBERS)).items
    members = await present_members(request, found)
    return schemas.Start(
        step=await _first_step(request, member, deposit, institution, members),
        member=await present_member(request, member) if member else None,
        institution=present_institution(request, institution) if institution else None,
        micro_deposit=present_micro_deposit(request, deposit) if deposit else None,
        members=members,
        consent_needed=request.session.consented_at is None,
        consent=consent_of(
            request.services,
            request.options,
            await _readers(request),
            (await _appearance(request)).privacy_url,
        ),
        microdeposits_enabled=request.has_micro_deposits,
        statement_files_enabled=request.has_statement_files,
    )


async def consent(request: WidgetRequest) -> schemas.Start:
    """Signs and records the consent, which every new connection needs. Returns the next step."""
    request.parse(ConsentBody)
    agreement = await _agreement(request)
    await request.services.authorization_disclosures.record(request.connection, request.session, agreement)
    consented = await request.services.widget_sessions.record_consent(request.connection, request.session)
    await request.record(
        "widget.consented",
        request.session.user_guid,
        shares=",".join(agreement.data),
        refreshes=agreement.refreshes,
        readers=",".join(each.name for each in agreement.processors),
    )
    return await read(replace(request, session=consented))


async def continue_consent(request: WidgetRequest) -> WidgetRequest:
    """The request with what its user agreed to in an earlier session, if the text would be the same today."""
    earlier = await request.services.authorization_disclosures.earlier(
        request.connection, request.session, await _agreement(request)
    )
    if earlier is None:
        return request
    session = await request.services.widget_sessions.continue_consent(
        request.connection, request.session, earlier.guid, earlier.signed_at
    )
    return replace(request, session=session)


async def _first_step(
    request: WidgetRequest,
    member: Member | None,
    deposit: MicroDeposit | None,
    institution: contract.Institution | None,
    members: list[schemas.Member],
) -> Step:
    options = request.options
    # The selection of accounts is signed with the consent, also for a member that exists.
    if options.select_several_accounts and request.session.consented_at is None:
        return Step.CONSENT
    if member is not None and institution is not None:
        context = await load_context(request, member, institution)
        return step_for_current_member(context, is_update=options.update_credentials)
    if deposit is not None and deposit.status != DepositStatus.PREINITIATED:
        return Step.MICRO_DEPOSITS
    if request.session.consented_at is None:
        return Step.CONSENT
    if institution is not None:
        return sign_in_step(is_oauth=institution.supports_oauth)
    if request.is_for_verification and any(_is_reusable(each) for each in members):
        return Step.VERIFY_EXISTING_MEMBER
    return Step.SEARCH


def _is_reusable(member: schemas.Member) -> bool:
    return (
        member.verification_is_enabled and member.connection_status == CONNECTION_STATUS_IDS[Status.CONNECTED]
    )


async def _current_member(request: WidgetRequest) -> Member | None:
    """The member that the widget was opened for; None if it, or its institution, no longer exists."""
    guid = request.options.current_member_guid
    if guid is None:
        return None
    try:
        member = await find_member(request.connection, request.session.user_guid, guid)
        request.services.registry.find(member.institution_code)
    except NotFound:
        return None
    return member


async def _current_deposit(request: WidgetRequest) -> MicroDeposit | None:
    guid = request.options.current_microdeposit_guid
    if guid is None:
        return None
    try:
        deposit = await find_micro_deposit(
            request.connection, request.session.client_guid, guid, user_guid=request.session.user_guid
        )
        # The deposits may have arrived since the worker looked.
        return await request.services.micro_deposits.refresh(request.connection, deposit)
    except NotFound:
        return None


def _institution(request: WidgetRequest, member: Member | None) -> contract.Institution | None:
    code = member.institution_code if member else request.options.current_institution_code
    try:
        return request.services.registry.find(code) if code else None
    except NotFound:
        return None


async def _agreement(request: WidgetRequest) -> Agreement:
    """What the consent step of this session shows."""
    client, readers = await request.client(), await _readers(request)
    return agreement_of(
        request.locale,
        Party(client.guid, client.name),
        [Party(each.guid, each.name) for each in readers],
        consent_of(request.services, request.options, readers, None),
    )


def consent_of(
    services: Services, options: WidgetOptions, readers: Sequence[Reader], privacy_url: str | None
) -> schemas.Consent:
    """The shared data, how often it is read, the companies that can read it, and for how many days."""
    shares = [share for kind in options.kinds for share in SHARES[kind]]
    if not options.include_transactions:
        shares = [share for share in shares if share != "transactions"]
    return schemas.Consent(
        shares=list(dict.fromkeys(shares)),
        selects_accounts=options.select_several_accounts,
        refreshes="once" if options.background_aggregation_is_disabled else "daily",
        readers=[each.name for each in readers],
        reading_days=services.settings.token_ttl.days,
        privacy_url=privacy_url,
    )


async def _readers(request: WidgetRequest) -> Sequence[Reader]:
    return await readers_of(request.connection, request.session.client_guid)


async def _appearance(request: WidgetRequest) -> WidgetAppearance:
    return await widget_appearance(request.connection, request.session.client_guid)
