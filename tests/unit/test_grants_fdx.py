"""A grant as an FDX consent: every status, permission and duration, in the shape of FDX 6.3."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import pytest

from coatcheck.grants.fdx import FdxParty, PartyType, fdx_consent, fdx_consent_id
from coatcheck.management.schemas.fdx import fdx_consent_body
from coatcheck.model.tokens import Grant, GrantStatus

CREATED = datetime(2026, 11, 26, 12, 0, 0, 250_000, tzinfo=UTC)
GRANT = Grant(
    guid="TKN-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11",
    status="active",
    processor_guid="PPR-1",
    processor_name="Acme Payments",
    client_guid="CLT-1",
    user_guid="USR-1",
    member_guid="MBR-1",
    account_guid="ACT-1",
    scope="user-guid:USR-1 member-guid:MBR-1 account-guid:ACT-1 read-protected",
    permissions=["numbers", "owners", "transactions", "balances", "statements"],
    created_at=CREATED,
    expires_at=CREATED + timedelta(days=60),
    max_reads=None,
    reads=0,
    lookback_days=None,
    last_read_at=None,
    version=1,
    revoked_at=None,
    revoked_by=None,
    revoked_because=None,
    disclosure_text=None,
    disclosed_at=None,
    simplefin_access_guid=None,
)
PARTIES = [
    FdxParty("Acme Payments", PartyType.RECIPIENT, "https://coatcheck.example", "PPR-1"),
    FdxParty("Acme", PartyType.PLATFORM, "https://coatcheck.example", "CLT-1"),
    FdxParty("MX Bank", PartyType.PROVIDER, "https://bank.example", "INS-1"),
]
IDENTIFIER = {"type": "string", "minLength": 1, "maxLength": 256}
TIMESTAMP = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
CONSENT_GRANT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "status", "parties", "createdTime", "expirationTime", "durationType", "resources"],
    "properties": {
        "id": IDENTIFIER,
        "status": {"enum": ["ACTIVE", "EXPIRED", "REVOKED"]},
        "parties": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    "name",
                    "type",
                    "homeUri",
                    "registry",
                    "registeredEntityName",
                    "registeredEntityId",
                ],
                "properties": {
                    "name": {"type": "string"},
                    "type": {"enum": ["DATA_ACCESS_PLATFORM", "DATA_PROVIDER", "DATA_RECIPIENT"]},
                    "homeUri": {"type": "string", "pattern": "^https?://"},
                    "registry": {"enum": ["FDX", "GLEIF", "ICANN", "PRIVATE"]},
                    "registeredEntityName": {"type": "string"},
                    "registeredEntityId": {"type": "string"},
                },
            },
        },
        "createdTime": TIMESTAMP,
        "expirationTime": TIMESTAMP,
        "updatedTime": TIMESTAMP,
        "durationType": {"enum": ["ONE_TIME", "PERSISTENT", "TIME_BOUND"]},
        "durationPeriod": {"type": "integer", "minimum": 1},
        "lookbackPeriod": {"type": "integer", "minimum": 1},
        "resources": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["resourceType", "resourceId", "dataClusters"],
                "properties": {
                    "resourceType": {"enum": ["ACCOUNT", "CUSTOMER", "DOCUMENT"]},
                    "resourceId": IDENTIFIER,
                    "dataClusters": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "enum": [
                                "ACCOUNT_BASIC",
                                "ACCOUNT_DETAILED",
                                "CUSTOMER_CONTACT",
                                "CUSTOMER_PERSONAL",
                                "PAYMENT_SUPPORT",
                                "STATEMENTS",
                                "TRANSACTIONS",
                            ]
                        },
                    },
                },
            },
        },
    },
}
"""ConsentGrant of FDX 6.3, as far as this server uses it."""


def answer(**changes: Any) -> Any:
    shown = msgspec.json.decode(
        msgspec.json.encode(fdx_consent_body(fdx_consent(replace(GRANT, **changes), PARTIES)))
    )
    jsonschema.validate(shown, CONSENT_GRANT)
    return shown


def test_a_grant_has_the_shape_and_the_names_of_fdx() -> None:
    assert answer() == {
        "id": "0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11",
        "status": "ACTIVE",
        "parties": [
            {
                "name": each.name,
                "type": each.type,
                "homeUri": each.home_uri,
                "registry": "PRIVATE",
                "registeredEntityName": each.name,
                "registeredEntityId": each.registered_entity_id,
            }
            for each in PARTIES
        ],
        "createdTime": "2026-11-26T12:00:00.250000Z",
        "expirationTime": "2027-01-25T12:00:00.250000Z",
        "durationType": "TIME_BOUND",
        "durationPeriod": 60,
        "resources": [
            {
                "resourceType": "ACCOUNT",
                "resourceId": "ACT-1",
                "dataClusters": ["ACCOUNT_DETAILED", "PAYMENT_SUPPORT", "TRANSACTIONS", "STATEMENTS"],
            },
            {"resourceType": "CUSTOMER", "resourceId": "USR-1", "dataClusters": ["CUSTOMER_CONTACT"]},
        ],
    }


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("active", "ACTIVE"),
        ("suspended", "ACTIVE"),
        ("expired", "EXPIRED"),
        ("exhausted", "EXPIRED"),
        ("revoked", "REVOKED"),
    ],
)
def test_every_status_of_a_grant_is_one_of_fdx_s(status: str, shown: str) -> None:
    assert answer(status=status)["status"] == shown


def test_no_status_is_missing_in_the_table() -> None:
    assert {answer(status=each)["status"] for each in GrantStatus} == {"ACTIVE", "EXPIRED", "REVOKED"}


@pytest.mark.parametrize(
    ("permissions", "resources"),
    [
        (["balances"], [("ACCOUNT", ["ACCOUNT_DETAILED"])]),
        (["numbers"], [("ACCOUNT", ["PAYMENT_SUPPORT"])]),
        (["transactions"], [("ACCOUNT", ["TRANSACTIONS"])]),
        (["statements"], [("ACCOUNT", ["STATEMENTS"])]),
        (["owners"], [("CUSTOMER", ["CUSTOMER_CONTACT"])]),
        (
            ["owners", "transactions"],
            [("ACCOUNT", ["TRANSACTIONS"]), ("CUSTOMER", ["CUSTOMER_CONTACT"])],
        ),
    ],
)
def test_a_permission_is_a_data_cluster(
    permissions: list[str], resources: list[tuple[str, list[str]]]
) -> None:
    shown = answer(permissions=permissions)["resources"]
    assert [(each["resourceType"], each["dataClusters"]) for each in shown] == resources


def test_a_grant_for_one_read_is_a_consent_for_one_time() -> None:
    shown = answer(max_reads=1)
    assert shown["durationType"] == "ONE_TIME"
    assert "durationPeriod" not in shown


def test_a_part_of_a_day_counts_as_a_day_and_the_look_back_as_days() -> None:
    shown = answer(expires_at=CREATED + timedelta(hours=25), lookback_days=30)
    assert (shown["durationPeriod"], shown["lookbackPeriod"]) == (2, 30)


def test_a_revoked_grant_shows_when_it_was_revoked() -> None:
    shown = answer(status="revoked", revoked_at=CREATED + timedelta(days=1))
    assert shown["updatedTime"] == "2026-11-27T12:00:00.250000Z"


def test_the_id_of_the_consent_is_found_in_the_guid_of_the_grant() -> None:
    assert f"TKN-{fdx_consent_id(GRANT.guid)}" == GRANT.guid
