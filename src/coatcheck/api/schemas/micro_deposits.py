"""Micro-deposits and account verifications."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Struct

from coatcheck.http.decoding import Line, RequestSchema
from coatcheck.http.doc import MICRO_DEPOSIT, UpdatedAt, doc
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.account_types import AccountType
from coatcheck.model.micro_deposits import DepositAccount, DepositStatus, MicroDeposit
from coatcheck.model.paging import Page


class MicrodepositRequest(RequestSchema, frozen=True, kw_only=True):
    """The account that gets the deposits, or only its holder, to be completed later (MX docs: pre-initiate)."""

    account_name: Annotated[Line | None, doc("The name of the account.")] = None
    account_number: Annotated[Line | None, doc("The account number, 4 to 17 digits.", "7777000042")] = None
    account_type: Annotated[AccountType | None, doc("`CHECKING` or `SAVINGS`.", "CHECKING")] = None
    routing_number: Annotated[Line | None, doc("The nine-digit ABA routing number.", "091000019")] = None
    email: Annotated[Line | None, doc("The holder's e-mail address.")] = None
    first_name: Annotated[Line | None, doc("The holder's given name.")] = None
    last_name: Annotated[Line | None, doc("The holder's family name.")] = None


class MicrodepositRequestBody(RequestSchema, frozen=True, kw_only=True):
    micro_deposit: Annotated[MicrodepositRequest, doc("The account, or its holder alone.")]


class MicrodepositVerifyRequest(RequestSchema, frozen=True, kw_only=True):
    deposit_amount_1: Annotated[Decimal, doc("One amount, in dollars.", 0.03)]
    deposit_amount_2: Annotated[Decimal, doc("The other amount, in dollars.", 0.15)]


class MicrodepositVerifyRequestBody(RequestSchema, frozen=True, kw_only=True):
    micro_deposit: Annotated[MicrodepositVerifyRequest, doc("The two amounts, in either order.")]


class MicrodepositResponse(Struct, frozen=True, kw_only=True):
    error_message: Annotated[str | None, doc("Why it is ERRORED, DENIED or PREVENTED.")]
    guid: Annotated[str, doc("The guid of the micro-deposit.", MICRO_DEPOSIT)]
    institution_code: Annotated[
        str | None, doc("The code of the institution with this routing number, if one is known.")
    ]
    institution_name: Annotated[str | None, doc("The name of the institution, if one is known.")]
    status: Annotated[str, doc("The state.", "DEPOSITED", enum=[*DepositStatus])]
    updated_at: UpdatedAt
    verified_at: Annotated[Timestamp | None, doc("When the amounts were entered right.")]


class MicrodepositDetailResponse(MicrodepositResponse, frozen=True, kw_only=True):
    """With the account. The three required keys are empty strings until the account is known."""

    account_name: Annotated[str | None, doc("The name of the account.")]
    account_number: Annotated[str, doc("The full account number; empty until it is known.", "7777000042")]
    account_type: Annotated[str, doc("The type of the account; empty until it is known.", "CHECKING")]
    email: Annotated[str | None, doc("The holder's e-mail address.")]
    first_name: Annotated[str | None, doc("The holder's given name.")]
    last_name: Annotated[str | None, doc("The holder's family name.")]
    routing_number: Annotated[str, doc("The routing number; empty until it is known.", "091000019")]


class MicrodepositResponseBody(Struct, frozen=True):
    """A list of one: MX's spec declares it so, and MX's SDKs read it so."""

    micro_deposit: Annotated[list[MicrodepositDetailResponse], doc("The micro-deposit, in a list.")]


class MicrodepositsResponseBody(Struct, frozen=True):
    micro_deposits: Annotated[list[MicrodepositResponse], doc("The micro-deposits on this page.")]
    pagination: Pagination


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
