"""Access tokens, and what a processor reads with one."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from coatcheck.clock import whole_second
from coatcheck.grants.exchange import IssuedToken
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.accounts import Account
from coatcheck.model.paging import Page
from coatcheck.vault.vault import AccountNumbers, AccountOwner

MAX_EXACT_INTEGER = 2**53 - 1
"""A reader that stores numbers as binary doubles loses digits above it (RFC 8259 6)."""


class AccessTokenResponse(Struct, frozen=True):
    """RFC 6749 5.1 with MX's `expires_at` (MX processor guide)."""

    access_token: str
    expires_at: Timestamp
    scope: str
    token_type: str = "Bearer"  # noqa: S105 (the name of a scheme)


class LegacyAccessTokenResponse(Struct, frozen=True):
    access_token: str
    token_type: str = "bearer"  # noqa: S105 (the name of a scheme)
    scope: str = "payment_accounts"


class MemberElements(Struct, frozen=True, kw_only=True):
    """The keys that every answer to a processor contains."""

    account_guid: str
    member_guid: str
    user_guid: str


class ProcessorAccountNumber(MemberElements, frozen=True, kw_only=True):
    account_number: int | str | None
    guid: str
    institution_number: str | None
    loan_guarantor: str | None
    loan_reference_number: str | None
    passed_validation: bool
    routing_number: int | str | None
    sequence_number: str | None
    transit_number: str | None


class ProcessorAccountNumberBody(Struct, frozen=True):
    """MX's schema has no `pagination` here."""

    account_numbers: list[ProcessorAccountNumber]


class ProcessorOwner(MemberElements, frozen=True, kw_only=True):
    guid: str
    owner_name: str | None
    address: str | None
    city: str | None
    state: str | None
    postal_code: str | None
    country: str | None
    email: str | None
    phone: str | None


class ProcessorOwnerBody(Struct, frozen=True):
    account_owners: list[ProcessorOwner]
    pagination: PaginationResponse


class PaymentAccount(MemberElements, frozen=True, kw_only=True):
    account_name: str | None
    account_number: str | None
    account_type: str
    available_balance: Decimal | None
    balance: Decimal | None
    created_at: Timestamp
    routing_number: str | None
    transit_number: str | None
    updated_at: Timestamp


class PaymentAccountBody(Struct, frozen=True):
    payment_account: PaymentAccount


def access_token_body(issued: IssuedToken) -> AccessTokenResponse:
    return AccessTokenResponse(issued.access_token, whole_second(issued.expires_at), issued.scope)


def legacy_access_token_body(issued: IssuedToken) -> LegacyAccessTokenResponse:
    return LegacyAccessTokenResponse(issued.access_token)


def processor_numbers_body(
    numbers: Sequence[AccountNumbers], *, as_strings: bool
) -> ProcessorAccountNumberBody:
    """The account numbers that a token reads.

    Args:
        numbers: from the vault, disclosed.
        as_strings: strings always; otherwise JSON integers if no digit is lost.
    """
    items = [
        ProcessorAccountNumber(
            account_guid=each.account_guid,
            account_number=number_or_text(each.account_number, as_strings=as_strings),
            guid=each.guid,
            institution_number=each.institution_number,
            loan_guarantor=each.loan_guarantor,
            loan_reference_number=each.loan_reference_number,
            member_guid=each.member_guid,
            passed_validation=each.passed_validation,
            routing_number=number_or_text(each.routing_number, as_strings=as_strings),
            sequence_number=each.sequence_number,
            transit_number=each.transit_number,
            user_guid=each.user_guid,
        )
        for each in numbers
    ]
    return ProcessorAccountNumberBody(items)


def processor_owners_body(owners: Page[AccountOwner]) -> ProcessorOwnerBody:
    return ProcessorOwnerBody(to_schemas(owners.items, ProcessorOwner), pagination(owners))


def payment_account_body(account: Account, numbers: AccountNumbers | None) -> PaymentAccountBody:
    """Balances and numbers; without `numbers` (no `read-protected` in the scope) only the masked number."""
    return PaymentAccountBody(
        to_schema(
            account,
            PaymentAccount,
            account_guid=account.guid,
            account_name=account.name,
            account_number=numbers.account_number if numbers else account.account_number,
            account_type=account.type,
            routing_number=numbers and numbers.routing_number,
            transit_number=numbers and numbers.transit_number,
        )
    )


def number_or_text(digits: str | None, *, as_strings: bool) -> int | str | None:
    """An integer if every reader gets the same digits back, else a string: no leading zero is lost."""
    if digits is None or as_strings or not (digits.isascii() and digits.isdigit()) or len(digits) > 16:
        return digits
    number = int(digits)
    return number if str(number) == digits and number <= MAX_EXACT_INTEGER else digits
