"""Institutions and the credential fields of their sign-in forms."""

from base64 import b64encode
from functools import lru_cache
from typing import Any

from msgspec import Struct

from coatcheck.api.products import KINDS, Product
from coatcheck.api.versions import ByVersion, Version
from coatcheck.connectors.contract import CredentialField, Institution, JobKind
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.paging import Page

PRODUCTS = {product.value: kind for product, kind in KINDS.items() if product is not Product.HISTORY}
"""The product names of v20250224 answers; the older spelling `history` is accepted in requests only."""


class InstitutionFields(Struct, frozen=True, kw_only=True):
    """The keys that both versions have."""

    code: str
    forgot_password_url: str | None
    forgot_username_url: str | None
    instructional_text: str | None
    instructional_text_steps: list[str] | None = None
    is_disabled_by_client: bool = False
    iso_country_code: str
    medium_logo_url: str | None
    name: str
    small_logo_url: str | None
    supports_oauth: bool
    supports_tax_document: bool = False
    trouble_signing_in_url: str | None
    url: str | None


class InstitutionResponse(InstitutionFields, frozen=True, kw_only=True):
    supports_account_identification: bool
    supports_account_statement: bool
    supports_account_verification: bool
    supports_transaction_history: bool


class InstitutionResponseV20250224(InstitutionFields, frozen=True, kw_only=True):
    """A list of products replaces the four flags of v20111101."""

    created_at: Timestamp | None
    guid: str
    is_hidden: bool = False
    supported_products: list[str]


class InstitutionResponseBody(Struct, frozen=True):
    institution: InstitutionResponse


class InstitutionResponseBodyV20250224(Struct, frozen=True):
    institution: InstitutionResponseV20250224


class InstitutionsResponseBody(Struct, frozen=True):
    institutions: list[InstitutionResponse]
    pagination: PaginationResponse


class InstitutionsResponseBodyV20250224(Struct, frozen=True):
    institutions: list[InstitutionResponseV20250224]
    pagination: PaginationResponse


INSTITUTION_BODY: ByVersion = {
    Version.V20111101: InstitutionResponseBody,
    Version.V20250224: InstitutionResponseBodyV20250224,
}
INSTITUTIONS_BODY: ByVersion = {
    Version.V20111101: InstitutionsResponseBody,
    Version.V20250224: InstitutionsResponseBodyV20250224,
}


class CredentialResponse(Struct, frozen=True, kw_only=True):
    display_order: int
    field_name: str
    field_type: str
    guid: str
    label: str
    type: str


class CredentialsResponseBody(Struct, frozen=True):
    credentials: list[CredentialResponse]
    pagination: PaginationResponse


def institution_body(version: Version, institution: Institution) -> Struct:
    """`INSTITUTION_BODY` of the version."""
    if version is Version.V20111101:
        return InstitutionResponseBody(_v20111101(institution))
    return InstitutionResponseBodyV20250224(_v20250224(institution))


def institutions_body(version: Version, institutions: Page[Institution]) -> Struct:
    """`INSTITUTIONS_BODY` of the version."""
    if version is Version.V20111101:
        return InstitutionsResponseBody(
            [_v20111101(each) for each in institutions.items], pagination(institutions)
        )
    return InstitutionsResponseBodyV20250224(
        [_v20250224(each) for each in institutions.items], pagination(institutions)
    )


def credentials_body(credentials: Page[CredentialField]) -> CredentialsResponseBody:
    items = [to_schema(each, CredentialResponse, type=each.field_type) for each in credentials.items]
    return CredentialsResponseBody(items, pagination(credentials))


def _v20111101(institution: Institution) -> InstitutionResponse:
    return to_schema(
        institution,
        InstitutionResponse,
        supports_account_identification=JobKind.IDENTIFICATION in institution.supports,
        supports_account_statement=JobKind.STATEMENT in institution.supports,
        supports_account_verification=JobKind.VERIFICATION in institution.supports,
        supports_transaction_history=JobKind.HISTORY in institution.supports,
        **_logos(institution),
    )


def _v20250224(institution: Institution) -> InstitutionResponseV20250224:
    return to_schema(
        institution,
        InstitutionResponseV20250224,
        supported_products=[name for name, kind in PRODUCTS.items() if kind in institution.supports],
        **_logos(institution),
    )


def _logos(institution: Institution) -> dict[str, Any]:
    logo = svg_data_url(institution.logo_svg)
    return {"small_logo_url": logo, "medium_logo_url": logo}


@lru_cache(maxsize=1024)
def svg_data_url(svg: str | None) -> str | None:
    """An SVG image as a `data:` URL."""
    return svg and f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
