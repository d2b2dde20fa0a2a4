"""What a shape says, where the specs leave it open."""

import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.api.presenter import Include, Presenter
from coatcheck.api.schemas.encoding import LARGEST_EXACT, number_or_text
from coatcheck.api.schemas.v20111101.includes import parent_class
from coatcheck.api.versions import NEWER, OLDER
from coatcheck.connectors.contract import Institution, JobKind, Merchant
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.grants.issuer import IssuedToken
from coatcheck.model.accounts import Account
from coatcheck.model.members import Member
from coatcheck.model.paging import Page, PageRequest
from coatcheck.model.tokens import TokenRow
from coatcheck.model.transactions import Transaction
from coatcheck.vault.vault import AccountNumbers

NOW = datetime(2026, 11, 23, 13, 8, tzinfo=UTC)
BOTH = pytest.mark.parametrize("presenter", [OLDER, NEWER], ids=["v20111101", "v20250224"])

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


def page_of(*items: Any, total: int | None = None, page: PageRequest = PageRequest()) -> Page[Any]:  # noqa: B008 (frozen)
    return Page(items, len(items) if total is None else total, page)


@BOTH
def test_times_end_in_z_dates_are_dates_and_money_keeps_its_digits(presenter: Presenter) -> None:
    body = presenter.show_account(ACCOUNT)
    assert b'"created_at":"2026-11-23T13:08:00Z"' in body
    assert b'"started_on":"2020-02-29"' in body
    assert b'"balance":1000.10,' in body


@pytest.mark.parametrize(("total", "pages"), [(0, 1), (1, 1), (25, 1), (26, 2), (250, 10)])
@BOTH
def test_pagination_counts_pages_and_an_empty_list_has_one(
    presenter: Presenter, total: int, pages: int
) -> None:
    shown = json.loads(presenter.show_accounts(page_of(total=total, page=PageRequest(3, 25))))
    assert shown["pagination"] == {
        "current_page": 3,
        "per_page": 25,
        "total_entries": total,
        "total_pages": pages,
    }


def test_only_the_newer_dialect_names_the_most_recent_job() -> None:
    assert json.loads(OLDER.show_member(MEMBER))["member"]["most_recent_job_guid"] is None
    assert json.loads(OLDER.show_members(page_of(MEMBER)))["members"][0]["most_recent_job_guid"] is None
    assert json.loads(NEWER.show_member(MEMBER))["member"]["most_recent_job_guid"] == "JOB-1"
    assert json.loads(NEWER.show_members(page_of(MEMBER)))["members"][0]["most_recent_job_guid"] == "JOB-1"


@BOTH
def test_a_member_says_what_its_status_means_and_whether_new_credentials_help(presenter: Presenter) -> None:
    denied = json.loads(presenter.show_member(MEMBER))["member"]
    assert "MX Bank" in denied["connection_status_message"]
    assert denied["needs_updated_credentials"] is True
    assert denied["use_cases"] == []
    locked = json.loads(presenter.show_member(replace(MEMBER, connection_status="LOCKED")))["member"]
    assert locked["needs_updated_credentials"] is False
    manual = json.loads(presenter.show_member(replace(MEMBER, connection_status=None)))["member"]
    assert manual["connection_status_message"] is None


@BOTH
def test_a_pending_member_carries_the_window_to_open(presenter: Presenter) -> None:
    shown = json.loads(presenter.show_member(MEMBER, "https://bank.test/authorize"))
    assert shown["member"]["oauth_window_uri"] == "https://bank.test/authorize"


def test_what_an_institution_can_do_is_flags_in_the_older_and_products_in_the_newer_dialect() -> None:
    older = json.loads(OLDER.show_institution(INSTITUTION))["institution"]
    assert older["supports_transaction_history"] is True
    assert older["supports_account_verification"] is False
    assert "guid" not in older
    newer = json.loads(NEWER.show_institution(INSTITUTION))["institution"]
    assert newer["supported_products"] == ["transactions", "transaction_history"]
    assert newer["guid"] == "INS-1"


def test_the_feed_fields_repeat_what_the_bank_said_and_say_nothing_of_a_manual_account() -> None:
    fed = json.loads(OLDER.show_account(ACCOUNT))["account"]
    assert (fed["feed_balance"], fed["feed_name"], fed["feed_account_number"]) == (1000.1, "Everyday", "6816")
    manual = json.loads(OLDER.show_account(replace(ACCOUNT, is_manual=True)))["account"]
    assert {value for key, value in manual.items() if key.startswith("feed_")} == {None}
    assert not any(key.startswith("feed_") for key in json.loads(NEWER.show_account(ACCOUNT))["account"])


@BOTH
def test_a_transaction_carries_only_the_extras_that_were_asked_for(presenter: Presenter) -> None:
    plain = json.loads(presenter.show_transactions(page_of(TRANSACTION)))["transactions"][0]
    extras = {"classification", "geolocation", "merchant", "repeating_transaction"}
    assert not extras & plain.keys()
    asked = json.loads(presenter.show_transactions(page_of(TRANSACTION), frozenset({Include.MERCHANTS})))
    assert extras & asked["transactions"][0].keys() == {"merchant"}
    assert asked["transactions"][0]["merchant"] is None


@BOTH
def test_all_extras_name_place_merchant_class_and_series(presenter: Presenter) -> None:
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
    shown = json.loads(presenter.show_transactions(page_of(transaction), frozenset(Include), merchants))
    shown = shown["transactions"][0]
    assert shown["geolocation"] == {"country": "US", "state": "UT", "city": "Lehi", "postal code": "84043"}
    assert shown["merchant"]["name"] == "Corner Shop"
    assert shown["classification"]["parent_class"] == "Spend"
    assert shown["repeating_transaction"]["repeating_transaction_type"] == "BILL"
    assert shown["repeating_transaction"]["guid"].startswith("RPT-")


@BOTH
def test_a_series_has_one_guid_for_all_its_transactions(presenter: Presenter) -> None:
    rent = replace(TRANSACTION, recurrence="BILL", description="Rent")
    listing = page_of(rent, replace(rent, guid="TRN-2"), replace(rent, description="Gym"))
    shown = json.loads(presenter.show_transactions(listing, {Include.REPEATING_TRANSACTIONS}))["transactions"]
    first, second, other = (each["repeating_transaction"]["guid"] for each in shown)
    assert first == second != other


@pytest.mark.parametrize(
    ("said", "expected"),
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
def test_the_class_of_a_transaction_follows_from_what_is_known_of_it(
    said: dict[str, Any], expected: str
) -> None:
    assert parent_class(replace(TRANSACTION, **said)) == expected


@BOTH
def test_processor_numbers_are_integers_where_no_digit_is_lost_and_strings_where_one_would_be(
    presenter: Presenter,
) -> None:
    shown = json.loads(presenter.show_processor_numbers([NUMBERS], as_strings=False))["account_numbers"][0]
    assert (shown["account_number"], shown["routing_number"]) == (6366816006, "021000021")
    assert (shown["account_guid"], shown["member_guid"], shown["user_guid"]) == ("ACT-1", "MBR-1", "USR-1")


@BOTH
def test_a_processor_that_wants_strings_gets_strings(presenter: Presenter) -> None:
    shown = json.loads(presenter.show_processor_numbers([NUMBERS], as_strings=True))["account_numbers"][0]
    assert (shown["account_number"], shown["routing_number"]) == ("6366816006", "021000021")


@given(st.text("0123456789", min_size=1, max_size=40) | st.text())
def test_a_number_shown_as_an_integer_reads_back_as_the_same_digits_even_through_a_double(text: str) -> None:
    shown = number_or_text(text, as_strings=False)
    if isinstance(shown, int):
        assert str(int(float(shown))) == text
    else:
        assert shown == text


@pytest.mark.parametrize(
    ("digits", "shown"),
    [
        ("0", 0),
        ("01", "01"),
        ("-5", "-5"),
        ("٣", "٣"),  # a digit, but no ASCII one
        (str(LARGEST_EXACT), LARGEST_EXACT),
        (str(LARGEST_EXACT + 1), str(LARGEST_EXACT + 1)),
        ("12345678901234567", "12345678901234567"),
        (None, None),
    ],
)
def test_the_edges_of_what_is_shown_as_an_integer(digits: str | None, shown: int | str | None) -> None:
    assert number_or_text(digits, as_strings=False) == shown


@BOTH
def test_a_payment_account_shows_numbers_as_strings_and_without_them_the_mask_alone(
    presenter: Presenter,
) -> None:
    full = json.loads(presenter.show_payment_account(ACCOUNT, NUMBERS))["payment_account"]
    assert (full["account_number"], full["routing_number"]) == ("6366816006", "021000021")
    masked = json.loads(presenter.show_payment_account(ACCOUNT, None))["payment_account"]
    assert (masked["account_number"], masked["routing_number"]) == ("6816", None)


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


@BOTH
def test_a_listed_token_is_its_first_characters_and_no_more(presenter: Presenter) -> None:
    shown = json.loads(presenter.show_tokens([ISSUED]))
    assert shown["tokens"] == [
        {
            "payment_processor_guid": "PPR-1",
            "expires_at": "2026-11-23T13:08:00Z",
            "access_token": "cct_2hQab...",
            "active": True,
        }
    ]


@BOTH
def test_an_exchange_answers_as_mxs_guide_says_and_its_legacy_twin_as_the_older_guide_said(
    presenter: Presenter,
) -> None:
    issued = IssuedToken(access_token="cct_x", scope="user-guid:USR-1", expires_at=NOW)
    assert json.loads(presenter.show_token(issued)) == {
        "access_token": "cct_x",
        "expires_at": "2026-11-23T13:08:00Z",
        "scope": "user-guid:USR-1",
        "token_type": "Bearer",
    }
    assert json.loads(presenter.show_legacy_token(issued)) == {
        "access_token": "cct_x",
        "token_type": "bearer",
        "scope": "payment_accounts",
    }
