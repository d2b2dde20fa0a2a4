"""From what the rooms know to what the page is told."""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from coatcheck.connectors import contract
from coatcheck.connectors.contract import CredentialField, JobKind
from coatcheck.errors import NotFound
from coatcheck.members import records
from coatcheck.micro_deposits.micro_deposits import MAX_WRONG
from coatcheck.model import accounts, jobs, members, micro_deposits, oauth_states
from coatcheck.model.jobs import newest_jobs
from coatcheck.model.statuses import STATUS_IDS
from coatcheck.model.statuses import ConnectionStatus as Status
from coatcheck.widget import schemas
from coatcheck.widget.messages import (
    FIELDS,
    LABELS,
    NO_ACCOUNTS,
    NO_ELIGIBLE_ACCOUNTS,
    REFUSED,
    WORDS,
    Action,
    Words,
    say,
)
from coatcheck.widget.request import WidgetRequest
from coatcheck.widget.steps import Standing, Step, progress, selected_account, step_of

NEW_CREDENTIALS = frozenset(
    {Status.DENIED, Status.PREVENTED, Status.IMPAIRED, Status.DISCONNECTED, Status.IMPORTED}
)
SPOKEN_OF = frozenset({Step.ENTER_CREDS, Step.OAUTH, Step.ACTIONABLE_ERROR})
"""The steps at which a status has words."""


def show_institution(institution: contract.Institution) -> schemas.Institution:
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
        instructional_text=institution.instructional_text,
        instructional_data=schemas.Instructions(title=None, description=institution.instructional_text),
        forgot_password_credential_recovery_url=institution.forgot_password_url,
        forgot_username_credential_recovery_url=institution.forgot_username_url,
        trouble_signing_credential_recovery_url=institution.trouble_signing_in_url,
    )


def logo_url(institution: contract.Institution) -> str | None:
    """The logo itself: no host is asked for it, and as an image an SVG runs no script."""
    # Not in base64, which would hide from gzip what the logos of a list have in common.
    if institution.logo_svg is None:
        return None
    return f"data:image/svg+xml,{quote(institution.logo_svg, safe=' =:/()!*@,;?&$+')}"


def show_credentials(locale: str, fields: Sequence[CredentialField]) -> schemas.Credentials:
    """The boxes; what most banks call them is said in this language."""
    return schemas.Credentials(
        credentials=[
            schemas.Credential(
                guid=each.guid,
                label=say(locale, each.label) if each.label in FIELDS else each.label,
                field_name=each.field_name,
                field_type=schemas.FIELD_TYPES["LOGIN" if each.field_name == "LOGIN" else each.field_type],
                display_order=each.display_order,
            )
            for each in fields
        ]
    )


async def stand(
    request: WidgetRequest, member: members.Member, institution: contract.Institution
) -> Standing:
    """The member with what its step depends on. What a bank has yet to bring is not looked for."""
    newest = await newest_jobs(request.connection, member.user_guid, member.guid)
    verified: Sequence[accounts.Account] = ()
    has_accounts = True
    if member.connection_status == Status.CONNECTED and not member.is_being_aggregated:
        if request.is_for_verification:
            verified = await accounts.verified_accounts(request.connection, member.user_guid, member.guid)
        else:
            found = await accounts.accounts_of_member(request.connection, member.user_guid, member.guid)
            has_accounts = bool(found)
    brought = {job.kind for job in newest if job.outcome == Status.CONNECTED}
    if verified:
        brought.add(JobKind.VERIFICATION)
    return Standing(
        member=member,
        jobs=newest,
        missing=[kind for kind in offered(request, institution) if kind not in brought],
        has_accounts=has_accounts,
        eligible=[each.guid for each in verified] if request.is_for_verification else None,
        selected=request.session.selected_account_guid,
    )


def offered(request: WidgetRequest, institution: contract.Institution) -> list[JobKind]:
    """What the session wants and the institution has."""
    return [kind for kind in request.options.kinds if kind in institution.supports]


async def show_member(
    request: WidgetRequest, member: members.Member, uri: str | None = None
) -> schemas.Member:
    """The member as it stands, with a window's address where one was just made."""
    institution = request.services.registry.find(member.institution_code)
    standing = await stand(request, member, institution)
    route: Sequence[records.Challenge] = ()
    if member.connection_status == Status.CHALLENGED:
        route = await request.services.members.challenges(request.connection, member)
    return assemble(request, standing, institution, route, uri)


async def show_members(request: WidgetRequest, found: Sequence[members.Member]) -> list[schemas.Member]:
    """Those that a bank stands behind."""
    shown = []
    for member in found:
        if member.is_manual:
            continue
        try:
            institution = request.services.registry.find(member.institution_code)
        except NotFound:
            continue
        standing = await stand(request, member, institution)
        shown.append(assemble(request, standing, institution, (), None))
    return shown


def assemble(
    request: WidgetRequest,
    standing: Standing,
    institution: contract.Institution,
    route: Sequence[records.Challenge],
    uri: str | None,
) -> schemas.Member:
    member, step = standing.member, step_of(standing)
    status = Status(member.connection_status) if member.connection_status else None
    message = show_message(request, member, step, institution)
    done = progress(standing.jobs, include_transactions=request.options.include_transactions)
    return schemas.Member(
        guid=member.guid,
        user_guid=member.user_guid,
        institution_guid=member.institution_guid,
        institution_code=member.institution_code,
        institution_name=institution.name,
        institution_url=institution.url,
        institution_logo_url=logo_url(institution),
        name=member.name,
        connection_status=STATUS_IDS[status] if status else None,
        is_being_aggregated=member.is_being_aggregated,
        is_manual=member.is_manual,
        is_oauth=member.is_oauth,
        oauth_window_uri=uri,
        verification_is_enabled=JobKind.VERIFICATION in institution.supports,
        most_recent_job_guid=member.most_recent_job_guid,
        last_update_time=member.updated_at,
        successfully_aggregated_at=member.successfully_aggregated_at,
        needs_updated_credentials=status in NEW_CREDENTIALS,
        use_cases=member.use_cases,
        mfa=schemas.Mfa(credentials=[show_challenge(each) for each in route]),
        error=show_failure(request, status, step, message),
        step=step,
        progress=schemas.Progress(wanted=done.wanted, done=done.done),
        message=message,
        selected_account_guid=selected_account(standing),
    )


def show_challenge(challenge: records.Challenge) -> schemas.Challenge:
    return schemas.Challenge(
        guid=challenge.guid,
        label=challenge.label,
        field_name=challenge.field_name,
        field_type=schemas.FIELD_TYPES[challenge.type],
        options=[
            schemas.Option(
                guid=each.guid,
                credential_guid=challenge.guid,
                label=each.label,
                value=each.guid,
                data_uri=each.data_uri,
            )
            for each in (*challenge.options, *challenge.image_options)
        ],
        image_data=challenge.image_data,
        meta_data=challenge.image_data,
    )


# --- what the user is told -------------------------------------------------------------------------------


def show_message(
    request: WidgetRequest, member: members.Member, step: Step, institution: contract.Institution
) -> schemas.Message | None:
    words = _words(member, step)
    if words is None:
        return None
    return schemas.Message(
        title=say(request.locale, words.title, institution.name),
        text=say(request.locale, words.text, institution.name),
        primary_action=_act(request, member, words.primary, institution, instead=Action.DONE),
        secondary_action=_act(request, member, words.secondary, institution),
    )


def _words(member: members.Member, step: Step) -> Words | None:
    if step is Step.NO_ELIGIBLE_ACCOUNTS:
        return NO_ELIGIBLE_ACCOUNTS
    if step not in SPOKEN_OF or member.connection_status is None:
        return None
    status = Status(member.connection_status)
    if status is Status.CONNECTED:
        return NO_ACCOUNTS
    return REFUSED if status is Status.DENIED and member.is_oauth else WORDS.get(status)


def _act(
    request: WidgetRequest,
    member: members.Member,
    action: Action | None,
    institution: contract.Institution,
    *,
    instead: Action | None = None,
) -> schemas.Act | None:
    """The action, if this session can take it; else what takes its place."""
    if action is Action.ENTER_CREDS and member.is_oauth:
        action = Action.OAUTH
    if action is Action.SEARCH and request.options.disable_institution_search:
        action = instead
    if action is Action.MICRO_DEPOSITS and not request.has_micro_deposits:
        action = instead
    if action is None:
        return None
    return schemas.Act(action=action, label=say(request.locale, LABELS[action], institution.name))


def show_failure(
    request: WidgetRequest, status: Status | None, step: Step, message: schemas.Message | None
) -> schemas.Failure | None:
    """MX's code for what went wrong."""
    if message is None or status is None:
        return None
    if step is Step.NO_ELIGIBLE_ACCOUNTS:
        code, kind = schemas.NO_ELIGIBLE_ACCOUNTS
    elif status is Status.CONNECTED:
        code, kind = schemas.NO_ACCOUNTS
    else:
        code, kind = schemas.ERRORS[status]
    return schemas.Failure(
        error_code=code,
        error_message=kind,
        error_type="MEMBER",
        locale=request.locale,
        user_message=message.text,
    )


# --- the rest --------------------------------------------------------------------------------------------


def show_account(account: accounts.Account) -> schemas.Account:
    return schemas.Account(
        guid=account.guid,
        name=account.nickname or account.name,
        account_type=schemas.ACCOUNT_TYPES[account.type],
        account_type_name=account.type,
        account_number=account.account_number,
    )


def show_job(job: jobs.Job) -> schemas.Job:
    is_ended = job.state == "ended"
    return schemas.Job(
        guid=job.guid,
        job_type=schemas.JOB_TYPES[job.kind],
        status=schemas.JOB_STATES[job.state],
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


def show_oauth_state(state: oauth_states.OAuthState, *, oldest: datetime) -> schemas.OAuthState:
    """The state; one that is pending since before `oldest` will not be heard of any more."""
    status, reason = state.auth_status, state.error_reason
    if status == oauth_states.AuthStatus.PENDING and state.created_at <= oldest:
        status, reason = oauth_states.AuthStatus.ERRORED, oauth_states.OAuthError.SESSION_ERROR
    return schemas.OAuthState(
        guid=state.guid,
        auth_status=schemas.OAUTH_STATUSES[status],
        error_reason=schemas.OAUTH_REASONS.index(reason) if reason else None,
        error_reason_name=reason,
        inbound_member_guid=state.member_guid,
        outbound_member_guid=state.member_guid,
        user_guid=state.user_guid,
        first_retrieved_at=state.first_retrieved_at,
        created_at=state.created_at,
        updated_at=state.updated_at,
    )


def show_micro_deposit(request: WidgetRequest, deposit: micro_deposits.MicroDeposit) -> schemas.MicroDeposit:
    institution_guid = None
    if deposit.institution_code:
        with contextlib.suppress(NotFound):
            institution_guid = request.services.registry.find(deposit.institution_code).guid
    return schemas.MicroDeposit(
        guid=deposit.guid,
        status=schemas.DEPOSIT_STATUSES.index(deposit.status),
        status_name=deposit.status,
        account_number=deposit.account_number,
        account_type=schemas.ACCOUNT_TYPES.get(deposit.account_type or ""),
        user_guid=deposit.user_guid,
        institution_guid=institution_guid,
        institution_name=deposit.institution_name,
        deposit_expected_at=deposit.arrives_at,
        attempts_left=max(0, MAX_WRONG - deposit.wrong_attempts),
        updated_at=deposit.updated_at,
    )
