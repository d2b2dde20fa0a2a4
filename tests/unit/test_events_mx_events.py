"""The payloads of events have MX's format and contain no other data."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from coatcheck.api.schemas.members import MemberResponseV20250224
from coatcheck.events import mx_events
from coatcheck.events.mx_events import Action, Event, TransactionCounts
from coatcheck.model.members import Member
from coatcheck.model.micro_deposits import MicroDeposit
from coatcheck.model.mx_codes import ACTIONABLE, CONNECTION_STATUS_IDS
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.users import User

AT = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
UNIX = 1769903999

MEMBER = Member(
    guid="MBR-1",
    user_guid="USR-1",
    user_id="u-1",
    client_guid="CLT-1",
    institution_code="mxbank",
    institution_guid="INS-1",
    name="MX Bank {name}",
    id="m-1",
    metadata="{}",
    connection_status="CONNECTED",
    is_oauth=False,
    is_manual=False,
    background_aggregation_is_disabled=False,
    use_cases=None,
    most_recent_job_guid="JOB-1",
    aggregated_at=AT,
    successfully_aggregated_at=None,
    created_at=AT,
    updated_at=AT,
    is_being_aggregated=True,
    is_authenticated=True,
    has_processed_accounts=True,
    has_processed_account_numbers=False,
    has_processed_transactions=False,
)
USER = User("USR-1", "CLT-1", "u-1", "ann@example.com", "free text", is_disabled=False, created_at=AT)
DEPOSIT = MicroDeposit(
    guid="MIC-1",
    user_guid="USR-1",
    client_guid="CLT-1",
    account_type="SAVINGS",
    institution_code="mxbank",
    institution_name="MX Bank",
    status="VERIFIED",
    error_message=None,
    wrong_attempts=0,
    arrives_at=None,
    verified_at=AT,
    created_at=AT,
    updated_at=AT,
)
DATA_UPDATED = {
    "action": "member_data_updated",
    "completed_at": UNIX,
    "completed_on": "2026-01-31",
    "member_guid": "MBR-1",
    "user_guid": "USR-1",
}


def payload(event: Event) -> Any:
    return json.loads(event.payload)


@pytest.mark.parametrize(
    ("event", "more"),
    [
        (
            mx_events.aggregation(
                MEMBER,
                "JOB-1",
                AT,
                is_background=True,
                transactions=TransactionCounts(created=3, updated=2),
                callback_payload="echo",
            ),
            {
                "type": "AGGREGATION",
                "is_background": True,
                "job_guid": "JOB-1",
                "transactions_created_count": 3,
                "transactions_updated_count": 2,
                "user_id": "u-1",
            },
        ),
        (mx_events.balance(MEMBER, AT, callback_payload="echo"), {"type": "BALANCE"}),
        (
            mx_events.history(
                MEMBER,
                AT,
                transactions=TransactionCounts(created=3, updated=2),
                callback_payload="echo",
            ),
            {"type": "HISTORY", "transactions_created_count": 3, "transactions_updated_count": 2},
        ),
        (
            mx_events.statement(MEMBER, AT, statements_created_count=4, callback_payload="echo"),
            {"type": "STATEMENT", "statements_created_count": 4},
        ),
        (
            mx_events.verification(
                MEMBER, "JOB-1", AT, account_guids=["ACT-1", "ACT-2"], callback_payload="echo"
            ),
            {
                "type": "VERIFICATION",
                "accounts": ["ACT-1", "ACT-2"],
                "job_guid": "JOB-1",
                "user_id": "u-1",
            },
        ),
    ],
)
def test_an_event_about_new_data_has_the_keys_of_mx(event: Event, more: dict[str, object]) -> None:
    assert payload(event) == DATA_UPDATED | more
    assert event.type == more["type"]
    assert event.callback_payload == "echo"


def test_the_event_of_initial_data_has_the_keys_of_mx_and_a_guid_of_its_own() -> None:
    event, other = (mx_events.initial_data_ready(MEMBER, callback_payload="echo") for _ in range(2))
    body = payload(event)
    assert UUID(body.pop("guid")) != UUID(payload(other)["guid"])
    assert body == {
        "type": "initial_data_ready",
        "client_guid": "CLT-1",
        "user_guid": "USR-1",
        "member_guid": "MBR-1",
    }
    assert (event.type, event.callback_payload) == ("INITIAL_DATA_READY", "echo")


def test_the_ids_of_statuses_are_those_of_mx() -> None:
    assert sorted(CONNECTION_STATUS_IDS.values()) == list(range(22))
    assert set(CONNECTION_STATUS_IDS) == set(ConnectionStatus)
    assert (
        CONNECTION_STATUS_IDS[ConnectionStatus.CONNECTED],
        CONNECTION_STATUS_IDS[ConnectionStatus.PENDING],
    ) == (6, 21)


@pytest.mark.parametrize("status", list(ConnectionStatus))
def test_only_a_status_that_the_end_user_can_act_on_has_an_event(status: ConnectionStatus) -> None:
    event = mx_events.connection_status(MEMBER, status, callback_payload="echo")
    actionable = ["CHALLENGED", "DENIED", "EXPIRED", "IMPAIRED", "IMPEDED", "LOCKED", "PREVENTED", "REJECTED"]
    assert {item.value for item in ACTIONABLE} == set(actionable)
    if status.value not in actionable:
        assert event is None
        return
    assert event is not None
    body = payload(event)
    assert "MX Bank {name}" in body.pop("connection_status_message")
    assert body == {
        "action": "CHANGED",
        "connection_status": status.value,
        "connection_status_id": CONNECTION_STATUS_IDS[status],
        "member_guid": "MBR-1",
        "type": "CONNECTION_STATUS",
        "user_guid": "USR-1",
    }
    assert event.callback_payload == "echo"


@pytest.mark.parametrize("action", list(Action))
def test_a_member_event_has_all_fields_unix_times_and_the_id_of_the_status(action: Action) -> None:
    event = mx_events.member(action, replace(MEMBER, revision=7), callback_payload="echo")
    body = payload(event)
    assert body["action"] == action.value
    sent = body["member"]
    assert (sent["connection_status"], sent["connection_status_id"]) == ("CONNECTED", 6)
    assert {key: value for key, value in sent.items() if key.endswith("_at")} == {
        "aggregated_at": UNIX,
        "created_at": UNIX,
        "successfully_aggregated_at": None,
        "updated_at": UNIX,
    }
    assert sent["revision"] == 7
    assert (sent["guid"], sent["id"], sent["user_guid"], sent["user_id"]) == ("MBR-1", "m-1", "USR-1", "u-1")
    assert event.callback_payload == "echo"


def test_a_member_event_has_every_field_of_the_member_that_the_api_returns() -> None:
    sent = payload(mx_events.member(Action.UPDATED, MEMBER))["member"]
    assert {each.name for each in msgspec.structs.fields(MemberResponseV20250224)} <= sent.keys()
    # The secret of a sign-in window is for the client's own request alone.
    assert (sent["most_recent_job_guid"], sent["oauth_window_uri"]) == ("JOB-1", None)
    assert (sent["needs_updated_credentials"], sent["use_cases"]) == (False, [])
    denied = replace(MEMBER, connection_status="DENIED", use_cases=["PFM"])
    sent = payload(mx_events.member(Action.UPDATED, denied))["member"]
    assert (sent["needs_updated_credentials"], sent["use_cases"]) == (True, ["PFM"])


def test_a_manual_member_has_no_status() -> None:
    sent = payload(mx_events.member(Action.CREATED, replace(MEMBER, connection_status=None)))["member"]
    assert (sent["connection_status"], sent["connection_status_id"]) == (None, None)


@pytest.mark.parametrize("action", list(Action))
def test_a_user_event_has_no_email_address(action: Action) -> None:
    assert payload(mx_events.user(action, replace(USER, revision=7))) == {
        "action": action.value,
        "user": {
            "email": None,
            "guid": "USR-1",
            "id": "u-1",
            "is_disabled": False,
            "metadata": "free text",
            "revision": 7,
        },
    }


def test_a_micro_deposit_event_has_no_account_numbers() -> None:
    body = payload(mx_events.micro_deposit(Action.UPDATED, DEPOSIT, user_id="u-1", institution_guid="INS-1"))
    assert body == {
        "action": "updated",
        "version": 1,
        "micro_deposit": {
            "account_number": None,
            "account_type": 2,
            "created_at": "2026-01-31T23:59:59.000+00:00",
            "guid": "MIC-1",
            "institution_guid": "INS-1",
            "routing_number": None,
            "status": 3,
            "status_name": "VERIFIED",
            "updated_at": "2026-01-31T23:59:59.000+00:00",
            "user_guid": "USR-1",
            "user_id": "u-1",
            "verified_at": "2026-01-31T23:59:59.000+00:00",
        },
    }
