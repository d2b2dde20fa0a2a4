"""The texts that the templates do not contain: names of roles, and pages about refusals."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from coatcheck import errors
from coatcheck.events.delivery import DeliveryStatus
from coatcheck.events.endpoints import EndpointStatus
from coatcheck.http.i18n import catalogue
from coatcheck.http.i18n import marked as _
from coatcheck.model.jobs import JobView
from coatcheck.model.tokens import GrantStatus
from coatcheck.staff.roles import Role


def translate(locale: str, text: str) -> str:
    return catalogue("dashboard", locale).gettext(text)


ROLES: Mapping[Role, str] = MappingProxyType(
    {
        Role.OPERATOR: _("Operator"),
        Role.CLIENT_ADMIN: _("Client: administrator"),
        Role.CLIENT_DEVELOPER: _("Client: developer"),
        Role.CLIENT_SUPPORT: _("Client: support"),
        Role.CLIENT_AUDITOR: _("Client: auditor"),
        Role.PROCESSOR_ADMIN: _("Processor: administrator"),
        Role.PROCESSOR_DEVELOPER: _("Processor: developer"),
    }
)
JOB_VIEWS: Mapping[JobView, str] = MappingProxyType(
    {
        JobView.RUNNING: _("Running"),
        JobView.STUCK: _("Stuck: no worker has renewed its lease"),
        JobView.QUEUED: _("Queued"),
        JobView.WAITING: _("Waiting for an answer of the user"),
        JobView.FAILED: _("Failed in the last seven days"),
    }
)
GRANT_STATES: Mapping[GrantStatus, str] = MappingProxyType(
    {
        GrantStatus.ACTIVE: _("active"),
        GrantStatus.SUSPENDED: _("suspended"),
        GrantStatus.EXHAUSTED: _("used up"),
        GrantStatus.EXPIRED: _("expired"),
        GrantStatus.REVOKED: _("revoked"),
    }
)

DELIVERY_STATES: Mapping[DeliveryStatus, str] = MappingProxyType(
    {
        DeliveryStatus.PENDING: _("waiting"),
        DeliveryStatus.DELIVERED: _("delivered"),
        DeliveryStatus.FAILED: _("failed"),
    }
)
ENDPOINT_STATES: Mapping[EndpointStatus, str] = MappingProxyType(
    {
        EndpointStatus.ENABLED: _("enabled"),
        EndpointStatus.PAUSED: _("paused"),
        EndpointStatus.DISABLED: _("disabled"),
    }
)


class Period(StrEnum):
    """The days that a page looks back."""

    DAY = "1"
    WEEK = "7"
    MONTH = "30"


PERIODS: Mapping[Period, str] = MappingProxyType(
    {
        Period.DAY: _("Last 24 hours"),
        Period.WEEK: _("Last 7 days"),
        Period.MONTH: _("Last 30 days"),
    }
)


def period_names(locale: str) -> Sequence[tuple[Period, str]]:
    return [(each, translate(locale, name)) for each, name in PERIODS.items()]


def grant_state_names(locale: str) -> Mapping[GrantStatus, str]:
    return {state: translate(locale, name) for state, name in GRANT_STATES.items()}


def delivery_state_names(locale: str) -> Mapping[DeliveryStatus, str]:
    return {state: translate(locale, name) for state, name in DELIVERY_STATES.items()}


def endpoint_state_names(locale: str) -> Mapping[EndpointStatus, str]:
    return {state: translate(locale, name) for state, name in ENDPOINT_STATES.items()}


SESSION_OVER = (
    _("You have been signed out"),
    _("Nothing was changed. Sign in and try again."),
)
INVITATION_OVER = (
    _("This invitation no longer works"),
    _("An invitation works once, for three days. Ask who invited you for a new one."),
)
# A change may have been made although its answer was lost.
FAILED = (
    _("Something went wrong"),
    _("Go back and reload the page in a few minutes. It shows whether your change was made."),
)
REFUSED = _("This change is not possible")
REFUSALS: Mapping[type[errors.CoatcheckError], tuple[str, str]] = MappingProxyType(
    {
        errors.WrongBrowser: (
            _("This form was not sent from this page"),
            _("Nothing was changed. Open the page again and repeat what you did."),
        ),
        errors.ClonedPasskey: (
            _("This passkey was copied"),
            _("It is disabled, and you are signed out everywhere. Ask an administrator to invite you again."),
        ),
        errors.SignInFailed: (
            _("The sign-in failed"),
            _("Open the sign-in page and try again. Only staff who were invited can sign in."),
        ),
        errors.Forbidden: (
            _("Your role does not permit this"),
            _("Ask an administrator of your organisation for another role."),
        ),
        errors.NotFound: (
            _("This page does not exist"),
            _("What it showed may have been removed. Go back and reload the page."),
        ),
        errors.Conflict: (REFUSED, ""),
        errors.ConstraintNotMet: (REFUSED, ""),
        errors.Unprocessable: (REFUSED, ""),
        errors.InvalidRequest: (REFUSED, ""),
        errors.TooManyRequests: (_("Too many attempts"), _("Wait a few minutes, and try again.")),
        errors.Unavailable: FAILED,
    }
)
WITH_PROBLEM = (errors.Conflict, errors.ConstraintNotMet, errors.Unprocessable, errors.InvalidRequest)
"""Errors whose own sentence is shown. It is translated where it is one of `PROBLEMS`."""
PROBLEMS = (
    _("This is not the output of coatcheck conformance processor --json."),
    _("No client has enabled this processor. Ask the operator."),
    _("Give a reason. The audit log keeps it."),
    _("The name must not be empty."),
    _("The accent colour must be #rgb or #rrggbb."),
    _("The privacy URL must be an http or https URL."),
    _("The logo must be an SVG or a PNG picture."),
    _("The logo must have at most 16 kB."),
    _("The e-mail address is not valid."),
    _("A person with this e-mail address is already invited."),
    _("Nobody changes their own role. Ask another administrator."),
    _("Nobody removes themselves. Ask another administrator."),
    _("This passkey is registered already."),
    _("The request is malformed, or a required part is missing."),
)
