"""Access tokens, and what a processor reads with one."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Struct
from msgspec.structs import asdict

from coatcheck.api.schemas.account_numbers import IsTokenized
from coatcheck.api.schemas.accounts import ProvenanceResponse
from coatcheck.api.versions import ByVersion, Version
from coatcheck.clock import whole_second
from coatcheck.grants.exchange import IssuedToken
from coatcheck.http.doc import (
    ACCESS_TOKEN,
    SCOPE,
    AccountGuid,
    CreatedAt,
    MemberGuid,
    UpdatedAt,
    UserGuid,
    doc,
)
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.accounts import Account
from coatcheck.model.paging import Page
from coatcheck.vault.vault import AccountNumbers, AccountOwner

MAX_EXACT_INTEGER = 2**53 - 1
"""A reader that stores numbers as binary doubles loses digits above it (RFC 8259 6)."""


class AccessTokenResponse(Struct, frozen=True):
    """RFC 6749 5.1 with MX's `expires_at` (MX processor guide)."""

    access_token: Annotated[str, doc("The token. It is shown this once.", ACCESS_TOKEN)]
    expires_at: Annotated[
        Timestamp,
        doc(
            "When the token expires, 60 days from now unless the scope or the operator says otherwise.",
            "2027-01-25T09:35:00Z",
        ),
    ]
    scope: Annotated[str, doc("What the token reads.", SCOPE)]
    token_type: Annotated[
        str, doc("The scheme of the `Authorization` header.", "Bearer", enum=["Bearer", "DPoP"])
    ] = "Bearer"  # noqa: S105 (the name of a scheme)


class LegacyAccessTokenResponse(Struct, frozen=True):
    access_token: Annotated[str, doc("The token. It is shown this once.", ACCESS_TOKEN)]
    token_type: Annotated[str, doc("The scheme of the `Authorization` header.", "bearer")] = "bearer"  # noqa: S105 (the name of a scheme)
    scope: Annotated[str, doc("Always `payment_accounts`.", "payment_accounts")] = "payment_accounts"


class MemberElements(Struct, frozen=True, kw_only=True):
    """The keys that every answer to a processor contains."""

    account_guid: AccountGuid
    member_guid: MemberGuid
    user_guid: UserGuid


class ProcessorAccountNumber(MemberElements, frozen=True, kw_only=True):
    account_number: Annotated[
        int | str | None,
        doc(
            "The full account number: an integer if no digit is lost, otherwise a string. Null for an "
            "account without one.",
            1234563545,
        ),
    ]
    guid: Annotated[str, doc("The guid of these numbers.", "ACN-0197c4a4-5a10-7d4c-8e2f-3b4c5d6e7f80")]
    institution_number: Annotated[
        str | None, doc("Of a Canadian account: the three digits of the institution.")
    ]
    loan_guarantor: Annotated[str | None, doc("Of a loan: who guarantees it.")]
    loan_reference_number: Annotated[str | None, doc("Of a loan: its number at the lender.")]
    passed_validation: Annotated[
        bool,
        doc(
            "Whether the number has the form of an account number and the check digit of the routing "
            "number is right.",
            True,
        ),
    ]
    routing_number: Annotated[
        int | str | None,
        doc(
            "The nine-digit ABA routing number: an integer if no digit is lost, otherwise a string. Null "
            "for a Canadian account.",
            "091000019",
        ),
    ]
    sequence_number: Annotated[str | None, doc("Of a Canadian account: its sequence number.")]
    transit_number: Annotated[str | None, doc("Of a Canadian account: the five digits of the branch.")]


class ProcessorAccountNumberBody(Struct, frozen=True):
    """MX's schema has no `pagination` here."""

    account_numbers: Annotated[list[ProcessorAccountNumber], doc("The numbers of the account.")]


class ProcessorAccountNumberV20250224(ProcessorAccountNumber, frozen=True, kw_only=True):
    is_tokenized: IsTokenized


class ProcessorAccountNumberBodyV20250224(Struct, frozen=True):
    account_numbers: Annotated[list[ProcessorAccountNumberV20250224], doc("The numbers of the account.")]


PROCESSOR_NUMBERS_BODY: ByVersion = {
    Version.V20111101: ProcessorAccountNumberBody,
    Version.V20250224: ProcessorAccountNumberBodyV20250224,
}


class ProcessorOwner(MemberElements, frozen=True, kw_only=True):
    guid: Annotated[str, doc("The guid of the owner.", "ACO-0197c4a4-6b20-7e5d-9f3a-4c5d6e7f8091")]
    owner_name: Annotated[str | None, doc("The full name.", "Ann Example")]
    address: Annotated[str | None, doc("Street and number.", "12 Main Street")]
    city: Annotated[str | None, doc("The city.", "Lehi")]
    state: Annotated[str | None, doc("The state or province.", "UT")]
    postal_code: Annotated[str | None, doc("The postal code.", "84043")]
    country: Annotated[str | None, doc("The country, as the bank reports it.", "US")]
    email: Annotated[str | None, doc("The e-mail address.", "ann@example.com")]
    phone: Annotated[str | None, doc("The phone number.", "8015550123")]


class ProcessorOwnerBody(Struct, frozen=True):
    account_owners: Annotated[list[ProcessorOwner], doc("The owners of the account.")]
    pagination: Pagination


class PaymentAccount(MemberElements, frozen=True, kw_only=True):
    account_name: Annotated[str | None, doc("The name of the account at the bank.", "MX Checking")]
    account_number: Annotated[
        str | None,
        doc(
            "The full number with `read-protected` in the scope, otherwise masked. Always a string.",
            "1234563545",
        ),
    ]
    account_type: Annotated[str, doc("The type of the account.", "CHECKING")]
    available_balance: Annotated[Decimal | None, doc("What can be spent now.", 1350.25)]
    balance: Annotated[Decimal | None, doc("The balance, with the bank's posted transactions.", 1400.0)]
    created_at: CreatedAt
    routing_number: Annotated[
        str | None, doc("The routing number, with `read-protected` in the scope.", "091000019")
    ]
    transit_number: Annotated[
        str | None, doc("Of a Canadian account: the branch, with `read-protected` in the scope.")
    ]
    updated_at: UpdatedAt


class PaymentAccountV20250224(PaymentAccount, frozen=True, kw_only=True):
    is_tokenized: Annotated[
        bool | None,
        doc(
            "Whether the account number stands for the real one. Null: it is masked, or the bank does not say.",
            False,
        ),
    ]
    provenance: Annotated[ProvenanceResponse, doc("Where the data comes from.")]


class PaymentAccountBody(Struct, frozen=True):
    payment_account: Annotated[PaymentAccount, doc("The account.")]


class PaymentAccountBodyV20250224(Struct, frozen=True):
    payment_account: Annotated[PaymentAccountV20250224, doc("The account.")]


PAYMENT_ACCOUNT_BODY: ByVersion = {
    Version.V20111101: PaymentAccountBody,
    Version.V20250224: PaymentAccountBodyV20250224,
}


def access_token_body(issued: IssuedToken) -> AccessTokenResponse:
    return AccessTokenResponse(issued.access_token, whole_second(issued.expires_at), issued.scope)


def legacy_access_token_body(issued: IssuedToken) -> LegacyAccessTokenResponse:
    return LegacyAccessTokenResponse(issued.access_token)


def processor_numbers_body(
    version: Version, numbers: Sequence[AccountNumbers], *, as_strings: bool
) -> Struct:
    """`PROCESSOR_NUMBERS_BODY` of the version: the account numbers that a token reads.

    Args:
        version: of the API.
        numbers: from the vault, disclosed.
        as_strings: strings always; otherwise JSON integers if no digit is lost.
    """
    items = [_processor_number(each, as_strings=as_strings) for each in numbers]
    if version is Version.V20111101:
        return ProcessorAccountNumberBody(items)
    return ProcessorAccountNumberBodyV20250224(
        [
            ProcessorAccountNumberV20250224(**asdict(item), is_tokenized=each.is_tokenized)
            for item, each in zip(items, numbers, strict=True)
        ]
    )


def _processor_number(numbers: AccountNumbers, *, as_strings: bool) -> ProcessorAccountNumber:
    return ProcessorAccountNumber(
        account_guid=numbers.account_guid,
        account_number=number_or_text(numbers.account_number, as_strings=as_strings),
        guid=numbers.guid,
        institution_number=numbers.institution_number,
        loan_guarantor=numbers.loan_guarantor,
        loan_reference_number=numbers.loan_reference_number,
        member_guid=numbers.member_guid,
        passed_validation=numbers.passed_validation,
        routing_number=number_or_text(numbers.routing_number, as_strings=as_strings),
        sequence_number=numbers.sequence_number,
        transit_number=numbers.transit_number,
        user_guid=numbers.user_guid,
    )


def processor_owners_body(owners: Page[AccountOwner]) -> ProcessorOwnerBody:
    return ProcessorOwnerBody(to_schemas(owners.items, ProcessorOwner), pagination(owners))


def payment_account_body(version: Version, account: Account, numbers: AccountNumbers | None) -> Struct:
    """`PAYMENT_ACCOUNT_BODY` of the version.

    Args:
        version: of the API.
        account: the account.
        numbers: None without `read-protected` in the scope. The number is masked then.
    """
    values = {
        "account_guid": account.guid,
        "account_name": account.name,
        "account_number": numbers.account_number if numbers else account.account_number,
        "account_type": account.type,
        "routing_number": numbers and numbers.routing_number,
        "transit_number": numbers and numbers.transit_number,
    }
    if version is Version.V20111101:
        return PaymentAccountBody(to_schema(account, PaymentAccount, **values))
    provenance = to_schema(account.provenance, ProvenanceResponse)
    return PaymentAccountBodyV20250224(
        to_schema(
            account,
            PaymentAccountV20250224,
            **values,
            is_tokenized=numbers and numbers.is_tokenized,
            provenance=provenance,
        )
    )


def number_or_text(digits: str | None, *, as_strings: bool) -> int | str | None:
    """An integer if every reader gets the same digits back, else a string: no leading zero is lost."""
    if digits is None or as_strings or not (digits.isascii() and digits.isdigit()) or len(digits) > 16:
        return digits
    number = int(digits)
    return number if str(number) == digits and number <= MAX_EXACT_INTEGER else digits
