"""The records that connectors exchange with the rest of the program: frozen dataclasses without behaviour."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class JobKind(StrEnum):
    """The kind of data that a member's job reads. The names are those of MX's webhooks."""

    AGGREGATION = "AGGREGATION"
    VERIFICATION = "VERIFICATION"
    IDENTIFICATION = "IDENTIFICATION"
    HISTORY = "HISTORY"
    STATEMENT = "STATEMENT"
    BALANCE = "BALANCE"


class ChallengeType(StrEnum):
    TEXT = "TEXT"
    OPTIONS = "OPTIONS"
    TOKEN = "TOKEN"  # noqa: S105 (a one-time code that the user types; MX's word)
    IMAGE_DATA = "IMAGE_DATA"
    IMAGE_OPTIONS = "IMAGE_OPTIONS"


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One field of an institution's sign-in form."""

    guid: str
    field_name: str
    """`LOGIN`, `PASSWORD` or another upper-case name; the key in `Session.credentials`."""
    field_type: str
    """`TEXT` or `PASSWORD`."""
    label: str
    display_order: int


@dataclass(frozen=True, slots=True)
class Institution:
    code: str
    guid: str
    name: str
    url: str
    iso_country_code: str = "US"
    supports: frozenset[JobKind] = frozenset(JobKind)
    supports_oauth: bool = False
    credentials: tuple[CredentialField, ...] = ()
    popularity: int = 0
    """Institutions are listed by descending popularity; the first 25 are the favourites."""
    routing_numbers: tuple[str, ...] = ()
    is_throttled: bool = True
    """False for test institutions, which have no minimum interval between aggregations (MX docs: test platform)."""
    instructional_text: str | None = None
    forgot_password_url: str | None = None
    forgot_username_url: str | None = None
    trouble_signing_in_url: str | None = None
    logo_svg: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Option:
    label: str
    value: str
    data_uri: str | None = None
    """The image, for IMAGE_OPTIONS."""


@dataclass(frozen=True, slots=True)
class Question:
    """A security question or a request for a one-time code."""

    key: str
    """The connector's own name for the question; the key of its answer in `Session.answers`."""
    type: ChallengeType
    label: str
    options: tuple[Option, ...] = ()
    """The choices. Of a TOKEN question: what the user can ask for instead of entering the code, such as another code;
    the answer is then the value of the option."""
    image_data: str | None = None
    """A data URI, for IMAGE_DATA."""


@dataclass(frozen=True, slots=True)
class BankAccount:
    """An account at the institution. `id` is the institution's own and must be the same in every run."""

    id: str
    name: str
    type: str
    """MX's account type, such as `CHECKING`."""
    balance: Decimal
    currency_code: str = "USD"
    subtype: str | None = None
    nickname: str | None = None
    available_balance: Decimal | None = None
    account_number_mask: str | None = None
    """The last four digits, never more."""
    account_ownership: str | None = None
    """`INDIVIDUAL`, `JOINT`, `MULTIPLE` or `UNKNOWN`."""
    apr: Decimal | None = None
    apy: Decimal | None = None
    interest_rate: Decimal | None = None
    credit_limit: Decimal | None = None
    available_credit: Decimal | None = None
    minimum_balance: Decimal | None = None
    minimum_payment: Decimal | None = None
    payment_due_at: datetime | None = None
    last_payment: Decimal | None = None
    last_payment_at: datetime | None = None
    original_balance: Decimal | None = None
    payoff_balance: Decimal | None = None
    statement_balance: Decimal | None = None
    cash_balance: Decimal | None = None
    total_account_value: Decimal | None = None
    started_on: date | None = None
    matures_on: date | None = None
    federal_insurance_status: str | None = None
    is_closed: bool = False
    is_business: bool = False


@dataclass(frozen=True, slots=True)
class BankNumbers:
    """One set of payment numbers of an account. All are text, because leading zeros matter."""

    account_id: str
    account_number: str | None = field(default=None, repr=False)
    routing_number: str | None = None
    institution_number: str | None = None
    transit_number: str | None = None
    loan_guarantor: str | None = None
    loan_reference_number: str | None = field(default=None, repr=False)
    sequence_number: str | None = None
    passed_validation: bool = True
    is_tokenized: bool | None = None
    """Whether the account number stands for the real one, for this app or member alone. None: not known."""


@dataclass(frozen=True, slots=True, repr=False)
class BankOwner:
    account_id: str
    owner_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    address: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class BankTransaction:
    """A transaction. `id` is the institution's own and must stay the same when a pending transaction posts."""

    account_id: str
    id: str
    amount: Decimal
    """Unsigned; `type` says the direction."""
    type: str
    """`CREDIT` or `DEBIT`."""
    status: str
    """`POSTED` or `PENDING`."""
    date: date
    description: str
    original_description: str
    transacted_at: datetime | None = None
    posted_at: datetime | None = None
    currency_code: str = "USD"
    memo: str | None = None
    category: str | None = None
    """A category name of MX's list (docs/reference/compatibility.md); None means Uncategorized."""
    check_number_string: str | None = None
    merchant: str | None = None
    """The `name` of one of `Connector.merchants`."""
    merchant_category_code: int | None = None
    extended_transaction_type: str | None = None
    is_bill_pay: bool = False
    is_direct_deposit: bool = False
    is_fee: bool = False
    is_income: bool = False
    is_international: bool = False
    is_overdraft_fee: bool = False
    is_payroll_advance: bool = False
    is_recurring: bool = False
    is_subscription: bool = False
    recurrence: str | None = None
    """`BILL`, `SUBSCRIPTION` or `INCOME` for a transaction of a recurring series."""
    city: str | None = None
    state: str | None = None
    country: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True, slots=True)
class BankStatement:
    account_id: str
    id: str
    pdf: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Merchant:
    """A business that transactions of this connector refer to."""

    name: str
    website_url: str | None = None
    logo_url: str | None = None
    merchant_category_code: int | None = None
    city: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Deposits:
    """Two micro-deposits that were sent to an account."""

    amounts: tuple[Decimal, Decimal] = field(repr=False)
    arrive_at: datetime
