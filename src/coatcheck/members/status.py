"""The state machine of a member's connection status. Pure.

         credentials                    oauth
             |                            |
          CREATED <---- completed --- PENDING --- refused ---> DENIED
             |
             +<--- UPDATED (new credentials) --- RECONNECTED (a job after an error) ---+
             |                                                                         |
        [ the job ]--- asked ---> CHALLENGED --- answered ---> RESUMED --> [ the job ] |
             |                        |                                                |
             |                        `--- not answered ---> EXPIRED ------------------+
             |--- succeeded ---> CONNECTED                                             |
             |--- a bank error: DENIED REJECTED LOCKED IMPEDED IMPAIRED                |
             |      DISCONNECTED CLOSED DELAYED FAILED, DEGRADED in the background ----+
             |--- DENIED for the third time ---> PREVENTED     until the credentials change
             |--- the institution was discontinued ---> DISCONTINUED  permanently
             `--- the user is disabled --------> DISABLED -----------------------------'

The operator can disconnect a member in every status. A manual member has no status. IMPORTED is a migrated member
that has no credentials yet, or that of the statement files of a user.
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
    "STATUS_POLICIES",
    "MemberEvent",
    "StatusPolicy",
    "status_after_failure",
    "status_after_start",
    "transition",
]

MAX_CREDENTIAL_FAILURES = 3
"""Consecutive failures. Then no job starts until the credentials change (MX docs: PREVENTED)."""


@dataclass(frozen=True, slots=True)
class StatusPolicy:
    """Whether a member in a status can start a job, and which status it has during the job."""

    on_start: Status | None
    """The status while the job runs. None: no job can start."""
    in_background: bool = False
    """Whether the daily aggregation reads the member."""


STATUS_POLICIES: Mapping[Status, StatusPolicy] = MappingProxyType(
    {
        Status.CREATED: StatusPolicy(Status.CREATED, in_background=True),
        Status.PREVENTED: StatusPolicy(None),
        Status.DENIED: StatusPolicy(Status.RECONNECTED),
        Status.CHALLENGED: StatusPolicy(None),
        Status.REJECTED: StatusPolicy(Status.RECONNECTED),
        Status.LOCKED: StatusPolicy(Status.RECONNECTED),
        Status.CONNECTED: StatusPolicy(Status.CONNECTED, in_background=True),
        Status.IMPEDED: StatusPolicy(Status.RECONNECTED),
        Status.RECONNECTED: StatusPolicy(Status.RECONNECTED, in_background=True),
        Status.DEGRADED: StatusPolicy(Status.RECONNECTED, in_background=True),
        Status.DISCONNECTED: StatusPolicy(Status.RECONNECTED),
        Status.DISCONTINUED: StatusPolicy(None),
        Status.CLOSED: StatusPolicy(Status.RECONNECTED),
        Status.DELAYED: StatusPolicy(Status.RECONNECTED, in_background=True),
        Status.FAILED: StatusPolicy(Status.RECONNECTED, in_background=True),
        Status.UPDATED: StatusPolicy(Status.UPDATED, in_background=True),
        Status.DISABLED: StatusPolicy(Status.RECONNECTED),
        Status.IMPORTED: StatusPolicy(None),
        Status.RESUMED: StatusPolicy(Status.RECONNECTED),
        Status.EXPIRED: StatusPolicy(Status.RECONNECTED),
        Status.IMPAIRED: StatusPolicy(Status.RECONNECTED),
        Status.PENDING: StatusPolicy(None),
    }
)

BACKGROUND = frozenset(status for status, policy in STATUS_POLICIES.items() if policy.in_background)


class MemberEvent(StrEnum):
    """What can happen to a member, apart from bank errors."""

    #: The member was created with credentials.
    CREDENTIALS_GIVEN = "CREDENTIALS_GIVEN"
    #: The member was created for a sign-in at the institution's page.
    OAUTH_STARTED = "OAUTH_STARTED"
    #: The member was migrated without credentials.
    IMPORTED = "IMPORTED"
    #: The user signed in at the institution's page.
    OAUTH_COMPLETED = "OAUTH_COMPLETED"
    #: The user or the institution refused.
    OAUTH_REFUSED = "OAUTH_REFUSED"
    #: The credentials were replaced.
    CREDENTIALS_CHANGED = "CREDENTIALS_CHANGED"
    #: The institution asked questions.
    ASKED = "ASKED"
    #: The user answered.
    ANSWERED = "ANSWERED"
    #: The questions were not answered in time.
    NOT_ANSWERED = "NOT_ANSWERED"
    #: The job succeeded.
    SUCCEEDED = "SUCCEEDED"
    #: The job was claimed too often without a result.
    EXHAUSTED = "EXHAUSTED"
    #: The user is disabled.
    USER_DISABLED = "USER_DISABLED"
    #: The operator ended the client's connections to the institution.
    OPERATOR_DISCONNECTED = "OPERATOR_DISCONNECTED"


EVERY = frozenset(Status)
UNCHANGED: Mapping[Status | None, Status] = MappingProxyType({status: status for status in EVERY})


def _to(next_status: Status, statuses: Iterable[Status | None]) -> dict[Status | None, Status]:
    return dict.fromkeys(statuses, next_status)


TRANSITIONS: Mapping[MemberEvent, Mapping[Status | None, Status]] = MappingProxyType(
    {
        MemberEvent.CREDENTIALS_GIVEN: {None: Status.CREATED},
        MemberEvent.OAUTH_STARTED: {None: Status.PENDING},
        MemberEvent.IMPORTED: {None: Status.IMPORTED},
        # The user can return from the institution after the status has changed.
        MemberEvent.OAUTH_COMPLETED: _to(Status.RECONNECTED, EVERY) | {Status.PENDING: Status.CREATED},
        # A user who cancels a second sign-in keeps the working connection.
        MemberEvent.OAUTH_REFUSED: {**UNCHANGED, Status.PENDING: Status.DENIED},
        MemberEvent.CREDENTIALS_CHANGED: _to(Status.UPDATED, EVERY - {Status.PENDING, Status.DISCONTINUED}),
        MemberEvent.ASKED: _to(Status.CHALLENGED, EVERY),
        MemberEvent.ANSWERED: {Status.CHALLENGED: Status.RESUMED},
        MemberEvent.NOT_ANSWERED: {Status.CHALLENGED: Status.EXPIRED},
        # The result of a job counts in every status: the job still held its lease.
        MemberEvent.SUCCEEDED: _to(Status.CONNECTED, EVERY),
        MemberEvent.EXHAUSTED: _to(Status.FAILED, EVERY),
        MemberEvent.USER_DISABLED: _to(Status.DISABLED, EVERY),
        MemberEvent.OPERATOR_DISCONNECTED: _to(Status.DISCONNECTED, EVERY),
    }
)


def transition(event: MemberEvent, status: Status | None) -> Status | None:
    """The status after the event. None: the event cannot happen in this status."""
    return TRANSITIONS[event].get(status)


def status_after_start(status: Status | None) -> Status | None:
    """The status while a new job runs. None: no job can start."""
    return STATUS_POLICIES[status].on_start if status else None


def status_after_failure(error: BankError, *, credential_failures: int, is_background: bool) -> Status:
    """The status after a bank error.

    Args:
        error: the error that ended the job.
        credential_failures: how often the credentials were denied consecutively, including this error.
        is_background: whether it was the daily aggregation, for which a temporary failure is DEGRADED.
    """
    if isinstance(error, CredentialsDenied) and credential_failures >= MAX_CREDENTIAL_FAILURES:
        return Status.PREVENTED
    if error.may_pass and is_background:
        return Status.DEGRADED
    return Status(error.status)
