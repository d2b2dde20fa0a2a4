"""How v20250224 shows what it shows otherwise."""

from typing import Annotated

from coatcheck.api.products import KINDS, Product
from coatcheck.api.wire.encoding import encode, shaped, shaped_all
from coatcheck.api.wire.v20111101.dialect import V20111101, institution_parts, member_parts, pagination
from coatcheck.api.wire.v20250224 import shapes
from coatcheck.connectors.contract import Institution
from coatcheck.model.accounts import Account
from coatcheck.model.members import Member
from coatcheck.model.paging import Listing

PRODUCTS = {product.value: kind for product, kind in KINDS.items() if product is not Product.HISTORY}
"""The older spelling of the history is understood, and never said."""


def _institution(institution: Institution) -> shapes.Institution:
    return shaped(
        institution,
        shapes.Institution,
        supported_products=[name for name, kind in PRODUCTS.items() if kind in institution.supports],
        **institution_parts(institution),
    )


def _member(member: Member, oauth_window_uri: str | None = None) -> shapes.Member:
    return shaped(member, shapes.Member, **member_parts(member, oauth_window_uri))


class V20250224(V20111101):
    """Satisfies `Wire`."""

    @property
    def version(self) -> str:
        return "v20250224"

    def show_institution(self, institution: Institution) -> Annotated[bytes, shapes.InstitutionBody]:
        return encode(shapes.InstitutionBody(_institution(institution)))

    def show_institutions(
        self, institutions: Listing[Institution]
    ) -> Annotated[bytes, shapes.InstitutionsBody]:
        return encode(
            shapes.InstitutionsBody(
                [_institution(each) for each in institutions.items], pagination(institutions)
            )
        )

    def show_member(
        self, member: Member, oauth_window_uri: str | None = None
    ) -> Annotated[bytes, shapes.MemberBody]:
        return encode(shapes.MemberBody(_member(member, oauth_window_uri)))

    def show_members(self, members: Listing[Member]) -> Annotated[bytes, shapes.MembersBody]:
        return encode(shapes.MembersBody([_member(each) for each in members.items], pagination(members)))

    def show_account(self, account: Account) -> Annotated[bytes, shapes.AccountBody]:
        return encode(shapes.AccountBody(shaped(account, shapes.Account)))

    def show_accounts(self, accounts: Listing[Account]) -> Annotated[bytes, shapes.AccountsBody]:
        return encode(shapes.AccountsBody(shaped_all(accounts.items, shapes.Account), pagination(accounts)))
