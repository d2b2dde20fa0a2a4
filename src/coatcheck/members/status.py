"""Which connection status follows which, and what each allows. Pure: rules only, no I/O.

         credentials                    oauth
             |                            |
          CREATED <---- completed --- PENDING --- refused ---> DENIED
             |
             +<--- UPDATED (new credentials) --- RECONNECTED (a job after an error) ---+
             |                                                                         |
        [ the job ]--- asked ---> CHALLENGED --- answered ---> RESUMED --> [ the job ] |
             |                        |                                                |
             |                        `--- too late ---> EXPIRED ----------------------+
             |--- succeeded ---> CONNECTED                                             |
             |--- the bank's words: DENIED REJECTED LOCKED IMPEDED IMPAIRED            |
             |      DISCONNECTED CLOSED DELAYED FAILED, DEGRADED in the background ----+
             |--- DENIED for the third time ---> PREVENTED     until new credentials come
             |--- the institution went away ---> DISCONTINUED  for good
             `--- the user is disabled --------> DISABLED -----------------------------'

A manual member has no status; IMPORTED is one that came from elsewhere and has yet to bring credentials.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from coatcheck.errors import BankError, CredentialsDenied
from coatcheck.model.statuses import ConnectionStatus as Status

__all__ = [
    "BACKGROUND",
    "MAX_CREDENTIAL_FAILURES",
    "TRAITS",
    "Step",
    "Traits",
    "after",
    "after_failure",
    "after_start",
]

MAX_CREDENTIAL_FAILURES = 3
"""In a row; then nothing is tried until the credentials change (MX docs: PREVENTED)."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a status means for the next job."""

    on_start: Status | None
    """The status while that job is on its way; None where none may start."""
    is_error: bool = False
    in_background: bool = False
    """Whether the member is read daily without anybody asking."""


TRAITS: Mapping[Status, Traits] = MappingProxyType(
    {
        Status.CREATED: Traits(Status.CREATED, in_background=True),
        Status.PREVENTED: Traits(None, is_error=True),
        Status.DENIED: Traits(Status.RECONNECTED, is_error=True),
        Status.CHALLENGED: Traits(None),
        Status.REJECTED: Traits(Status.RECONNECTED, is_error=True),
        Status.LOCKED: Traits(Status.RECONNECTED, is_error=True),
        Status.CONNECTED: Traits(Status.CONNECTED, in_background=True),
        Status.IMPEDED: Traits(Status.RECONNECTED, is_error=True),
        Status.RECONNECTED: Traits(Status.RECONNECTED, in_background=True),
        Status.DEGRADED: Traits(Status.RECONNECTED, is_error=True, in_background=True),
        Status.DISCONNECTED: Traits(Status.RECONNECTED, is_error=True),
        Status.DISCONTINUED: Traits(None, is_error=True),
        Status.CLOSED: Traits(Status.RECONNECTED, is_error=True),
        Status.DELAYED: Traits(Status.RECONNECTED, is_error=True, in_background=True),
        Status.FAILED: Traits(Status.RECONNECTED, is_error=True, in_background=True),
        Status.UPDATED: Traits(Status.UPDATED, in_background=True),
        Status.DISABLED: Traits(Status.RECONNECTED, is_error=True),
        Status.IMPORTED: Traits(None, is_error=True),
        Status.RESUMED: Traits(Status.RECONNECTED),
        Status.EXPIRED: Traits(Status.RECONNECTED, is_error=True),
        Status.IMPAIRED: Traits(Status.RECONNECTED, is_error=True),
        Status.PENDING: Traits(None),
    }
)

BACKGROUND = frozenset(status for status, traits in TRAITS.items() if traits.in_background)


class Step(StrEnum):
    """What can happen to a member, but for what a bank says."""

    #: The member is new and came with credentials.
    CREDENTIALS_GIVEN = "CREDENTIALS_GIVEN"
    #: The member is new and its user is sent to the bank's own sign-in page.
    OAUTH_STARTED = "OAUTH_STARTED"
    #: The member came from elsewhere, without credentials.
    IMPORTED = "IMPORTED"
    #: The user consented at the bank.
    OAUTH_COMPLETED = "OAUTH_COMPLETED"
    #: The user or the bank said no.
    OAUTH_REFUSED = "OAUTH_REFUSED"
    #: The credentials were replaced.
    CREDENTIALS_CHANGED = "CREDENTIALS_CHANGED"
    #: The bank asks.
    ASKED = "ASKED"
    #: The user answered.
    ANSWERED = "ANSWERED"
    #: Nobody answered in time.
    NOT_ANSWERED = "NOT_ANSWERED"
    #: The job got what it went for.
    SUCCEEDED = "SUCCEEDED"
    #: The job was picked up too often without coming to an end.
    EXHAUSTED = "EXHAUSTED"
    #: The user is disabled.
    USER_DISABLED = "USER_DISABLED"


EVERY = frozenset(Status)
UNCHANGED: Mapping[Status | None, Status] = MappingProxyType({status: status for status in EVERY})


def _to(next_status: Status, statuses: Iterable[Status | None]) -> dict[Status | None, Status]:
    return dict.fromkeys(statuses, next_status)


NEXT: Mapping[Step, Mapping[Status | None, Status]] = MappingProxyType(
    {
        Step.CREDENTIALS_GIVEN: {None: Status.CREATED},
        Step.OAUTH_STARTED: {None: Status.PENDING},
        Step.IMPORTED: {None: Status.IMPORTED},
        Step.OAUTH_COMPLETED: _to(Status.RECONNECTED, EVERY) | {Status.PENDING: Status.CREATED},
        # Who only looked at the page again and left has lost nothing.
        Step.OAUTH_REFUSED: {**UNCHANGED, Status.PENDING: Status.DENIED},
        Step.CREDENTIALS_CHANGED: _to(Status.UPDATED, EVERY - {Status.PENDING, Status.DISCONTINUED}),
        Step.ASKED: _to(Status.CHALLENGED, EVERY),
        Step.ANSWERED: {Status.CHALLENGED: Status.RESUMED},
        Step.NOT_ANSWERED: {Status.CHALLENGED: Status.EXPIRED},
        Step.SUCCEEDED: _to(Status.CONNECTED, EVERY),
        Step.EXHAUSTED: _to(Status.FAILED, EVERY),
        Step.USER_DISABLED: _to(Status.DISABLED, EVERY),
    }
)


def after(step: Step, status: Status | None) -> Status | None:
    """The status after the step; None where the step cannot happen in this status."""
    return NEXT[step].get(status)


def after_start(status: Status | None) -> Status | None:
    """The status while a new job is on its way; None where none may start."""
    return TRAITS[status].on_start if status else None


def after_failure(error: BankError, *, credential_failures: int, is_background: bool) -> Status:
    """The status that what the bank said leads to.

    Args:
        error: what it said.
        credential_failures: how many it were in a row, with this one.
        is_background: nobody waits for this job, so that trouble which may pass is no failure yet.
    """
    if isinstance(error, CredentialsDenied) and credential_failures >= MAX_CREDENTIAL_FAILURES:
        return Status.PREVENTED
    if error.may_pass and is_background:
        return Status.DEGRADED
    return Status(error.status)
