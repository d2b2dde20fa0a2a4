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
    "MemberEvent",
    "StatusPolicy",
    "status_after_failure",
    "status_after_start",
    "transition",
]

MAX_CREDENTIAL_FAILURES = 3
"""In a row; then nothing is tried until the credentials change (MX docs: PREVENTED)."""


@dataclass(frozen=True, slots=True)
class StatusPolicy:
    """What a status means for the next job."""

    on_start: Status | None
    """The status while that job is on its way; None where none may start."""
    is_error: bool = False
    in_background: bool = False
    """Whether the member is read daily without anybody asking."""


TRAITS: Mapping[Status, StatusPolicy] = MappingProxyType(
    {
        Status.CREATED: StatusPolicy(Status.CREATED, in_background=True),
        Status.PREVENTED: StatusPolicy(None, is_error=True),
        Status.DENIED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.CHALLENGED: StatusPolicy(None),
        Status.REJECTED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.LOCKED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.CONNECTED: StatusPolicy(Status.CONNECTED, in_background=True),
        Status.IMPEDED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.RECONNECTED: StatusPolicy(Status.RECONNECTED, in_background=True),
        Status.DEGRADED: StatusPolicy(Status.RECONNECTED, is_error=True, in_background=True),
        Status.DISCONNECTED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.DISCONTINUED: StatusPolicy(None, is_error=True),
        Status.CLOSED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.DELAYED: StatusPolicy(Status.RECONNECTED, is_error=True, in_background=True),
        Status.FAILED: StatusPolicy(Status.RECONNECTED, is_error=True, in_background=True),
        Status.UPDATED: StatusPolicy(Status.UPDATED, in_background=True),
        Status.DISABLED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.IMPORTED: StatusPolicy(None, is_error=True),
        Status.RESUMED: StatusPolicy(Status.RECONNECTED),
        Status.EXPIRED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.IMPAIRED: StatusPolicy(Status.RECONNECTED, is_error=True),
        Status.PENDING: StatusPolicy(None),
    }
)

BACKGROUND = frozenset(status for status, traits in TRAITS.items() if traits.in_background)


class MemberEvent(StrEnum):
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


NEXT: Mapping[MemberEvent, Mapping[Status | None, Status]] = MappingProxyType(
    {
        MemberEvent.CREDENTIALS_GIVEN: {None: Status.CREATED},
        MemberEvent.OAUTH_STARTED: {None: Status.PENDING},
        MemberEvent.IMPORTED: {None: Status.IMPORTED},
        MemberEvent.OAUTH_COMPLETED: _to(Status.RECONNECTED, EVERY) | {Status.PENDING: Status.CREATED},
        # Who only looked at the page again and left has lost nothing.
        MemberEvent.OAUTH_REFUSED: {**UNCHANGED, Status.PENDING: Status.DENIED},
        MemberEvent.CREDENTIALS_CHANGED: _to(Status.UPDATED, EVERY - {Status.PENDING, Status.DISCONTINUED}),
        MemberEvent.ASKED: _to(Status.CHALLENGED, EVERY),
        MemberEvent.ANSWERED: {Status.CHALLENGED: Status.RESUMED},
        MemberEvent.NOT_ANSWERED: {Status.CHALLENGED: Status.EXPIRED},
        MemberEvent.SUCCEEDED: _to(Status.CONNECTED, EVERY),
        MemberEvent.EXHAUSTED: _to(Status.FAILED, EVERY),
        MemberEvent.USER_DISABLED: _to(Status.DISABLED, EVERY),
    }
)


def transition(member_event: MemberEvent, status: Status | None) -> Status | None:
    """The status after the step; None where the step cannot happen in this status."""
    return NEXT[member_event].get(status)


def status_after_start(status: Status | None) -> Status | None:
    """The status while a new job is on its way; None where none may start."""
    return TRAITS[status].on_start if status else None


def status_after_failure(error: BankError, *, credential_failures: int, is_background: bool) -> Status:
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
