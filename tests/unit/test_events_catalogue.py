"""How the data of an event is stored."""

import json
from datetime import UTC, datetime

import pytest

from coatcheck.events.catalogue import CATALOGUE, EventType, StoredEvent, sample, stored_data

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
GRANT = ["processor_guid", "user_guid", "member_guid", "account_guid", "expires_at"]
ACCOUNT = ["member_guid", "user_guid", "grant_guids"]
MEMBER = ["user_guid", "institution_code", "connection_status"]
STORED = {
    "token.expiring": GRANT,
    "token.expired": GRANT,
    "token.revoked": [*GRANT, "revoked_by"],
    "token.suspended": GRANT,
    "token.resumed": GRANT,
    "account_numbers.changed": ACCOUNT,
    "account.closed": ACCOUNT,
    "account_owners.changed": ACCOUNT,
    "transactions.available": [*ACCOUNT, "created_count", "updated_count"],
    "consent.changed": [*GRANT, "version", "cause"],
    "code.redeemed": GRANT,
    "code.expired": ["member_guid", "user_guid", "processor_guid"],
    "code.refused": ["processor_guid", "reason"],
    "connection.broken": [*MEMBER, "grant_guids"],
    "connection.repaired": [*MEMBER, "grant_guids"],
    "member.created": MEMBER,
    "member.updated": MEMBER,
    "member.status_changed": MEMBER,
    "member.deleted": MEMBER,
    "user.created": [],
    "user.updated": [],
    "user.deleted": [],
}
"""What stored events contain, in this order. A new field is the last of its type."""


def test_the_order_in_which_fields_are_stored_does_not_change() -> None:
    assert {type_.value: list(described.stored) for type_, described in CATALOGUE.items()} == STORED


@pytest.mark.parametrize("event_type", EventType)
def test_what_is_stored_gives_the_same_data(event_type: EventType) -> None:
    data = sample(event_type)
    stored = stored_data(event_type, data)
    assert not any(name in stored for name in data)
    event = StoredEvent("EVT-1", event_type, str(data[CATALOGUE[event_type].object]), 1, stored, AT, AT)
    assert event.data == data


def test_an_event_that_was_stored_with_the_names_is_read_too() -> None:
    data = sample(EventType.CODE_REDEEMED)
    event = StoredEvent("EVT-1", "code.redeemed", str(data["grant_guid"]), 1, json.dumps(data), AT, AT)
    assert event.data == data
