"""How v20250224 shows what it shows otherwise."""

from typing import Annotated

from coatcheck.api.products import KINDS, Product
from coatcheck.api.schemas.encoding import encode, to_schema, to_schemas
from coatcheck.api.schemas.v20111101.presenter import V20111101, institution_parts, member_parts, pagination
from coatcheck.api.schemas.v20250224 import schemas
from coatcheck.connectors.contract import Institution
from coatcheck.model.accounts import Account
from coatcheck.model.members import Member
from coatcheck.model.paging import Page

PRODUCTS = {product.value: kind for product, kind in KINDS.items() if product is not Product.HISTORY}
"""The older spelling of the history is understood, and never said."""


def _institution(institution: Institution) -> schemas.Institution:
    return to_schema(
        institution,
        schemas.Institution,
        supported_products=[name for name, kind in PRODUCTS.items() if kind in institution.supports],
        **institution_parts(institution),
    )


def _member(member: Member, oauth_window_uri: str | None = None) -> schemas.Member:
    return to_schema(member, schemas.Member, **member_parts(member, oauth_window_uri))


class V20250224(V20111101):
    """Satisfies `Wire`."""

    @property
    def version(self) -> str:
        return "v20250224"

    def show_institution(self, institution: Institution) -> Annotated[bytes, schemas.InstitutionBody]:
        return encode(schemas.InstitutionBody(_institution(institution)))

    def show_institutions(
        self, institutions: Page[Institution]
    ) -> Annotated[bytes, schemas.InstitutionsBody]:
        return encode(
            schemas.InstitutionsBody(
                [_institution(each) for each in institutions.items], pagination(institutions)
            )
        )

    def show_member(
        self, member: Member, oauth_window_uri: str | None = None
    ) -> Annotated[bytes, schemas.MemberBody]:
        return encode(schemas.MemberBody(_member(member, oauth_window_uri)))

    def show_members(self, members: Page[Member]) -> Annotated[bytes, schemas.MembersBody]:
        return encode(schemas.MembersBody([_member(each) for each in members.items], pagination(members)))

    def show_account(self, account: Account) -> Annotated[bytes, schemas.AccountBody]:
        return encode(schemas.AccountBody(to_schema(account, schemas.Account)))

    def show_accounts(self, accounts: Page[Account]) -> Annotated[bytes, schemas.AccountsBody]:
        return encode(schemas.AccountsBody(to_schemas(accounts.items, schemas.Account), pagination(accounts)))
