"""Account numbers and account owners, as a client reads them; `processors` has what a token reads."""

from msgspec import Struct

from coatcheck.http.encoding import to_schemas
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.paging import Page
from coatcheck.vault.vault import AccountNumbers, AccountOwner


class AccountNumberResponse(Struct, frozen=True, kw_only=True):
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


class AccountNumbersResponseBody(Struct, frozen=True):
    account_numbers: list[AccountNumberResponse]
    pagination: PaginationResponse


class AccountOwnerResponse(Struct, frozen=True, kw_only=True):
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


class AccountOwnersResponseBody(Struct, frozen=True):
    account_owners: list[AccountOwnerResponse]
    pagination: PaginationResponse


def account_numbers_body(numbers: Page[AccountNumbers]) -> AccountNumbersResponseBody:
    return AccountNumbersResponseBody(to_schemas(numbers.items, AccountNumberResponse), pagination(numbers))


def account_owners_body(owners: Page[AccountOwner]) -> AccountOwnersResponseBody:
    return AccountOwnersResponseBody(to_schemas(owners.items, AccountOwnerResponse), pagination(owners))
