"""What a bank connector is: a function that may stop with a question.

    run(task, credentials, answers, state) -> Finished | Asking

It is called once per sitting. When it returns `Asking`, the questions go to the end user and the sitting
ends; minutes or days later `run` is called again with the answers and with the state it returned. It keeps
nothing in between. It raises a `BankError` when the bank refuses or fails, and nothing else on purpose.
"""
# ruff: noqa: ARG002 (a default refuses whatever it is asked; the names are the contract)

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from coatcheck.errors import JobNotSupported


class JobKind(StrEnum):
    """What a member's job is after. The names are those of MX's webhooks."""

    AGGREGATION = "AGGREGATION"
    VERIFICATION = "VERIFICATION"
    IDENTIFICATION = "IDENTIFICATION"
    HISTORY = "HISTORY"
    STATEMENT = "STATEMENT"
    BALANCE = "BALANCE"


class ChallengeType(StrEnum):
    TEXT = "TEXT"
    OPTIONS = "OPTIONS"
    TOKEN = "TOKEN"  # noqa: S105 (a one-time code to be typed, MX's word)
    IMAGE_DATA = "IMAGE_DATA"
    IMAGE_OPTIONS = "IMAGE_OPTIONS"


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One box of an institution's login form."""

    guid: str
    field_name: str
    """`LOGIN`, `PASSWORD`, or another upper-case name; the key of `credentials` in `run`."""
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
    """Higher stands earlier in lists; the 25 highest are the favourites."""
    routing_numbers: tuple[str, ...] = ()
    is_throttled: bool = True
    """False for test institutions: no minimum interval between aggregations (MX docs: test platform)."""
    instructional_text: str | None = None
    forgot_password_url: str | None = None
    forgot_username_url: str | None = None
    trouble_signing_in_url: str | None = None
    logo_svg: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What is wanted in this sitting."""

    kind: JobKind
    institution_code: str
    member_guid: str
    now: datetime
    include_transactions: bool = True
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Option:
    label: str
    value: str
    data_uri: str | None = None
    """The picture, for IMAGE_OPTIONS."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing the bank wants to know."""

    key: str
    """The connector's own name for it; the answer comes back under it."""
    type: ChallengeType
    label: str
    options: tuple[Option, ...] = ()
    image_data: str | None = None
    """A data URI, for IMAGE_DATA."""


@dataclass(frozen=True, slots=True)
class BankAccount:
    """An account as the bank shows it. `id` is the bank's own and stays the same between sittings."""

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
    """One set of payment numbers of an account. All are text: leading zeros matter."""

    account_id: str
    account_number: str | None = field(default=None, repr=False)
    routing_number: str | None = None
    institution_number: str | None = None
    transit_number: str | None = None
    loan_guarantor: str | None = None
    loan_reference_number: str | None = field(default=None, repr=False)
    sequence_number: str | None = None
    is_tokenized: bool = False
    """The bank issued this number for this connection alone."""
    passed_validation: bool = True


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
    """One movement. `id` is the bank's own and survives from pending to posted."""

    account_id: str
    id: str
    amount: Decimal
    """Unsigned; the direction is in `type`."""
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
    """A name out of `model.categories`; None is Uncategorized."""
    check_number_string: str | None = None
    merchant: str | None = None
    """The merchant's plain name, as in `Connector.merchants`."""
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
    """`BILL`, `SUBSCRIPTION` or `INCOME` for one of a series."""
    city: str | None = None
    state: str | None = None
    country: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True, slots=True)
class BankStatement:
    account_id: str
    id: str
    period_end: date
    pdf: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """What the bank gave. Accounts always; the rest as the task asked."""

    accounts: Sequence[BankAccount]
    numbers: Sequence[BankNumbers] = ()
    owners: Sequence[BankOwner] = ()
    transactions: Sequence[BankTransaction] = ()
    statements: Sequence[BankStatement] = ()
    state: bytes | None = field(default=None, repr=False)
    """Kept for the next sitting (a refresh token, a device id), sealed; None keeps what was there."""


@dataclass(frozen=True, slots=True)
class NeedsAnswers:
    """The bank wants answers first."""

    questions: Sequence[Question]
    state: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Merchant:
    """A business that a connector's transactions name."""

    name: str
    website_url: str | None = None
    logo_url: str | None = None
    merchant_category_code: int | None = None
    city: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Deposits:
    """Two small deposits on their way to an account, which its holder will see and report."""

    amounts: tuple[Decimal, Decimal] = field(repr=False)
    arrive_at: datetime


ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


class Connector(Protocol):
    """One kind of bank."""

    name: str
    site: ASGIApp | None
    """Pages of the bank's own, served below `/banks/<name>`; only a sandbox has them."""
    sends_deposits: bool
    """Whether `send_deposits` can be called for any account of any bank."""

    def institutions(self) -> Sequence[Institution]: ...

    def merchants(self) -> Sequence[Merchant]: ...

    async def run(
        self,
        task: Task,
        credentials: Mapping[str, str],
        answers: Mapping[str, str] | None,
        state: bytes | None,
    ) -> Finished | NeedsAnswers:
        """One sitting at the bank.

        Args:
            task: what is wanted.
            credentials: by `field_name`; for OAuth, what `complete` returned.
            answers: by `Question.key`, when the last sitting asked.
            state: what the last sitting returned.

        Raises:
            BankError: the bank refused or failed; the class says which status that means.
        """
        ...

    def authorize(self, *, institution_code: str, state: str, redirect_uri: str, code_challenge: str) -> str:
        """The bank's authorization page for this attempt (RFC 6749 4.1.1, RFC 7636 S256).

        Raises:
            JobNotSupported: the institution takes credentials, not OAuth.
        """
        raise JobNotSupported

    async def complete(
        self, *, institution_code: str, code: str, code_verifier: str, redirect_uri: str
    ) -> Mapping[str, str]:
        """Exchanges the bank's code; what comes back is kept as the member's credentials.

        Raises:
            BankError: the bank refused.
        """
        raise JobNotSupported

    async def send_deposits(self, *, routing_number: str, account_number: str, now: datetime) -> Deposits:
        """Sends two micro-deposits.

        Raises:
            JobNotSupported: this connector cannot send money.
        """
        raise JobNotSupported
