"""The two largest shapes of the dialect: an account, and what v20111101 alone says of it besides."""

from datetime import date
from decimal import Decimal

from msgspec import Struct

from coatcheck.api.schemas.encoding import Moment


class AccountCore(Struct, frozen=True, kw_only=True):
    """What both dialects say of an account. Fields with a value here are known of none."""

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
    created_at: Moment
    credit_limit: Decimal | None
    currency_code: str | None
    day_payment_is_due: int | None
    death_benefit: int | None
    federal_insurance_status: str | None
    guid: str
    id: str | None
    imported_at: Moment | None
    institution_code: str | None
    insured_name: str | None = None
    interest_rate: Decimal | None
    is_closed: bool
    is_hidden: bool
    is_manual: bool
    last_payment: Decimal | None
    last_payment_at: Moment | None
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
    payment_due_at: Moment | None
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
    updated_at: Moment
    user_guid: str
    user_id: str | None


class Account(AccountCore, frozen=True, kw_only=True):
    """`feed_` fields are what the bank itself said; `_set_by` fields are numbers whose meaning MX keeps."""

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
    feed_last_payment_at: Moment | None = None
    feed_loan_amount: Decimal | None = None
    feed_matures_on: date | None = None
    feed_minimum_balance: Decimal | None = None
    feed_minimum_payment: Decimal | None = None
    feed_name: str | None = None
    feed_nickname: str | None = None
    feed_original_balance: Decimal | None = None
    feed_payment_due_at: Moment | None = None
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
