"""Accounts."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import replace

from coatcheck.api.versions import ByVersion, Version
from coatcheck.http.decoding import (
    ChangeSchema,
    Currency,
    Guid,
    Name,
    NonNegativeInt,
    RequestSchema,
    Text,
)
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.accounts import Account
from coatcheck.model.paging import Page

AccountType: TypeAlias = Literal[
    "ANY",
    "CASH",
    "CHECKING",
    "CHECKING_LINE_OF_CREDIT",
    "CREDIT_CARD",
    "LOAN",
    "LINE_OF_CREDIT",
    "SAVINGS",
    "INVESTMENT",
    "MORTGAGE",
    "INSURANCE",
    "PREPAID",
    "PROPERTY",
]
PropertyType: TypeAlias = Literal[
    "APPLIANCES",
    "ART",
    "COMPUTER",
    "ELECTRONICS",
    "FURNITURE",
    "JEWELRY",
    "MISCELLANEOUS",
    "REAL_ESTATE",
    "SPORTS_EQUIPMENT",
    "VEHICLE",
]


# --- requests ---


class AccountRequestFields(RequestSchema, frozen=True, kw_only=True):
    subtype: Name | UnsetType | None = field(name="account_subtype", default=UNSET)
    apr: Decimal | UnsetType | None = UNSET
    apy: Decimal | UnsetType | None = UNSET
    available_balance: Decimal | UnsetType | None = UNSET
    balance: Decimal | UnsetType | None = UNSET
    cash_surrender_value: Decimal | UnsetType | None = UNSET
    credit_limit: Decimal | UnsetType | None = UNSET
    currency_code: Currency | UnsetType | None = UNSET
    death_benefit: NonNegativeInt | UnsetType | None = UNSET
    interest_rate: Decimal | UnsetType | None = UNSET
    is_business: bool | UnsetType = UNSET
    is_closed: bool | UnsetType = UNSET
    is_hidden: bool | UnsetType = UNSET
    loan_amount: Decimal | UnsetType | None = UNSET
    metadata: Text | UnsetType | None = UNSET
    nickname: Name | UnsetType | None = UNSET
    original_balance: Decimal | UnsetType | None = UNSET
    property_type: PropertyType | UnsetType | None = UNSET


class AccountCreateRequest(AccountRequestFields, frozen=True, kw_only=True):
    name: Name
    type: AccountType = field(name="account_type")


class AccountCreateRequestBody(RequestSchema, frozen=True, kw_only=True):
    account: AccountCreateRequest


class AccountUpdateRequest(AccountRequestFields, ChangeSchema, frozen=True, kw_only=True):
    name: Name | UnsetType = UNSET
    type: AccountType | UnsetType = field(name="account_type", default=UNSET)


class AccountUpdateRequestBody(RequestSchema, frozen=True, kw_only=True):
    account: AccountUpdateRequest


class AccountsMergeRequest(RequestSchema, frozen=True, kw_only=True):
    account_guids: Annotated[tuple[Guid, ...], Meta(min_length=2, max_length=100)]


class AccountsMergeRequestBody(RequestSchema, frozen=True, kw_only=True):
    account: AccountsMergeRequest


# --- answers ---


class AccountFields(Struct, frozen=True, kw_only=True):
    """The keys that both versions have. A field with a default here has that value for every account."""

    account_number: str | None
    account_ownership: str | None
    annuity_policy_to_date: date | None = None
    annuity_provider: str | None = None
    annuity_term_year: int | None = None
    apr: Decimal | None
    apy: Decimal | None
    available_balance: Decimal | None
    available_credit: Decimal | None
    balance: Decimal | None
    cash_balance: Decimal | None
    cash_surrender_value: Decimal | None
    created_at: Timestamp
    credit_limit: Decimal | None
    currency_code: str | None
    day_payment_is_due: int | None
    death_benefit: int | None
    federal_insurance_status: str | None
    guid: str
    id: str | None
    imported_at: Timestamp | None
    institution_code: str | None
    insured_name: str | None = None
    interest_rate: Decimal | None
    is_closed: bool
    is_hidden: bool
    is_manual: bool
    last_payment: Decimal | None
    last_payment_at: Timestamp | None
    loan_amount: Decimal | None
    margin_balance: Decimal | None = None
    matures_on: date | None
    member_guid: str
    member_id: str | None
    member_is_managed_by_user: bool = True
    metadata: str | None
    minimum_balance: Decimal | None
    minimum_payment: Decimal | None
    name: str | None
    nickname: str | None
    original_balance: Decimal | None
    pay_out_amount: Decimal | None = None
    payment_due_at: Timestamp | None
    payoff_balance: Decimal | None
    premium_amount: Decimal | None = None
    property_type: str | None
    routing_number: str | None = None
    started_on: date | None
    statement_balance: Decimal | None
    subtype: str | None
    today_ugl_amount: Decimal | None = None
    today_ugl_percentage: Decimal | None = None
    total_account_value: Decimal | None
    total_account_value_ugl: Decimal | None = None
    type: str
    updated_at: Timestamp
    user_guid: str
    user_id: str | None


class AccountResponse(AccountFields, frozen=True, kw_only=True):
    """`feed_` fields repeat what the bank reported. MX does not publish the meaning of `_set_by` fields."""

    account_number_set_by: int | None = None
    apr_set_by: int | None = None
    apy_set_by: int | None = None
    available_balance_set_by: int | None = None
    available_credit_set_by: int | None = None
    balance_set_by: int | None = None
    calculated_apr: Decimal | None = None
    cash_balance_set_by: int | None = None
    cash_surrender_value_set_by: int | None = None
    credit_limit_set_by: int | None = None
    currency_code_set_by: int | None = None
    day_payment_is_due_set_by: int | None = None
    death_benefit_set_by: int | None = None
    feed_account_number: str | None = None
    feed_account_subtype: int | None = None
    feed_account_type: int | None = None
    feed_apr: Decimal | None = None
    feed_apy: Decimal | None = None
    feed_available_balance: Decimal | None = None
    feed_balance: Decimal | None = None
    feed_cash_balance: Decimal | None = None
    feed_cash_surrender_value: Decimal | None = None
    feed_credit_limit: Decimal | None = None
    feed_currency_code: str | None = None
    feed_day_payment_is_due: int | None = None
    feed_death_benefit: int | None = None
    feed_holdings_value: Decimal | None = None
    feed_interest_rate: Decimal | None = None
    feed_is_closed: bool | None = None
    feed_last_payment: Decimal | None = None
    feed_last_payment_at: Timestamp | None = None
    feed_loan_amount: Decimal | None = None
    feed_matures_on: date | None = None
    feed_minimum_balance: Decimal | None = None
    feed_minimum_payment: Decimal | None = None
    feed_name: str | None = None
    feed_nickname: str | None = None
    feed_original_balance: Decimal | None = None
    feed_payment_due_at: Timestamp | None = None
    feed_payoff_balance: Decimal | None = None
    feed_routing_number: str | None = None
    feed_started_on: date | None = None
    feed_statement_balance: Decimal | None = None
    feed_total_account_value: Decimal | None = None
    holdings_value: Decimal | None = None
    holdings_value_set_by: int | None = None
    institution_guid: str | None
    interest_rate_set_by: int | None = None
    is_closed_set_by: int | None = None
    last_payment_set_by: int | None = None
    last_payment_at_set_by: int | None = None
    loan_amount_set_by: int | None = None
    matures_on_set_by: int | None = None
    minimum_balance_set_by: int | None = None
    minimum_payment_set_by: int | None = None
    name_set_by: int | None = None
    nickname_set_by: int | None = None
    original_balance_set_by: int | None = None
    payment_due_at_set_by: int | None = None
    payoff_balance_set_by: int | None = None
    started_on_set_by: int | None = None
    statement_balance_set_by: int | None = None
    subtype_set_by: int | None = None
    total_account_value_set_by: int | None = None
    type_set_by: int | None = None


class AccountResponseV20250224(AccountFields, frozen=True, kw_only=True):
    """Without the `feed_` and `_set_by` fields."""


class AccountResponseBody(Struct, frozen=True):
    account: AccountResponse


class AccountResponseBodyV20250224(Struct, frozen=True):
    account: AccountResponseV20250224


class AccountsResponseBody(Struct, frozen=True):
    accounts: list[AccountResponse]
    pagination: PaginationResponse


class AccountsResponseBodyV20250224(Struct, frozen=True):
    accounts: list[AccountResponseV20250224]
    pagination: PaginationResponse


ACCOUNT_BODY: ByVersion = {
    Version.V20111101: AccountResponseBody,
    Version.V20250224: AccountResponseBodyV20250224,
}
ACCOUNTS_BODY: ByVersion = {
    Version.V20111101: AccountsResponseBody,
    Version.V20250224: AccountsResponseBodyV20250224,
}

FEED_SOURCES = {
    name: name.removeprefix("feed_")
    for name in AccountResponse.__struct_fields__
    if name.startswith("feed_") and name.removeprefix("feed_") in Account.__slots__
}
"""The `feed_` fields, and the attribute of the account that each repeats."""


def account_body(version: Version, account: Account) -> Struct:
    """`ACCOUNT_BODY` of the version."""
    if version is Version.V20111101:
        return AccountResponseBody(_v20111101(account))
    return AccountResponseBodyV20250224(to_schema(account, AccountResponseV20250224))


def accounts_body(version: Version, accounts: Page[Account]) -> Struct:
    """`ACCOUNTS_BODY` of the version."""
    if version is Version.V20111101:
        return AccountsResponseBody([_v20111101(each) for each in accounts.items], pagination(accounts))
    return AccountsResponseBodyV20250224(
        to_schemas(accounts.items, AccountResponseV20250224), pagination(accounts)
    )


def _v20111101(account: Account) -> AccountResponse:
    response = to_schema(account, AccountResponse)
    if account.is_manual:
        return response
    return replace(response, **{name: getattr(account, source) for name, source in FEED_SOURCES.items()})
