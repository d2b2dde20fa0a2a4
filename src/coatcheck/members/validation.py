"""Validation of requests. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from coatcheck import text
from coatcheck.connectors.contract import ChallengeType, Institution, JobKind
from coatcheck.errors import (
    InstitutionInMaintenance,
    InstitutionPrevented,
    InstitutionPreventsNew,
    InstitutionPreventsVerification,
    InstitutionRefused,
    InstitutionUnavailable,
    InvalidRequest,
    JobNotSupported,
)
from coatcheck.members.records import Challenge
from coatcheck.model.institution_statuses import Availability, ClientStatus, InstitutionStatus
from coatcheck.model.statuses import ConnectionStatus

NO_NUMBERS = " It gives no account numbers: verify the account by micro-deposits instead."
NO_CREDENTIALS: Mapping[str, str] = MappingProxyType({})


def check_jobs(institution: Institution, kinds: Sequence[JobKind]) -> None:
    """Checks that the institution offers all these jobs.

    Raises:
        JobNotSupported: it does not offer one of them.
    """
    if missing := [kind for kind in kinds if kind not in institution.supports]:
        instead = NO_NUMBERS if JobKind.VERIFICATION in missing else ""
        raise JobNotSupported(f"{institution.name} does not support {missing[0].lower()}.{instead}")


def check_availability(
    availability: Availability, kinds: Sequence[JobKind] = (), *, is_new: bool = False
) -> None:
    """Checks that the operator permits these jobs at the institution, or with `is_new` a new member.

    Raises:
        InstitutionRefused: it does not. The class says which status forbids it.
    """
    match availability.status:
        case InstitutionStatus.MAINTENANCE:
            raise InstitutionInMaintenance
        case InstitutionStatus.UNAVAILABLE:
            raise InstitutionUnavailable
    match availability.client_status:
        case ClientStatus.PREVENT_ALL | ClientStatus.PREVENT_ALL_AND_DISCONNECT:
            raise InstitutionPrevented
        case ClientStatus.PREVENT_NEW if is_new:
            raise InstitutionPreventsNew
        case ClientStatus.PREVENT_VERIFICATION if JobKind.VERIFICATION in kinds:
            raise InstitutionPreventsVerification


def startable_jobs(
    institution: Institution, availability: Availability, kinds: Sequence[JobKind]
) -> tuple[Sequence[JobKind], JobNotSupported | InstitutionRefused | None]:
    """The jobs that can start, and why the first of the others cannot."""
    startable: list[JobKind] = []
    refusal: JobNotSupported | InstitutionRefused | None = None
    for kind in kinds:
        try:
            check_jobs(institution, [kind])
            check_availability(availability, [kind])
        except (JobNotSupported, InstitutionRefused) as error:
            refusal = refusal or error
        else:
            startable.append(kind)
    return startable, refusal


def check_sign_in(
    institution: Institution, credentials: Mapping[str, str], *, is_oauth: bool
) -> dict[str, str]:
    """The credentials of a new member by field name; empty for OAuth.

    Raises:
        InvalidRequest: `is_oauth` does not fit the institution, or credentials are missing or unknown.
    """
    if is_oauth and institution.supports_oauth and not credentials:
        return {}
    if institution.supports_oauth:
        raise InvalidRequest(
            f"{institution.name} has its own sign-in page: set is_oauth and send no credentials."
        )
    if is_oauth:
        raise InvalidRequest(
            f"{institution.name} has no sign-in page of its own: send its credentials, without is_oauth."
        )
    return check_credentials(institution, credentials)


def check_credentials(
    institution: Institution, credentials: Mapping[str, str], current: Mapping[str, str] = NO_CREDENTIALS
) -> dict[str, str]:
    """The credentials by field name: the new values, and the current values of the other fields.

    A login is stored in its canonical spelling; every other value is stored as it was entered.

    Args:
        institution: the institution whose fields they are.
        credentials: new values by credential guid.
        current: values by field name.

    Raises:
        InvalidRequest: a guid does not belong to this institution, a field has no value, or a value contains
            control characters.
    """
    names = {field.guid: field.field_name for field in institution.credentials}
    if credentials.keys() - names.keys():
        raise InvalidRequest(f"{institution.name} has no such credential.")
    login = login_field(institution)
    given = {
        names[guid]: text.login(value) if names[guid] == login else text.secret(value)
        for guid, value in credentials.items()
    }
    values = {**current, **given}
    if missing := [field.label for field in institution.credentials if not values.get(field.field_name)]:
        raise InvalidRequest(f"{institution.name} needs: {', '.join(missing)}.")
    return {name: values[name] for name in names.values()}


def login_field(institution: Institution) -> str:
    """The name of the field that identifies the login: `LOGIN` if there is one, else the first field."""
    names = [field.field_name for field in institution.credentials]
    return names[0] if names and "LOGIN" not in names else "LOGIN"


def check_answers(challenges: Sequence[Challenge], answers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The answers by the keys of their challenges. The answer to a choice is the value of the option.

    Raises:
        InvalidRequest: an answer is missing, unknown, given twice, or none of the options, or it contains control
            characters.
    """
    given = dict(answers)
    if len(given) < len(answers) or given.keys() - {challenge.guid for challenge in challenges}:
        raise InvalidRequest("An answer belongs to none of the challenges, or a challenge has two answers.")
    if missing := [challenge.label for challenge in challenges if not given.get(challenge.guid)]:
        raise InvalidRequest(f"An answer is missing to: {'; '.join(missing)}")
    return {challenge.key: _value(challenge, given[challenge.guid]) for challenge in challenges}


def _value(challenge: Challenge, answer: str) -> str:
    options = (*challenge.options, *challenge.image_options)
    for option in options:
        if answer in {option.guid, option.value}:
            return option.value
    if options and challenge.type != ChallengeType.TOKEN:
        raise InvalidRequest(f"The answer is none of the options of: {challenge.label}")
    return text.secret(answer)


def refusal_reason(status: ConnectionStatus | None) -> str:
    """The message for a member whose status does not allow a job."""
    match status:
        case ConnectionStatus.PENDING:
            return "The user has not finished signing in at the institution."
        case ConnectionStatus.PREVENTED | ConnectionStatus.IMPORTED:
            return "The member needs new credentials first."
        case ConnectionStatus.CHALLENGED:
            return "The member has challenges that must be answered first."
        case _:
            return "The institution no longer offers this connection."
