"""Account numbers and account owners, as a client reads them; `processors` has what a token reads."""

from typing import Annotated, TypeAlias

from msgspec import Struct

from coatcheck.api.versions import ByVersion, Version
from coatcheck.http.doc import AccountGuid, MemberGuid, UserGuid, doc
from coatcheck.http.encoding import to_schemas
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.paging import Page
from coatcheck.vault.vault import AccountNumbers, AccountOwner


class AccountNumberResponse(Struct, frozen=True, kw_only=True):
    account_guid: AccountGuid
    account_number: Annotated[str | None, doc("The full account number.", "1234563545")]
    guid: Annotated[str, doc("The guid of these numbers.", "ACN-0197c4a4-5a10-7d4c-8e2f-3b4c5d6e7f80")]
    institution_number: Annotated[
        str | None, doc("Of a Canadian account: the three digits of the institution.")
    ]
    loan_guarantor: Annotated[str | None, doc("Of a loan: who guarantees it.")]
    loan_reference_number: Annotated[str | None, doc("Of a loan: its number at the lender.")]
    member_guid: MemberGuid
    passed_validation: Annotated[
        bool,
        doc(
            "Whether the number has the form of an account number and the check digit of the routing "
            "number is right.",
            True,
        ),
    ]
    routing_number: Annotated[
        str | None, doc("The nine-digit ABA routing number. Null for a Canadian account.", "091000019")
    ]
    sequence_number: Annotated[str | None, doc("Of a Canadian account: its sequence number.")]
    transit_number: Annotated[str | None, doc("Of a Canadian account: the five digits of the branch.")]
    user_guid: UserGuid


IsTokenized: TypeAlias = Annotated[
    bool | None,
    doc(
        "Whether the account number stands for the real one, for payments to this connection alone, and differs from "
        "the number on a cheque or a statement. Null: the bank does not say. MX has no such field.",
        False,
    ),
]


class AccountNumberResponseV20250224(AccountNumberResponse, frozen=True, kw_only=True):
    is_tokenized: IsTokenized


class AccountNumbersResponseBody(Struct, frozen=True):
    account_numbers: Annotated[list[AccountNumberResponse], doc("The numbers on this page.")]
    pagination: Pagination


class AccountNumbersResponseBodyV20250224(Struct, frozen=True):
    account_numbers: Annotated[list[AccountNumberResponseV20250224], doc("The numbers on this page.")]
    pagination: Pagination


ACCOUNT_NUMBERS_BODY: ByVersion = {
    Version.V20111101: AccountNumbersResponseBody,
    Version.V20250224: AccountNumbersResponseBodyV20250224,
}


class AccountOwnerResponse(Struct, frozen=True, kw_only=True):
    account_guid: AccountGuid
    address: Annotated[str | None, doc("Street and number.", "12 Main Street")]
    city: Annotated[str | None, doc("The city.", "Lehi")]
    country: Annotated[str | None, doc("The country, as the bank reports it.", "US")]
    email: Annotated[str | None, doc("The e-mail address.", "ann@example.com")]
    first_name: Annotated[str | None, doc("The given name.", "Ann")]
    guid: Annotated[str, doc("The guid of the owner.", "ACO-0197c4a4-6b20-7e5d-9f3a-4c5d6e7f8091")]
    last_name: Annotated[str | None, doc("The family name.", "Example")]
    member_guid: MemberGuid
    owner_name: Annotated[str | None, doc("The full name.", "Ann Example")]
    phone: Annotated[str | None, doc("The phone number.", "8015550123")]
    postal_code: Annotated[str | None, doc("The postal code.", "84043")]
    state: Annotated[str | None, doc("The state or province.", "UT")]
    user_guid: UserGuid


class AccountOwnersResponseBody(Struct, frozen=True):
    account_owners: Annotated[list[AccountOwnerResponse], doc("The owners on this page.")]
    pagination: Pagination


def account_numbers_body(version: Version, numbers: Page[AccountNumbers]) -> Struct:
    """`ACCOUNT_NUMBERS_BODY` of the version."""
    if version is Version.V20250224:
        return AccountNumbersResponseBodyV20250224(
            to_schemas(numbers.items, AccountNumberResponseV20250224), pagination(numbers)
        )
    return AccountNumbersResponseBody(to_schemas(numbers.items, AccountNumberResponse), pagination(numbers))


def account_owners_body(owners: Page[AccountOwner]) -> AccountOwnersResponseBody:
    return AccountOwnersResponseBody(to_schemas(owners.items, AccountOwnerResponse), pagination(owners))
