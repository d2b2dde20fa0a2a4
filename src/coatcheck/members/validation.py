"""Whether what was asked for and entered is right, before anything is written. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.errors import InvalidRequest, JobNotSupported
from coatcheck.members.records import Challenge
from coatcheck.model.statuses import ConnectionStatus

NOTHING: Mapping[str, str] = MappingProxyType({})


def check_offered(institution: Institution, kinds: Sequence[JobKind]) -> None:
    """Passes where the institution offers every one of the kinds.

    Raises:
        JobNotSupported: it does not.
    """
    if missing := [kind for kind in kinds if kind not in institution.supports]:
        raise JobNotSupported(f"{institution.name} does not support {missing[0].lower()}.")


def how_to_connect(institution: Institution) -> str:
    """For who came the wrong way."""
    if institution.supports_oauth:
        return f"{institution.name} has its own sign-in page: set is_oauth and send no credentials."
    return f"{institution.name} has no sign-in page of its own: send its credentials, without is_oauth."


def entered(
    institution: Institution, credentials: Mapping[str, str], kept: Mapping[str, str] = NOTHING
) -> dict[str, str]:
    """The values by field name: those entered, else those kept.

    Raises:
        InvalidRequest: a guid is not of this institution, or a field stays empty.
    """
    names = {field.guid: field.field_name for field in institution.credentials}
    if credentials.keys() - names.keys():
        raise InvalidRequest(f"{institution.name} has no such credential.")
    values = {**kept, **{names[guid]: value for guid, value in credentials.items()}}
    if missing := [field.label for field in institution.credentials if not values.get(field.field_name)]:
        raise InvalidRequest(f"{institution.name} needs: {', '.join(missing)}.")
    return {name: values[name] for name in names.values()}


def answered(challenges: Sequence[Challenge], answers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The answers by the connector's own names; of options, the value.

    Raises:
        InvalidRequest: one is missing, unknown, doubled, or none of the options.
    """
    given = dict(answers)
    if len(given) < len(answers) or given.keys() - {each.guid for each in challenges}:
        raise InvalidRequest("An answer is not to any of the challenges, or there are two to one.")
    if missing := [each.label for each in challenges if not given.get(each.guid)]:
        raise InvalidRequest(f"An answer is missing to: {'; '.join(missing)}")
    return {each.key: _chosen(each, given[each.guid]) for each in challenges}


def _chosen(challenge: Challenge, value: str) -> str:
    offered = (*challenge.options, *challenge.image_options)
    for option in offered:
        if value in {option.guid, option.value}:
            return option.value
    if offered:
        raise InvalidRequest(f"Not one of the options of: {challenge.label}")
    return value


def why_not(status: ConnectionStatus | None) -> str:
    """What has to happen before a job may start."""
    match status:
        case ConnectionStatus.PENDING:
            return "The user has not finished signing in at the institution."
        case ConnectionStatus.PREVENTED | ConnectionStatus.IMPORTED:
            return "The member needs new credentials first."
        case ConnectionStatus.CHALLENGED:
            return "The member waits for an answer first."
        case _:
            return "The institution no longer offers this connection."
