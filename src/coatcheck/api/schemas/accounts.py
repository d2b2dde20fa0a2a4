"""Accounts."""

from datetime import date
from decimal import Decimal
from typing import Annotated, TypeAlias, get_args

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
from coatcheck.http.doc import (
    ACCOUNT,
    OTHER_ACCOUNT,
    AccountGuid,
    CreatedAt,
    MemberGuid,
    UpdatedAt,
    UserGuid,
    UserOwnId,
    doc,
)
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.account_types import AccountType, PropertyType
from coatcheck.model.accounts import Account, DataSource
from coatcheck.model.paging import Page

# --- requests ---


class AccountRequestFields(RequestSchema, frozen=True, kw_only=True):
    subtype: Annotated[Name | UnsetType | None, doc("A finer type of your own or of MX's list.")] = field(
        name="account_subtype", default=UNSET
    )
    apr: Annotated[
        Decimal | UnsetType | None, doc("The annual percentage rate of interest that is charged, in percent.")
    ] = UNSET
    apy: Annotated[Decimal | UnsetType | None, doc("The annual percentage yield, in percent.")] = UNSET
    available_balance: Annotated[Decimal | UnsetType | None, doc("What can be spent now.")] = UNSET
    balance: Annotated[Decimal | UnsetType | None, doc("The balance.", 12.5)] = UNSET
    cash_surrender_value: Annotated[
        Decimal | UnsetType | None, doc("Of an insurance: what it is worth when it is given up.")
    ] = UNSET
    credit_limit: Annotated[Decimal | UnsetType | None, doc("How much can be owed.")] = UNSET
    currency_code: Annotated[Currency | UnsetType | None, doc("The ISO 4217 code.", "USD")] = UNSET
    death_benefit: Annotated[NonNegativeInt | UnsetType | None, doc("Of an insurance: what it pays.")] = UNSET
    interest_rate: Annotated[Decimal | UnsetType | None, doc("The interest rate, in percent.")] = UNSET
    is_business: Annotated[bool | UnsetType, doc("Whether it is used for a business.")] = UNSET
    is_closed: Annotated[bool | UnsetType, doc("Whether it is closed.")] = UNSET
    is_hidden: Annotated[bool | UnsetType, doc("Whether your user interface hides it.")] = UNSET
    loan_amount: Annotated[Decimal | UnsetType | None, doc("The amount of the loan.")] = UNSET
    metadata: Annotated[Text | UnsetType | None, doc("Text of your own, returned as it is.")] = UNSET
    nickname: Annotated[Name | UnsetType | None, doc("Another name.")] = UNSET
    original_balance: Annotated[Decimal | UnsetType | None, doc("What was owed at first.")] = UNSET
    property_type: Annotated[PropertyType | UnsetType | None, doc("Of a property: its kind.")] = UNSET


class AccountCreateRequest(AccountRequestFields, frozen=True, kw_only=True):
    name: Annotated[Name, doc("The name.", "Jar")]
    type: Annotated[AccountType, doc("The type.", "CASH")] = field(name="account_type")


class AccountCreateRequestBody(RequestSchema, frozen=True, kw_only=True):
    account: Annotated[AccountCreateRequest, doc("The account.")]


class AccountUpdateRequest(AccountRequestFields, ChangeSchema, frozen=True, kw_only=True):
    name: Annotated[Name | UnsetType, doc("The name.")] = UNSET
    type: Annotated[AccountType | UnsetType, doc("The type.")] = field(name="account_type", default=UNSET)


class AccountUpdateRequestBody(RequestSchema, frozen=True, kw_only=True):
    account: Annotated[
        AccountUpdateRequest, doc("The fields to change.", {"is_hidden": True, "metadata": "household"})
    ]


class AccountsMergeRequest(RequestSchema, frozen=True, kw_only=True):
    account_guids: Annotated[
        Annotated[tuple[Guid, ...], Meta(min_length=2, max_length=100)],
        doc("The accounts. The first one remains.", [ACCOUNT, OTHER_ACCOUNT]),
    ]


class AccountsMergeRequestBody(RequestSchema, frozen=True, kw_only=True):
    account: Annotated[AccountsMergeRequest, doc("The accounts to merge.")]


# --- answers ---

SetBy: TypeAlias = Annotated[int | None, doc("Null: MX does not publish what it means.")]
REPORTED = doc("What the institution reported, whatever was changed since. Null for a manual account.")


class AccountFields(Struct, frozen=True, kw_only=True):
    """The keys that both versions have. A field with a default here has that value for every account."""

    account_number: Annotated[str | None, doc("The last digits, masked.", "*****3545")]
    account_ownership: Annotated[
        str | None,
        doc("How many people own it.", "INDIVIDUAL", enum=["INDIVIDUAL", "JOINT", "MULTIPLE", "UNKNOWN"]),
    ]
    annuity_policy_to_date: Annotated[date | None, doc("Null: no connector reports annuities.")] = None
    annuity_provider: Annotated[str | None, doc("Null: no connector reports annuities.")] = None
    annuity_term_year: Annotated[int | None, doc("Null: no connector reports annuities.")] = None
    apr: Annotated[Decimal | None, doc("The annual percentage rate of interest that is charged, in percent.")]
    apy: Annotated[Decimal | None, doc("The annual percentage yield, in percent.")]
    available_balance: Annotated[Decimal | None, doc("What can be spent now.", 1350.25)]
    available_credit: Annotated[Decimal | None, doc("How much more can be borrowed.")]
    balance: Annotated[Decimal | None, doc("The balance. Debts of cards and loans are positive.", 1400.0)]
    cash_balance: Annotated[Decimal | None, doc("Of an investment account: the cash in it.")]
    cash_surrender_value: Annotated[
        Decimal | None, doc("Of an insurance: what it is worth when it is given up.")
    ]
    created_at: CreatedAt
    credit_limit: Annotated[Decimal | None, doc("How much can be owed.")]
    currency_code: Annotated[str | None, doc("The ISO 4217 code.", "USD")]
    day_payment_is_due: Annotated[int | None, doc("The day of the month on which a payment is due.")]
    death_benefit: Annotated[int | None, doc("Of an insurance: what it pays.")]
    federal_insurance_status: Annotated[
        str | None,
        doc(
            "Whether the deposits are insured.", "INSURED", enum=["INSURED", "NOT_INSURED", "UNKNOWN_INSURED"]
        ),
    ]
    guid: AccountGuid
    id: Annotated[str | None, doc("The identifier of the account at the institution.")]
    imported_at: Annotated[Timestamp | None, doc("When the institution was last read.")]
    institution_code: Annotated[str | None, doc("The code of the institution.", "mxbank")]
    insured_name: Annotated[str | None, doc("Null: no connector reports insurances.")] = None
    interest_rate: Annotated[Decimal | None, doc("The interest rate, in percent.")]
    is_closed: Annotated[bool, doc("Whether it is closed.")]
    is_hidden: Annotated[bool, doc("Whether your user interface hides it.")]
    is_manual: Annotated[bool, doc("Whether the user entered it, and no institution reports it.")]
    last_payment: Annotated[Decimal | None, doc("The amount of the last payment.")]
    last_payment_at: Annotated[Timestamp | None, doc("When the last payment was made.")]
    loan_amount: Annotated[Decimal | None, doc("The amount of the loan.")]
    margin_balance: Annotated[Decimal | None, doc("Null: no connector reports margins.")] = None
    matures_on: Annotated[date | None, doc("When a deposit or a loan ends.")]
    member_guid: MemberGuid
    member_id: Annotated[str | None, doc("Your own identifier of the member.")]
    member_is_managed_by_user: Annotated[bool, doc("Always true: end users manage their members.", True)] = (
        True
    )
    metadata: Annotated[str | None, doc("Your own text.")]
    minimum_balance: Annotated[Decimal | None, doc("The smallest balance that the institution asks for.")]
    minimum_payment: Annotated[Decimal | None, doc("The smallest payment that is due.")]
    name: Annotated[str | None, doc("The name at the institution.", "MX Checking")]
    nickname: Annotated[str | None, doc("Another name.")]
    original_balance: Annotated[Decimal | None, doc("What was owed at first.")]
    pay_out_amount: Annotated[Decimal | None, doc("Null: no connector reports insurances.")] = None
    payment_due_at: Annotated[Timestamp | None, doc("When the next payment is due.")]
    payoff_balance: Annotated[Decimal | None, doc("What pays the loan off.")]
    premium_amount: Annotated[Decimal | None, doc("Null: no connector reports insurances.")] = None
    property_type: Annotated[str | None, doc("Of a property: its kind.", enum=[*get_args(PropertyType)])]
    routing_number: Annotated[str | None, doc("Null: the endpoints of account numbers return it.")] = None
    started_on: Annotated[date | None, doc("When a deposit or a loan began.")]
    statement_balance: Annotated[Decimal | None, doc("The balance of the last statement.")]
    subtype: Annotated[str | None, doc("A finer type.", "PERSONAL")]
    today_ugl_amount: Annotated[Decimal | None, doc("Null: no connector reports gains.")] = None
    today_ugl_percentage: Annotated[Decimal | None, doc("Null: no connector reports gains.")] = None
    total_account_value: Annotated[Decimal | None, doc("Of an investment account: its value.")]
    total_account_value_ugl: Annotated[Decimal | None, doc("Null: no connector reports gains.")] = None
    type: Annotated[str, doc("The type.", "CHECKING", enum=[*get_args(AccountType)])]
    updated_at: UpdatedAt
    user_guid: UserGuid
    user_id: UserOwnId


class AccountResponse(AccountFields, frozen=True, kw_only=True):
    """`feed_` fields repeat what the bank reported. MX does not publish the meaning of `_set_by` fields."""

    account_number_set_by: SetBy = None
    apr_set_by: SetBy = None
    apy_set_by: SetBy = None
    available_balance_set_by: SetBy = None
    available_credit_set_by: SetBy = None
    balance_set_by: SetBy = None
    calculated_apr: Annotated[Decimal | None, doc("Null: it is not calculated.")] = None
    cash_balance_set_by: SetBy = None
    cash_surrender_value_set_by: SetBy = None
    credit_limit_set_by: SetBy = None
    currency_code_set_by: SetBy = None
    day_payment_is_due_set_by: SetBy = None
    death_benefit_set_by: SetBy = None
    feed_account_number: Annotated[str | None, REPORTED] = None
    feed_account_subtype: Annotated[int | None, REPORTED] = None
    feed_account_type: Annotated[int | None, REPORTED] = None
    feed_apr: Annotated[Decimal | None, REPORTED] = None
    feed_apy: Annotated[Decimal | None, REPORTED] = None
    feed_available_balance: Annotated[Decimal | None, REPORTED] = None
    feed_balance: Annotated[Decimal | None, REPORTED] = None
    feed_cash_balance: Annotated[Decimal | None, REPORTED] = None
    feed_cash_surrender_value: Annotated[Decimal | None, REPORTED] = None
    feed_credit_limit: Annotated[Decimal | None, REPORTED] = None
    feed_currency_code: Annotated[str | None, REPORTED] = None
    feed_day_payment_is_due: Annotated[int | None, REPORTED] = None
    feed_death_benefit: Annotated[int | None, REPORTED] = None
    feed_holdings_value: Annotated[Decimal | None, REPORTED] = None
    feed_interest_rate: Annotated[Decimal | None, REPORTED] = None
    feed_is_closed: Annotated[bool | None, REPORTED] = None
    feed_last_payment: Annotated[Decimal | None, REPORTED] = None
    feed_last_payment_at: Annotated[Timestamp | None, REPORTED] = None
    feed_loan_amount: Annotated[Decimal | None, REPORTED] = None
    feed_matures_on: Annotated[date | None, REPORTED] = None
    feed_minimum_balance: Annotated[Decimal | None, REPORTED] = None
    feed_minimum_payment: Annotated[Decimal | None, REPORTED] = None
    feed_name: Annotated[str | None, REPORTED] = None
    feed_nickname: Annotated[str | None, REPORTED] = None
    feed_original_balance: Annotated[Decimal | None, REPORTED] = None
    feed_payment_due_at: Annotated[Timestamp | None, REPORTED] = None
    feed_payoff_balance: Annotated[Decimal | None, REPORTED] = None
    feed_routing_number: Annotated[str | None, REPORTED] = None
    feed_started_on: Annotated[date | None, REPORTED] = None
    feed_statement_balance: Annotated[Decimal | None, REPORTED] = None
    feed_total_account_value: Annotated[Decimal | None, REPORTED] = None
    holdings_value: Annotated[Decimal | None, doc("Null: no connector reports holdings.")] = None
    holdings_value_set_by: SetBy = None
    institution_guid: Annotated[
        str | None, doc("The guid of the institution.", "INS-5f427506-2d11-5233-9e70-421dc36ce106")
    ]
    interest_rate_set_by: SetBy = None
    is_closed_set_by: SetBy = None
    last_payment_set_by: SetBy = None
    last_payment_at_set_by: SetBy = None
    loan_amount_set_by: SetBy = None
    matures_on_set_by: SetBy = None
    minimum_balance_set_by: SetBy = None
    minimum_payment_set_by: SetBy = None
    name_set_by: SetBy = None
    nickname_set_by: SetBy = None
    original_balance_set_by: SetBy = None
    payment_due_at_set_by: SetBy = None
    payoff_balance_set_by: SetBy = None
    started_on_set_by: SetBy = None
    statement_balance_set_by: SetBy = None
    subtype_set_by: SetBy = None
    total_account_value_set_by: SetBy = None
    type_set_by: SetBy = None


class ProvenanceResponse(Struct, frozen=True):
    """Where the data of an account comes from. MX has no such field."""

    source: Annotated[
        str,
        doc(
            "`institution`: read from the bank. `statement_file`: a file that the user gave. `user`: entered.",
            "institution",
            enum=[each.value for each in DataSource],
        ),
    ]
    fetched_at: Annotated[
        Timestamp | None,
        doc("When the source was last read. Null for what the user entered.", "2026-11-26T09:31:12Z"),
    ]
    is_user_supplied: Annotated[bool, doc("Whether no institution has confirmed it.", False)]


class AccountResponseV20250224(AccountFields, frozen=True, kw_only=True):
    """Without the `feed_` and `_set_by` fields."""

    provenance: Annotated[ProvenanceResponse, doc("Where the data comes from.")]


class AccountResponseBody(Struct, frozen=True):
    account: Annotated[AccountResponse, doc("The account.")]


class AccountResponseBodyV20250224(Struct, frozen=True):
    account: Annotated[AccountResponseV20250224, doc("The account.")]


class AccountsResponseBody(Struct, frozen=True):
    accounts: Annotated[list[AccountResponse], doc("The accounts on this page.")]
    pagination: Pagination


class AccountsResponseBodyV20250224(Struct, frozen=True):
    accounts: Annotated[list[AccountResponseV20250224], doc("The accounts on this page.")]
    pagination: Pagination


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
