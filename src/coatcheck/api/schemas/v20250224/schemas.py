"""The shapes that v20250224 has otherwise."""

from msgspec import Struct

from coatcheck.api.schemas.encoding import Moment
from coatcheck.api.schemas.v20111101.accounts import AccountCore
from coatcheck.api.schemas.v20111101.schemas import InstitutionCore, MemberCore, Pagination


class Institution(InstitutionCore, frozen=True, kw_only=True):
    """What it can do is a list of products, where v20111101 has a flag for each."""

    created_at: Moment | None
    guid: str
    is_hidden: bool = False
    supported_products: list[str]


class InstitutionBody(Struct, frozen=True):
    institution: Institution


class InstitutionsBody(Struct, frozen=True):
    institutions: list[Institution]
    pagination: Pagination


class Member(MemberCore, frozen=True, kw_only=True):
    most_recent_job_guid: str | None


class MemberBody(Struct, frozen=True):
    member: Member


class MembersBody(Struct, frozen=True):
    members: list[Member]
    pagination: Pagination


class Account(AccountCore, frozen=True, kw_only=True):
    """Without the `feed_` and `_set_by` fields."""


class AccountBody(Struct, frozen=True):
    account: Account


class AccountsBody(Struct, frozen=True):
    accounts: list[Account]
    pagination: Pagination
