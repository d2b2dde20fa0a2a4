"""Micro-deposits and account verifications."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from coatcheck.api.schemas.accounts import AccountType
from coatcheck.http.decoding import Line, RequestSchema
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.micro_deposits import DepositAccount, MicroDeposit
from coatcheck.model.paging import Page


class MicrodepositRequest(RequestSchema, frozen=True, kw_only=True):
    """The account that gets the deposits, or only its holder, to be completed later (MX docs: pre-initiate)."""

    account_name: Line | None = None
    account_number: Line | None = None
    account_type: AccountType | None = None
    routing_number: Line | None = None
    email: Line | None = None
    first_name: Line | None = None
    last_name: Line | None = None


class MicrodepositRequestBody(RequestSchema, frozen=True, kw_only=True):
    micro_deposit: MicrodepositRequest


class MicrodepositVerifyRequest(RequestSchema, frozen=True, kw_only=True):
    deposit_amount_1: Decimal
    deposit_amount_2: Decimal


class MicrodepositVerifyRequestBody(RequestSchema, frozen=True, kw_only=True):
    micro_deposit: MicrodepositVerifyRequest


class MicrodepositResponse(Struct, frozen=True, kw_only=True):
    error_message: str | None
    guid: str
    institution_code: str | None
    institution_name: str | None
    status: str
    updated_at: Timestamp
    verified_at: Timestamp | None


class MicrodepositDetailResponse(MicrodepositResponse, frozen=True, kw_only=True):
    """With the account. The three required keys are empty strings until the account is known."""

    account_name: str | None
    account_number: str
    account_type: str
    email: str | None
    first_name: str | None
    last_name: str | None
    routing_number: str


class MicrodepositResponseBody(Struct, frozen=True):
    """A list of one: MX's spec declares it so, and MX's SDKs read it so."""

    micro_deposit: list[MicrodepositDetailResponse]


class MicrodepositsResponseBody(Struct, frozen=True):
    micro_deposits: list[MicrodepositResponse]
    pagination: PaginationResponse


def micro_deposit_body(deposit: MicroDeposit, account: DepositAccount) -> MicrodepositResponseBody:
    return MicrodepositResponseBody([_detail(deposit, account)])


def micro_deposits_body(deposits: Page[MicroDeposit]) -> MicrodepositsResponseBody:
    return MicrodepositsResponseBody(to_schemas(deposits.items, MicrodepositResponse), pagination(deposits))


def account_verifications_body(
    deposits: Sequence[tuple[MicroDeposit, DepositAccount]],
) -> MicrodepositResponseBody:
    return MicrodepositResponseBody([_detail(*each) for each in deposits])


def _detail(deposit: MicroDeposit, account: DepositAccount) -> MicrodepositDetailResponse:
    return to_schema(
        deposit,
        MicrodepositDetailResponse,
        account_name=account.account_name,
        account_number=account.account_number or "",
        account_type=deposit.account_type or "",
        email=account.email,
        first_name=account.first_name,
        last_name=account.last_name,
        routing_number=account.routing_number or "",
    )
