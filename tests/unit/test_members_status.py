"""The state machine of the connection status: every status, every event, every bank error."""

import pytest

from coatcheck import errors
from coatcheck.members.status import (
    BACKGROUND,
    MAX_CREDENTIAL_FAILURES,
    STATUS_POLICIES,
    MemberEvent,
    status_after_failure,
    status_after_start,
    transition,
)
from coatcheck.model.statuses import ConnectionStatus

#: status, then: the status while a new job runs (- where none can start), read daily?, and the
#: status after new credentials, after consent, after a refused consent and after an answer that is too late.
#: A dash is "cannot happen".
TABLE = """
CREATED      CREATED      daily UPDATED RECONNECTED CREATED      -
PREVENTED    -            -     UPDATED RECONNECTED PREVENTED    -
DENIED       RECONNECTED  -     UPDATED RECONNECTED DENIED       -
CHALLENGED   -            -     UPDATED RECONNECTED CHALLENGED   EXPIRED
REJECTED     RECONNECTED  -     UPDATED RECONNECTED REJECTED     -
LOCKED       RECONNECTED  -     UPDATED RECONNECTED LOCKED       -
CONNECTED    CONNECTED    daily UPDATED RECONNECTED CONNECTED    -
IMPEDED      RECONNECTED  -     UPDATED RECONNECTED IMPEDED      -
RECONNECTED  RECONNECTED  daily UPDATED RECONNECTED RECONNECTED  -
DEGRADED     RECONNECTED  daily UPDATED RECONNECTED DEGRADED     -
DISCONNECTED RECONNECTED  -     UPDATED RECONNECTED DISCONNECTED -
DISCONTINUED -            -     -       RECONNECTED DISCONTINUED -
CLOSED       RECONNECTED  -     UPDATED RECONNECTED CLOSED       -
DELAYED      RECONNECTED  daily UPDATED RECONNECTED DELAYED      -
FAILED       RECONNECTED  daily UPDATED RECONNECTED FAILED       -
UPDATED      UPDATED      daily UPDATED RECONNECTED UPDATED      -
DISABLED     RECONNECTED  -     UPDATED RECONNECTED DISABLED     -
IMPORTED     -            -     UPDATED RECONNECTED IMPORTED     -
RESUMED      RECONNECTED  -     UPDATED RECONNECTED RESUMED      -
EXPIRED      RECONNECTED  -     UPDATED RECONNECTED EXPIRED      -
IMPAIRED     RECONNECTED  -     UPDATED RECONNECTED IMPAIRED     -
PENDING      -            -     -       CREATED     DENIED       -
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
STATUSES = [ConnectionStatus(row[0]) for row in ROWS]


def named(status: ConnectionStatus | None) -> str:
    return status.value if status else "-"


def test_the_table_has_all_22_statuses():
    assert len(STATUSES) == 22
    assert set(STATUSES) == set(ConnectionStatus) == set(STATUS_POLICIES)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_status_has_the_policy_of_the_table(row):
    status, on_start, daily, credentials, consent, refusal, too_late = row
    status = ConnectionStatus(status)
    assert named(status_after_start(status)) == on_start
    assert (status in BACKGROUND) is (daily == "daily")
    assert named(transition(MemberEvent.CREDENTIALS_CHANGED, status)) == credentials
    assert named(transition(MemberEvent.OAUTH_COMPLETED, status)) == consent
    assert named(transition(MemberEvent.OAUTH_REFUSED, status)) == refusal
    assert named(transition(MemberEvent.NOT_ANSWERED, status)) == too_late


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    ("member_event", "outcome"),
    [
        (MemberEvent.ASKED, ConnectionStatus.CHALLENGED),
        (MemberEvent.SUCCEEDED, ConnectionStatus.CONNECTED),
        (MemberEvent.EXHAUSTED, ConnectionStatus.FAILED),
        (MemberEvent.USER_DISABLED, ConnectionStatus.DISABLED),
        (MemberEvent.OPERATOR_DISCONNECTED, ConnectionStatus.DISCONNECTED),
    ],
)
def test_the_status_after_a_job_does_not_depend_on_the_status_before(member_event, outcome, status):
    assert transition(member_event, status) is outcome


@pytest.mark.parametrize("status", STATUSES)
def test_an_answer_resumes_a_challenged_member_and_no_other(status):
    expected = ConnectionStatus.RESUMED if status is ConnectionStatus.CHALLENGED else None
    assert transition(MemberEvent.ANSWERED, status) is expected


@pytest.mark.parametrize(
    ("member_event", "status"),
    [
        (MemberEvent.CREDENTIALS_GIVEN, ConnectionStatus.CREATED),
        (MemberEvent.OAUTH_STARTED, ConnectionStatus.PENDING),
        (MemberEvent.IMPORTED, ConnectionStatus.IMPORTED),
    ],
)
def test_a_new_member_has_one_of_three_statuses(member_event, status):
    assert transition(member_event, None) is status
    assert [transition(member_event, other) for other in ConnectionStatus] == [None] * 22


@pytest.mark.parametrize(
    "member_event", [member_event for member_event in MemberEvent if transition(member_event, None) is None]
)
def test_a_manual_member_has_no_events(member_event):
    assert transition(member_event, None) is None
    assert status_after_start(None) is None


@pytest.mark.parametrize(
    ("error", "in_foreground", "in_background"),
    [
        (errors.CredentialsDenied, "DENIED", "DENIED"),
        (errors.AnswerRejected, "REJECTED", "REJECTED"),
        (errors.LoginLocked, "LOCKED", "LOCKED"),
        (errors.ActionNeeded, "IMPEDED", "IMPEDED"),
        (errors.CredentialsMissing, "IMPAIRED", "IMPAIRED"),
        (errors.ConsentRevoked, "DISCONNECTED", "DISCONNECTED"),
        (errors.LoginClosed, "CLOSED", "CLOSED"),
        (errors.ConnectionDiscontinued, "DISCONTINUED", "DISCONTINUED"),
        (errors.BankFailed, "FAILED", "DEGRADED"),
        (errors.BankUnavailable, "FAILED", "DEGRADED"),
        (errors.BankTimedOut, "DELAYED", "DEGRADED"),
        (errors.BankRateLimited, "FAILED", "DEGRADED"),
    ],
)
def test_each_bank_error_sets_its_status(error, in_foreground, in_background):
    assert status_after_failure(error(), credential_failures=0, is_background=False).value == in_foreground
    assert status_after_failure(error(), credential_failures=0, is_background=True).value == in_background


@pytest.mark.parametrize("is_background", [False, True])
def test_the_third_denial_in_a_row_prevents_and_no_other_error_does(is_background):
    third = {"credential_failures": MAX_CREDENTIAL_FAILURES, "is_background": is_background}
    second = third | {"credential_failures": MAX_CREDENTIAL_FAILURES - 1}
    assert status_after_failure(errors.CredentialsDenied(), **second) is ConnectionStatus.DENIED
    assert status_after_failure(errors.CredentialsDenied(), **third) is ConnectionStatus.PREVENTED
    assert status_after_failure(errors.LoginLocked(), **third) is ConnectionStatus.LOCKED


def test_every_bank_error_has_a_row():
    known = {
        errors.CredentialsDenied, errors.AnswerRejected, errors.LoginLocked, errors.ActionNeeded,
        errors.CredentialsMissing, errors.ConsentRevoked, errors.LoginClosed, errors.ConnectionDiscontinued,
        errors.BankFailed, errors.BankUnavailable, errors.BankTimedOut, errors.BankRateLimited,
    }  # fmt: skip
    assert set(errors.BankError.__subclasses__()) == known
