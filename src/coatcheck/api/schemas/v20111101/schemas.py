"""The shapes of v20111101: exactly the keys of MX's schemas, every one always there, null where unknown.

A field without a value is taken from the record of the same name; one with a value here is the same for all.
"""

from datetime import date
from decimal import Decimal

from msgspec import UNSET, Struct, UnsetType, field

from coatcheck.api.schemas.encoding import Moment
from coatcheck.api.schemas.v20111101.accounts import Account


class Pagination(Struct, frozen=True):
    current_page: int
    per_page: int
    total_entries: int
    total_pages: int


class User(Struct, frozen=True, kw_only=True):
    email: str | None
    guid: str
    id: str | None
    is_disabled: bool
    metadata: str | None


class UserBody(Struct, frozen=True):
    user: User


class UsersBody(Struct, frozen=True):
    users: list[User]
    pagination: Pagination


class InstitutionCore(Struct, frozen=True, kw_only=True):
    """What both dialects say of an institution."""

    code: str
    forgot_password_url: str | None
    forgot_username_url: str | None
    instructional_text: str | None
    instructional_text_steps: list[str] | None = None
    is_disabled_by_client: bool = False
    iso_country_code: str
    medium_logo_url: str | None
    name: str
    small_logo_url: str | None
    supports_oauth: bool
    supports_tax_document: bool = False
    trouble_signing_in_url: str | None
    url: str | None


class Institution(InstitutionCore, frozen=True, kw_only=True):
    supports_account_identification: bool
    supports_account_statement: bool
    supports_account_verification: bool
    supports_transaction_history: bool


class InstitutionBody(Struct, frozen=True):
    institution: Institution


class InstitutionsBody(Struct, frozen=True):
    institutions: list[Institution]
    pagination: Pagination


class Credential(Struct, frozen=True, kw_only=True):
    display_order: int
    field_name: str
    field_type: str
    guid: str
    label: str
    type: str


class CredentialsBody(Struct, frozen=True):
    credentials: list[Credential]
    pagination: Pagination


class MemberCore(Struct, frozen=True, kw_only=True):
    """What both dialects say of a member. `most_recent_job_detail_*` is null or boolean in both of MX's specs."""

    aggregated_at: Moment | None
    background_aggregation_is_disabled: bool
    connection_status: str | None
    connection_status_message: str | None
    guid: str
    id: str | None
    institution_code: str
    institution_guid: str
    is_being_aggregated: bool
    is_managed_by_user: bool = True
    is_manual: bool
    is_oauth: bool
    metadata: str | None
    most_recent_job_detail_code: int | None = None
    most_recent_job_detail_text: bool | None = None
    name: str
    needs_updated_credentials: bool
    oauth_window_uri: str | None
    successfully_aggregated_at: Moment | None
    use_cases: list[str]
    user_guid: str
    user_id: str | None


class Member(MemberCore, frozen=True, kw_only=True):
    most_recent_job_guid: None = None
    """MX's spec types this guid as a boolean, and its SDKs refuse a string."""


class MemberBody(Struct, frozen=True):
    member: Member


class MembersBody(Struct, frozen=True):
    members: list[Member]
    pagination: Pagination


class Option(Struct, frozen=True):
    guid: str
    label: str | None
    value: str | None


class ImageOption(Struct, frozen=True):
    data_uri: str | None
    guid: str
    label: str | None
    value: str | None


class Challenge(Struct, frozen=True, kw_only=True):
    field_name: str | None
    guid: str
    image_data: str | None
    image_options: list[ImageOption]
    label: str | None
    options: list[Option]
    type: str


class ChallengesBody(Struct, frozen=True):
    challenges: list[Challenge]
    pagination: Pagination


class MemberStatus(Struct, frozen=True, kw_only=True):
    aggregated_at: Moment | None
    challenges: list[Challenge]
    connection_status: str | None
    guid: str
    has_processed_account_numbers: bool
    has_processed_accounts: bool
    has_processed_transactions: bool
    is_authenticated: bool
    is_being_aggregated: bool
    successfully_aggregated_at: Moment | None


class MemberStatusBody(Struct, frozen=True):
    member: MemberStatus


class OAuthWindow(Struct, frozen=True):
    guid: str
    oauth_window_uri: str


class OAuthWindowBody(Struct, frozen=True):
    member: OAuthWindow


class AccountBody(Struct, frozen=True):
    account: Account


class AccountsBody(Struct, frozen=True):
    accounts: list[Account]
    pagination: Pagination


class AccountNumber(Struct, frozen=True, kw_only=True):
    account_guid: str
    account_number: str | None
    guid: str
    institution_number: str | None
    loan_guarantor: str | None
    loan_reference_number: str | None
    member_guid: str
    passed_validation: bool
    routing_number: str | None
    sequence_number: str | None
    transit_number: str | None
    user_guid: str


class AccountNumbersBody(Struct, frozen=True):
    account_numbers: list[AccountNumber]
    pagination: Pagination


class AccountOwner(Struct, frozen=True, kw_only=True):
    account_guid: str
    address: str | None
    city: str | None
    country: str | None
    email: str | None
    first_name: str | None
    guid: str
    last_name: str | None
    member_guid: str
    owner_name: str | None
    phone: str | None
    postal_code: str | None
    state: str | None
    user_guid: str


class AccountOwnersBody(Struct, frozen=True):
    account_owners: list[AccountOwner]
    pagination: Pagination


class Classification(Struct, frozen=True):
    parent_class: str
    guid: str


class Geolocation(Struct, frozen=True):
    country: str | None
    state: str | None
    city: str | None
    postal_code: str | None = field(name="postal code")


class IncludedMerchant(Struct, frozen=True):
    name: str
    guid: str
    logo_url: str | None
    website_url: str | None


class RepeatingTransaction(Struct, frozen=True):
    repeating_transaction_type: str
    guid: str
    recurrence_type: str | None = None
    """Null: the only value in MX's spec is EVERY_OTHER_WEEK, and its SDKs refuse any other."""


class Transaction(Struct, frozen=True, kw_only=True):
    """The last four keys are there only where `includes` asked for them."""

    account_guid: str
    account_id: str | None
    amount: Decimal
    category: str | None
    category_guid: str | None
    check_number_string: str | None
    created_at: Moment
    currency_code: str | None
    date: date
    description: str | None
    extended_transaction_type: str | None
    guid: str
    id: str | None
    is_bill_pay: bool
    is_direct_deposit: bool
    is_expense: bool
    is_fee: bool
    is_income: bool
    is_international: bool
    is_manual: bool = False
    is_overdraft_fee: bool
    is_payroll_advance: bool
    is_recurring: bool
    is_subscription: bool
    latitude: Decimal | None = None
    localized_description: str | None = None
    localized_memo: str | None = None
    longitude: Decimal | None = None
    member_guid: str
    member_is_managed_by_user: bool = True
    memo: str | None
    merchant_category_code: int | None
    merchant_guid: str | None
    merchant_location_guid: str | None
    metadata: str | None
    original_description: str | None
    posted_at: Moment | None
    status: str
    top_level_category: str | None
    transacted_at: Moment | None
    type: str
    updated_at: Moment
    user_guid: str
    user_id: str | None
    classification: Classification | UnsetType | None = UNSET
    geolocation: Geolocation | UnsetType | None = UNSET
    merchant: IncludedMerchant | UnsetType | None = UNSET
    repeating_transaction: RepeatingTransaction | UnsetType | None = UNSET


class TransactionBody(Struct, frozen=True):
    transaction: Transaction


class TransactionsBody(Struct, frozen=True):
    transactions: list[Transaction]
    pagination: Pagination


class Statement(Struct, frozen=True, kw_only=True):
    account_guid: str
    content_hash: str
    created_at: Moment
    guid: str
    member_guid: str
    updated_at: Moment
    uri: str
    user_guid: str


class StatementBody(Struct, frozen=True):
    statement: Statement


class StatementsBody(Struct, frozen=True):
    statements: list[Statement]
    pagination: Pagination


class MicroDepositState(Struct, frozen=True, kw_only=True):
    error_message: str | None
    guid: str
    institution_code: str | None
    institution_name: str | None
    status: str
    updated_at: Moment
    verified_at: Moment | None


class MicroDeposit(MicroDepositState, frozen=True, kw_only=True):
    """The three the spec requires are never null: empty until an account is known."""

    account_name: str | None
    account_number: str
    account_type: str
    email: str | None
    first_name: str | None
    last_name: str | None
    routing_number: str


class MicroDepositBody(Struct, frozen=True):
    """A list of one: so the spec has it, and so MX's SDKs read it (mx-contract Q29)."""

    micro_deposit: list[MicroDeposit]


class MicroDepositsBody(Struct, frozen=True):
    micro_deposits: list[MicroDepositState]
    pagination: Pagination


class Category(Struct, frozen=True, kw_only=True):
    created_at: Moment | None = None
    guid: str
    is_default: bool = True
    is_income: bool
    metadata: str | None = None
    name: str
    parent_guid: str | None
    updated_at: Moment | None = None


class CategoryBody(Struct, frozen=True):
    category: Category


class CategoriesBody(Struct, frozen=True):
    categories: list[Category]
    pagination: Pagination


class Merchant(Struct, frozen=True, kw_only=True):
    created_at: Moment | None = None
    guid: str
    logo_url: str | None
    name: str
    updated_at: Moment | None = None
    website_url: str | None


class MerchantBody(Struct, frozen=True):
    merchant: Merchant


class MerchantsBody(Struct, frozen=True):
    merchants: list[Merchant]
    pagination: Pagination


class MerchantLocation(Struct, frozen=True, kw_only=True):
    city: str | None
    country: str | None = "US"
    created_at: Moment | None = None
    guid: str
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    merchant_guid: str
    phone_number: str | None = None
    postal_code: str | None = None
    state: str | None
    street_address: str | None = None
    updated_at: Moment | None = None


class MerchantLocationBody(Struct, frozen=True):
    merchant_location: MerchantLocation


class WidgetURL(Struct, frozen=True):
    type: str
    url: str
    user_id: str | None


class WidgetURLBody(Struct, frozen=True):
    widget_url: WidgetURL


class ConnectWidgetURL(Struct, frozen=True):
    connect_widget_url: str
    guid: str


class ConnectWidgetURLBody(Struct, frozen=True):
    user: ConnectWidgetURL
