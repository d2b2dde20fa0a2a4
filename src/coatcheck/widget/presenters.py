"""Converts records to the responses of the widget's API."""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from coatcheck.connectors import contract
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import NotFound
from coatcheck.members import records
from coatcheck.members.verified_accounts import verified_accounts
from coatcheck.micro_deposits.micro_deposits import MAX_WRONG_ATTEMPTS
from coatcheck.model import accounts, jobs, members, micro_deposits, mx_codes, oauth_states
from coatcheck.model.jobs import newest_jobs
from coatcheck.model.statuses import ConnectionStatus as Status
from coatcheck.widget import schemas
from coatcheck.widget.i18n import translate
from coatcheck.widget.messages import (
    ACTION_LABELS,
    FIELD_LABELS,
    NO_ACCOUNTS,
    NO_ELIGIBLE_ACCOUNTS,
    OAUTH_DENIED,
    STATUS_MESSAGES,
    Action,
    MessageText,
)
from coatcheck.widget.request import WidgetRequest
from coatcheck.widget.steps import MemberContext, Step, attempt, progress, selected_accounts, step_of

STEPS_WITH_MESSAGE = frozenset({Step.ENTER_CREDS, Step.OAUTH, Step.ACTIONABLE_ERROR})
"""The steps that show the message of the member's status."""


def present_institution(request: WidgetRequest, institution: contract.Institution) -> schemas.Institution:
    instructions = institution.instructional_text and _translated(
        request, institution, institution.instructional_text
    )
    return schemas.Institution(
        guid=institution.guid,
        code=institution.code,
        name=institution.name,
        url=institution.url,
        login_url=institution.url,
        logo_url=logo_url(institution),
        popularity=institution.popularity,
        supports_oauth=institution.supports_oauth,
        account_verification_is_enabled=JobKind.VERIFICATION in institution.supports,
        account_identification_is_enabled=JobKind.IDENTIFICATION in institution.supports,
        instructional_text=instructions,
        instructional_data=schemas.Instructions(title=None, description=instructions),
        forgot_password_credential_recovery_url=institution.forgot_password_url,
        forgot_username_credential_recovery_url=institution.forgot_username_url,
        trouble_signing_credential_recovery_url=institution.trouble_signing_in_url,
    )


def logo_url(institution: contract.Institution) -> str | None:
    """The logo as a `data:` URI. The browser contacts no other host for it, and an SVG in an image runs no script."""
    # Percent-encoded: gzip compresses the common parts of a list of logos, which base64 would hide.
    if institution.logo_svg is None:
        return None
    return f"data:image/svg+xml,{quote(institution.logo_svg, safe=' =:/()!*@,;?&$+')}"


def present_credentials(request: WidgetRequest, institution: contract.Institution) -> schemas.Credentials:
    """The fields of a login form; the usual labels are translated, and those that the connector translates."""
    return schemas.Credentials(
        credentials=[
            schemas.Credential(
                guid=each.guid,
                label=translate(request.locale, each.label)
                if each.label in FIELD_LABELS
                else _translated(request, institution, each.label),
                field_name=each.field_name,
                field_type=mx_codes.FIELD_TYPE_IDS[
                    "LOGIN" if each.field_name == "LOGIN" else each.field_type
                ],
                display_order=each.display_order,
            )
            for each in institution.credentials
        ]
    )


def _translated(request: WidgetRequest, institution: contract.Institution, text: str) -> str:
    """A text of the institution's connector in the language of the session."""
    return request.services.registry.connector_for(institution.code).translate(text, request.locale)


async def load_context(
    request: WidgetRequest, member: members.Member, institution: contract.Institution
) -> MemberContext:
    """The member with the data that its step depends on. Accounts are queried only if no job can add any."""
    newest = await newest_jobs(request.connection, member.user_guid, member.guid)
    verified: Sequence[accounts.Account] = ()
    has_accounts = True
    if member.connection_status == Status.CONNECTED and not member.is_being_aggregated:
        if request.is_for_verification:
            verified = await verified_accounts(request.connection, member.user_guid, member.guid)
        else:
            found = await accounts.accounts_of_member(request.connection, member.user_guid, member.guid)
            has_accounts = bool(found)
    finished = {job.kind for job in newest if job.outcome == Status.CONNECTED}
    if verified:
        finished.add(JobKind.VERIFICATION)
    return MemberContext(
        member=member,
        jobs=newest,
        missing=[kind for kind in supported_kinds(request, institution) if kind not in finished],
        has_accounts=has_accounts,
        eligible=[each.guid for each in verified] if request.is_for_verification else None,
        selected=request.session.selected_account_guids,
        selects_several=request.options.select_several_accounts,
    )


def supported_kinds(request: WidgetRequest, institution: contract.Institution) -> list[JobKind]:
    """The kinds of job that the session requests and the institution supports."""
    return [kind for kind in request.options.kinds if kind in institution.supports]


async def present_member(
    request: WidgetRequest, member: members.Member, uri: str | None = None
) -> schemas.Member:
    """The member, with the URL of a sign-in window if one was just opened."""
    institution = request.services.registry.find(member.institution_code)
    context = await load_context(request, member, institution)
    challenges: Sequence[records.Challenge] = ()
    if member.connection_status == Status.CHALLENGED:
        challenges = await request.services.members.challenges(request.connection, member)
    return _member(request, context, institution, challenges, uri)


async def present_members(request: WidgetRequest, found: Sequence[members.Member]) -> list[schemas.Member]:
    """The members that have an institution. Their challenges are not read."""
    presented = []
    for member in found:
        if member.is_manual:
            continue
        try:
            institution = request.services.registry.find(member.institution_code)
        except NotFound:
            continue
        context = await load_context(request, member, institution)
        presented.append(_member(request, context, institution, (), None))
    return presented


def _member(
    request: WidgetRequest,
    context: MemberContext,
    institution: contract.Institution,
    challenges: Sequence[records.Challenge],
    uri: str | None,
) -> schemas.Member:
    member, step = context.member, step_of(context)
    status = Status(member.connection_status) if member.connection_status else None
    message = _message(request, member, step, institution)
    selected = selected_accounts(context)
    phases = progress(context.jobs, include_transactions=request.options.include_transactions)
    return schemas.Member(
        guid=member.guid,
        user_guid=member.user_guid,
        institution_guid=member.institution_guid,
        institution_code=member.institution_code,
        institution_name=institution.name,
        institution_url=institution.url,
        institution_logo_url=logo_url(institution),
        name=member.name,
        connection_status=mx_codes.CONNECTION_STATUS_IDS[status] if status else None,
        is_being_aggregated=member.is_being_aggregated,
        is_manual=member.is_manual,
        is_oauth=member.is_oauth,
        oauth_window_uri=uri,
        verification_is_enabled=JobKind.VERIFICATION in institution.supports,
        most_recent_job_guid=member.most_recent_job_guid,
        last_update_time=member.updated_at,
        successfully_aggregated_at=member.successfully_aggregated_at,
        needs_updated_credentials=status in mx_codes.NEEDS_CREDENTIALS,
        use_cases=member.use_cases,
        mfa=_mfa(request, context, institution, challenges),
        error=_failure(request, status, step, message),
        step=step,
        progress=schemas.Progress(wanted=phases.wanted, done=phases.done),
        message=message,
        selected_account_guid=selected[0] if len(selected) == 1 else None,
        selected_account_guids=selected,
    )


def _mfa(
    request: WidgetRequest,
    context: MemberContext,
    institution: contract.Institution,
    challenges: Sequence[records.Challenge],
) -> schemas.Mfa:
    return schemas.Mfa(
        credentials=[_challenge(request, institution, each) for each in challenges],
        is_asked_again=step_of(context) is Step.MFA and len(attempt(context.jobs)) > 1,
    )


def _challenge(
    request: WidgetRequest, institution: contract.Institution, challenge: records.Challenge
) -> schemas.Challenge:
    return schemas.Challenge(
        guid=challenge.guid,
        label=_translated(request, institution, challenge.label),
        field_name=challenge.field_name,
        field_type=mx_codes.FIELD_TYPE_IDS[challenge.type],
        options=[
            schemas.Option(
                guid=each.guid,
                credential_guid=challenge.guid,
                label=each.label and _translated(request, institution, each.label),
                value=each.guid,
                data_uri=each.data_uri,
            )
            for each in (*challenge.options, *challenge.image_options)
        ],
        image_data=challenge.image_data,
        meta_data=challenge.image_data,
    )


# --- messages ---


def _message(
    request: WidgetRequest, member: members.Member, step: Step, institution: contract.Institution
) -> schemas.Message | None:
    message = _message_text(member, step)
    if message is None:
        return None
    return schemas.Message(
        title=translate(request.locale, message.title, institution.name),
        text=translate(request.locale, message.text, institution.name),
        primary_action=_button(request, member, message.primary, institution, instead=Action.DONE),
        secondary_action=_button(request, member, message.secondary, institution),
        tertiary_action=_button(request, member, message.tertiary, institution),
    )


def _message_text(member: members.Member, step: Step) -> MessageText | None:
    if step is Step.NO_ELIGIBLE_ACCOUNTS:
        return NO_ELIGIBLE_ACCOUNTS
    if step not in STEPS_WITH_MESSAGE or member.connection_status is None:
        return None
    status = Status(member.connection_status)
    if status is Status.CONNECTED:
        return NO_ACCOUNTS
    return OAUTH_DENIED if status is Status.DENIED and member.is_oauth else STATUS_MESSAGES.get(status)


def _button(
    request: WidgetRequest,
    member: members.Member,
    action: Action | None,
    institution: contract.Institution,
    *,
    instead: Action | None = None,
) -> schemas.ActionButton | None:
    """The action if this session offers it, else `instead`."""
    if action is Action.ENTER_CREDS and member.is_oauth:
        action = Action.OAUTH
    if action is Action.SEARCH and request.options.disable_institution_search:
        action = instead
    if action is Action.MICRO_DEPOSITS and not request.has_micro_deposits:
        action = instead
    if action is None:
        return None
    return schemas.ActionButton(
        action=action, label=translate(request.locale, ACTION_LABELS[action], institution.name)
    )


def _failure(
    request: WidgetRequest, status: Status | None, step: Step, message: schemas.Message | None
) -> schemas.Failure | None:
    """MX's code for the failure."""
    if message is None or status is None:
        return None
    if step is Step.NO_ELIGIBLE_ACCOUNTS:
        code, kind = mx_codes.NO_ELIGIBLE_ACCOUNTS
    elif status is Status.CONNECTED:
        code, kind = mx_codes.NO_ACCOUNTS
    else:
        code, kind = mx_codes.MEMBER_ERRORS[status]
    return schemas.Failure(
        error_code=code,
        error_message=kind,
        error_type="MEMBER",
        locale=request.locale,
        user_message=message.text,
    )


# --- accounts, jobs, OAuth states, micro-deposits ---


def present_account(account: accounts.Account, *, is_selected: bool) -> schemas.Account:
    return schemas.Account(
        guid=account.guid,
        name=account.nickname or account.name,
        account_type=mx_codes.VERIFIABLE_ACCOUNT_TYPE_IDS.get(account.type),
        account_type_name=account.type,
        account_number=account.account_number,
        balance=account.balance,
        currency_code=account.currency_code,
        is_selected=is_selected,
    )


def present_job(job: jobs.Job) -> schemas.Job:
    is_ended = job.state == jobs.JobState.ENDED
    return schemas.Job(
        guid=job.guid,
        job_type=mx_codes.JOB_TYPE_IDS[job.kind],
        status=mx_codes.JOB_STATE_IDS[job.state],
        member_guid=job.member_guid,
        user_guid=job.user_guid,
        is_authenticated=job.is_authenticated,
        has_processed_account_numbers=job.has_processed_account_numbers,
        started_at=job.started_at,
        updated_at=job.ended_at or job.started_at or job.created_at,
        finished_at=job.ended_at,
        error_message=job.reason,
        async_account_data_ready=is_ended and job.outcome == Status.CONNECTED,
    )


def present_oauth_state(state: oauth_states.OAuthState, *, oldest: datetime) -> schemas.OAuthState:
    """The state. A state that was created before `oldest` and is pending is an error, because its link has expired."""
    status, reason = state.auth_status, state.error_reason
    if status == oauth_states.AuthStatus.PENDING and state.created_at <= oldest:
        status, reason = oauth_states.AuthStatus.ERRORED, oauth_states.OAuthError.SESSION_ERROR
    return schemas.OAuthState(
        guid=state.guid,
        auth_status=mx_codes.AUTH_STATUS_IDS[status],
        error_reason=mx_codes.OAUTH_ERROR_IDS[reason] if reason else None,
        error_reason_name=reason,
        inbound_member_guid=state.member_guid,
        outbound_member_guid=state.member_guid,
        user_guid=state.user_guid,
        first_retrieved_at=state.first_retrieved_at,
        created_at=state.created_at,
        updated_at=state.updated_at,
    )


def present_micro_deposit(
    request: WidgetRequest, deposit: micro_deposits.MicroDeposit
) -> schemas.MicroDeposit:
    institution_guid = None
    if deposit.institution_code:
        with contextlib.suppress(NotFound):
            institution_guid = request.services.registry.find(deposit.institution_code).guid
    return schemas.MicroDeposit(
        guid=deposit.guid,
        status=mx_codes.DEPOSIT_STATUS_IDS[deposit.status],
        status_name=deposit.status,
        account_number=deposit.account_number,
        account_type=mx_codes.VERIFIABLE_ACCOUNT_TYPE_IDS.get(deposit.account_type or ""),
        user_guid=deposit.user_guid,
        institution_guid=institution_guid,
        institution_name=deposit.institution_name,
        deposit_expected_at=deposit.arrives_at,
        attempts_left=max(0, MAX_WRONG_ATTEMPTS - deposit.wrong_attempts),
        updated_at=deposit.updated_at,
    )
