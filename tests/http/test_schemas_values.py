"""Values in answers that MX's specs do not determine."""

import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields as struct_fields

from coatcheck.api.schemas.accounts import account_body, accounts_body
from coatcheck.api.schemas.institutions import institution_body
from coatcheck.api.schemas.members import member_body, members_body
from coatcheck.api.schemas.processors import (
    MAX_EXACT_INTEGER,
    access_token_body,
    legacy_access_token_body,
    number_or_text,
    payment_account_body,
    processor_numbers_body,
)
from coatcheck.api.schemas.tokens import tokens_body
from coatcheck.api.schemas.transactions import (
    Include,
    TransactionResponse,
    parent_class,
    transactions_body,
)
from coatcheck.api.versions import Version
from coatcheck.connectors.contract import Institution, JobKind, Merchant
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.grants.exchange import IssuedToken
from coatcheck.http.encoding import encode
from coatcheck.model.accounts import Account
from coatcheck.model.institution_statuses import AVAILABLE
from coatcheck.model.members import Member
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.tokens import TokenRow
from coatcheck.model.transactions import Transaction
from coatcheck.vault.vault import AccountNumbers

NOW = datetime(2026, 11, 23, 13, 8, tzinfo=UTC)
OLDER, NEWER = Version
EACH_VERSION = pytest.mark.parametrize("version", Version)

ACCOUNT = Account(
    guid="ACT-1",
    user_guid="USR-1",
    client_guid="CLT-1",
    member_guid="MBR-1",
    type="CHECKING",
    created_at=NOW,
    updated_at=NOW,
    name="Everyday",
    balance=Decimal("1000.10"),
    account_number="6816",
    started_on=date(2020, 2, 29),
)
MEMBER = Member(
    guid="MBR-1",
    user_guid="USR-1",
    user_id=None,
    client_guid="CLT-1",
    institution_code="mxbank",
    institution_guid="INS-1",
    name="MX Bank",
    id=None,
    metadata=None,
    connection_status="DENIED",
    is_oauth=False,
    is_manual=False,
    background_aggregation_is_disabled=False,
    use_cases=None,
    most_recent_job_guid="JOB-1",
    aggregated_at=NOW,
    successfully_aggregated_at=None,
    created_at=NOW,
    updated_at=NOW,
    is_being_aggregated=False,
    is_authenticated=False,
    has_processed_accounts=False,
    has_processed_account_numbers=False,
    has_processed_transactions=False,
)
TRANSACTION = Transaction(
    **{each.name: None for each in fields(Transaction)}
    | {each.name: False for each in fields(Transaction) if each.name.startswith("is_")}
    | {
        "guid": "TRN-1",
        "user_guid": "USR-1",
        "member_guid": "MBR-1",
        "account_guid": "ACT-1",
        "amount": Decimal("61.11"),
        "type": "DEBIT",
        "status": "POSTED",
        "date": date(2026, 11, 22),
        "category": "Groceries",
        "top_level_category": "Food & Dining",
        "description": "Corner Shop",
        "created_at": NOW,
        "updated_at": NOW,
    }
)
INSTITUTION = Institution(
    code="mxbank",
    guid="INS-1",
    name="MX Bank",
    url="https://bank.test",
    supports=frozenset({JobKind.AGGREGATION, JobKind.HISTORY}),
)
NUMBERS = AccountNumbers(
    guid="ACN-1",
    account_guid="ACT-1",
    user_guid="USR-1",
    member_guid="MBR-1",
    account_number="6366816006",
    routing_number="021000021",
)


def as_json(body: Struct) -> Any:
    return json.loads(encode(body))


def page_of(*items: Any, total: int | None = None, page: PageRequest = PageRequest()) -> Page[Any]:  # noqa: B008 (frozen)
    return Page(items, len(items) if total is None else total, page)


@EACH_VERSION
def test_times_end_in_z_dates_are_dates_and_decimals_keep_their_digits(version: Version) -> None:
    body = encode(account_body(version, ACCOUNT))
    assert b'"created_at":"2026-11-23T13:08:00Z"' in body
    assert b'"started_on":"2020-02-29"' in body
    assert b'"balance":1000.10,' in body


@pytest.mark.parametrize(("total", "pages"), [(0, 1), (1, 1), (25, 1), (26, 2), (250, 10)])
@EACH_VERSION
def test_pagination_counts_pages_and_an_empty_list_has_one(version: Version, total: int, pages: int) -> None:
    answer = as_json(accounts_body(version, page_of(total=total, page=PageRequest(3, 25))))
    assert answer["pagination"] == {
        "current_page": 3,
        "per_page": 25,
        "total_entries": total,
        "total_pages": pages,
    }


def test_only_v20250224_returns_the_most_recent_job_guid() -> None:
    assert as_json(member_body(OLDER, MEMBER))["member"]["most_recent_job_guid"] is None
    assert as_json(members_body(OLDER, page_of(MEMBER)))["members"][0]["most_recent_job_guid"] is None
    assert as_json(member_body(NEWER, MEMBER))["member"]["most_recent_job_guid"] == "JOB-1"
    assert as_json(members_body(NEWER, page_of(MEMBER)))["members"][0]["most_recent_job_guid"] == "JOB-1"


@EACH_VERSION
def test_a_member_has_a_message_for_its_status_and_says_whether_it_needs_credentials(
    version: Version,
) -> None:
    denied = as_json(member_body(version, MEMBER))["member"]
    assert "MX Bank" in denied["connection_status_message"]
    assert denied["needs_updated_credentials"] is True
    assert denied["use_cases"] == []
    locked = as_json(member_body(version, replace(MEMBER, connection_status="LOCKED")))["member"]
    assert locked["needs_updated_credentials"] is False
    connected = as_json(member_body(version, replace(MEMBER, connection_status="CONNECTED")))["member"]
    assert connected["connection_status_message"] == "Connected to MX Bank"
    manual = as_json(member_body(version, replace(MEMBER, connection_status=None)))["member"]
    assert manual["connection_status_message"] is None


@EACH_VERSION
def test_a_pending_member_contains_the_oauth_window_uri(version: Version) -> None:
    answer = as_json(member_body(version, MEMBER, "https://bank.test/authorize"))
    assert answer["member"]["oauth_window_uri"] == "https://bank.test/authorize"


def test_an_institution_has_flags_in_v20111101_and_products_in_v20250224() -> None:
    older = as_json(institution_body(OLDER, INSTITUTION, AVAILABLE))["institution"]
    assert older["supports_transaction_history"] is True
    assert older["supports_account_verification"] is False
    assert "guid" not in older
    newer = as_json(institution_body(NEWER, INSTITUTION, AVAILABLE))["institution"]
    assert newer["supported_products"] == ["transactions", "transaction_history"]
    assert newer["guid"] == "INS-1"


def test_feed_fields_repeat_the_banks_values_and_are_null_for_a_manual_account() -> None:
    fed = as_json(account_body(OLDER, ACCOUNT))["account"]
    assert (fed["feed_balance"], fed["feed_name"], fed["feed_account_number"]) == (1000.1, "Everyday", "6816")
    manual = as_json(account_body(OLDER, replace(ACCOUNT, is_manual=True)))["account"]
    assert {value for key, value in manual.items() if key.startswith("feed_")} == {None}
    assert not any(key.startswith("feed_") for key in as_json(account_body(NEWER, ACCOUNT))["account"])


def test_the_values_of_a_transaction_have_the_types_of_its_schema() -> None:
    types = get_type_hints(Transaction)
    required = [each.name for each in struct_fields(TransactionResponse) if each.required]
    for name in required:
        allowed = get_type_hints(TransactionResponse)[name]
        assert _kinds(types[name]) <= _kinds(allowed), name
    assert len(required) == 38


def _kinds(hint: Any) -> set[Any]:
    return set(get_args(hint)) or {hint}


def test_a_transaction_contains_only_the_requested_includes() -> None:
    plain = as_json(transactions_body(page_of(TRANSACTION)))["transactions"][0]
    extras = {"classification", "geolocation", "merchant", "repeating_transaction"}
    assert not extras & plain.keys()
    requested = as_json(transactions_body(page_of(TRANSACTION), frozenset({Include.MERCHANTS})))
    assert extras & requested["transactions"][0].keys() == {"merchant"}
    assert requested["transactions"][0]["merchant"] is None


def test_all_includes_describe_place_merchant_class_and_series() -> None:
    transaction = replace(
        TRANSACTION,
        city="Lehi",
        state="UT",
        country="US",
        postal_code="84043",
        merchant_guid="MCH-1",
        recurrence="BILL",
    )
    merchants = {"MCH-1": ListedMerchant("MCH-1", "MCL-1", Merchant("Corner Shop", "https://corner.test"))}
    answer = as_json(transactions_body(page_of(transaction), frozenset(Include), merchants))
    answer = answer["transactions"][0]
    assert answer["geolocation"] == {"country": "US", "state": "UT", "city": "Lehi", "postal code": "84043"}
    assert answer["merchant"]["name"] == "Corner Shop"
    assert answer["classification"]["parent_class"] == "Spend"
    assert answer["repeating_transaction"]["repeating_transaction_type"] == "BILL"
    assert answer["repeating_transaction"]["guid"].startswith("RPT-")


def test_all_transactions_of_a_series_have_the_same_series_guid() -> None:
    rent = replace(TRANSACTION, recurrence="BILL", description="Rent")
    listing = page_of(rent, replace(rent, guid="TRN-2"), replace(rent, description="Gym"))
    answer = as_json(transactions_body(listing, {Include.REPEATING_TRANSACTIONS}))["transactions"]
    first, second, other = (each["repeating_transaction"]["guid"] for each in answer)
    assert first == second != other


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"is_fee": True, "type": "DEBIT"}, "Fees"),
        ({"is_overdraft_fee": True}, "Fees"),
        ({"top_level_category": "Investments", "category": "Buy"}, "Buy"),
        ({"top_level_category": "Investments", "category": "Deposit"}, "Investment"),
        ({"top_level_category": "Transfer", "type": "CREDIT"}, "Transfer"),
        ({"type": "CREDIT", "category": "Returned Purchase"}, "Refunds"),
        ({"type": "CREDIT", "category": "Paycheck", "is_income": True}, "Payroll"),
        ({"type": "CREDIT", "is_direct_deposit": True}, "Payroll"),
        ({"type": "CREDIT", "is_income": True}, "Income"),
        ({"type": "CREDIT"}, "Deposit"),
        ({"type": "DEBIT"}, "Spend"),
    ],
)
def test_the_parent_class_is_derived_from_the_transaction(known: dict[str, Any], expected: str) -> None:
    assert parent_class(replace(TRANSACTION, **known)) == expected


def test_processor_numbers_are_integers_if_no_digit_is_lost_and_strings_otherwise() -> None:
    answer = as_json(processor_numbers_body(Version.V20111101, [NUMBERS], as_strings=False))[
        "account_numbers"
    ][0]
    assert (answer["account_number"], answer["routing_number"]) == (6366816006, "021000021")
    assert (answer["account_guid"], answer["member_guid"], answer["user_guid"]) == ("ACT-1", "MBR-1", "USR-1")


def test_a_processor_with_numbers_as_strings_gets_strings() -> None:
    answer = as_json(processor_numbers_body(Version.V20111101, [NUMBERS], as_strings=True))[
        "account_numbers"
    ][0]
    assert (answer["account_number"], answer["routing_number"]) == ("6366816006", "021000021")


@given(st.text("0123456789", min_size=1, max_size=40) | st.text())
def test_an_integer_reads_back_as_the_same_digits_through_a_double(text: str) -> None:
    answer = number_or_text(text, as_strings=False)
    if isinstance(answer, int):
        assert str(int(float(answer))) == text
    else:
        assert answer == text


@pytest.mark.parametrize(
    ("digits", "answer"),
    [
        ("0", 0),
        ("01", "01"),
        ("-5", "-5"),
        ("٣", "٣"),  # a digit, but no ASCII one
        (str(MAX_EXACT_INTEGER), MAX_EXACT_INTEGER),
        (str(MAX_EXACT_INTEGER + 1), str(MAX_EXACT_INTEGER + 1)),
        ("12345678901234567", "12345678901234567"),
        (None, None),
    ],
)
def test_the_limits_of_integer_account_numbers(digits: str | None, answer: int | str | None) -> None:
    assert number_or_text(digits, as_strings=False) == answer


def test_a_payment_account_has_string_numbers_or_only_the_masked_number() -> None:
    full = as_json(payment_account_body(Version.V20111101, ACCOUNT, NUMBERS))["payment_account"]
    assert (full["account_number"], full["routing_number"]) == ("6366816006", "021000021")
    masked = as_json(payment_account_body(Version.V20111101, ACCOUNT, None))["payment_account"]
    assert (masked["account_number"], masked["routing_number"]) == ("6816", None)


def test_the_newer_version_says_whether_numbers_are_tokenized_and_where_the_data_comes_from() -> None:
    numbers = replace(NUMBERS, is_tokenized=True)
    listed = as_json(processor_numbers_body(Version.V20250224, [numbers], as_strings=False))
    assert listed["account_numbers"][0]["is_tokenized"] is True
    account = as_json(payment_account_body(Version.V20250224, ACCOUNT, numbers))["payment_account"]
    assert (account["is_tokenized"], account["provenance"]["source"]) == (True, "institution")
    masked = as_json(payment_account_body(Version.V20250224, ACCOUNT, None))["payment_account"]
    assert masked["is_tokenized"] is None


ISSUED = TokenRow(
    guid="TKN-1",
    processor_guid="PPR-1",
    user_guid="USR-1",
    member_guid="MBR-1",
    account_guid="ACT-1",
    scope="user-guid:USR-1 member-guid:MBR-1 account-guid:ACT-1",
    first_characters="cct_2hQab",
    created_at=NOW,
    expires_at=NOW,
    revoked_at=None,
    revoked_because=None,
    active=True,
)


def test_a_listed_token_contains_only_its_first_characters() -> None:
    answer = as_json(tokens_body([ISSUED]))
    assert answer["tokens"] == [
        {
            "payment_processor_guid": "PPR-1",
            "expires_at": "2026-11-23T13:08:00Z",
            "access_token": "cct_2hQab...",
            "active": True,
        }
    ]


def test_the_answers_of_both_exchange_endpoints_match_mxs_guides() -> None:
    issued = IssuedToken(
        access_token="cct_x", grant_guid="TKN-1", scope="user-guid:USR-1", expires_at=NOW, receipt="a.b.c"
    )
    assert as_json(access_token_body(issued)) == {
        "access_token": "cct_x",
        "expires_at": "2026-11-23T13:08:00Z",
        "scope": "user-guid:USR-1",
        "token_type": "Bearer",
    }
    assert as_json(legacy_access_token_body(issued)) == {
        "access_token": "cct_x",
        "token_type": "bearer",
        "scope": "payment_accounts",
    }
