"""Institutions and the credential fields of their sign-in forms."""

from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from msgspec import Struct

from coatcheck.api.products import KINDS, Product
from coatcheck.api.versions import ByVersion, Version
from coatcheck.connectors.contract import CredentialField, Institution, JobKind
from coatcheck.http.doc import LOGIN_FIELD, doc
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.institution_statuses import AVAILABLE, Availability, ClientStatus, InstitutionStatus
from coatcheck.model.paging import Page

PRODUCTS = {product.value: kind for product, kind in KINDS.items() if product is not Product.HISTORY}
"""The product names of v20250224 answers; the older spelling `history` is accepted in requests only."""


class InstitutionFields(Struct, frozen=True, kw_only=True):
    """The keys that both versions have."""

    code: Annotated[str, doc("The code, which requests name.", "mxbank")]
    forgot_password_url: Annotated[
        str | None, doc("Where the user sets a new password.", "https://www.mxbank.example/forgot-password")
    ]
    forgot_username_url: Annotated[
        str | None, doc("Where the user finds the user name.", "https://www.mxbank.example/forgot-username")
    ]
    instructional_text: Annotated[str | None, doc("A hint for the sign-in form.")]
    instructional_text_steps: Annotated[list[str] | None, doc("Steps before the sign-in.")] = None
    is_disabled_by_client: Annotated[
        bool, doc("Whether your client can make no new connection to it.", False)
    ]
    iso_country_code: Annotated[str, doc("The country.", "US")]
    medium_logo_url: Annotated[
        str | None, doc("The logo, as a data URI.", "data:image/svg+xml;base64,PHN2Zy...")
    ]
    name: Annotated[str, doc("The name.", "MX Bank")]
    small_logo_url: Annotated[
        str | None, doc("The logo, as a data URI.", "data:image/svg+xml;base64,PHN2Zy...")
    ]
    supports_oauth: Annotated[bool, doc("Whether the user signs in on the institution's own page.")]
    supports_tax_document: Annotated[bool, doc("Always false.")] = False
    trouble_signing_in_url: Annotated[
        str | None, doc("Where the user finds help.", "https://www.mxbank.example/help")
    ]
    url: Annotated[str | None, doc("The website.", "https://www.mxbank.example")]


class InstitutionResponse(InstitutionFields, frozen=True, kw_only=True):
    supports_account_identification: Annotated[bool, doc("Whether it returns account owners.", True)]
    supports_account_statement: Annotated[bool, doc("Whether it returns statements.", True)]
    supports_account_verification: Annotated[bool, doc("Whether it returns account numbers.", True)]
    supports_transaction_history: Annotated[bool, doc("Whether it returns 24 months of transactions.", True)]


class InstitutionResponseV20250224(InstitutionFields, frozen=True, kw_only=True):
    """A list of products replaces the four flags of v20111101."""

    client_status: Annotated[
        str,
        doc("What your client may do there. The operator sets it.", "AVAILABLE", enum=[*ClientStatus]),
    ]
    created_at: Annotated[
        Timestamp | None, doc("When it was added, if that is known.", "2024-01-02T15:00:00Z")
    ]
    guid: Annotated[str, doc("The guid of the institution.", "INS-5f427506-2d11-5233-9e70-421dc36ce106")]
    is_hidden: Annotated[bool, doc("Always false.")] = False
    status: Annotated[
        str,
        doc(
            "How well it works. The operator sets it. No job starts under `MAINTENANCE` and `UNAVAILABLE`.",
            "OPERATIONAL",
            enum=[*InstitutionStatus],
        ),
    ]
    supported_products: Annotated[
        list[str], doc("What it returns.", ["account_verification", "identity_verification", "transactions"])
    ]


class InstitutionResponseBody(Struct, frozen=True):
    institution: Annotated[InstitutionResponse, doc("The institution.")]


class InstitutionResponseBodyV20250224(Struct, frozen=True):
    institution: Annotated[InstitutionResponseV20250224, doc("The institution.")]


class InstitutionsResponseBody(Struct, frozen=True):
    institutions: Annotated[list[InstitutionResponse], doc("The institutions on this page.")]
    pagination: Pagination


class InstitutionsResponseBodyV20250224(Struct, frozen=True):
    institutions: Annotated[list[InstitutionResponseV20250224], doc("The institutions on this page.")]
    pagination: Pagination


INSTITUTION_BODY: ByVersion = {
    Version.V20111101: InstitutionResponseBody,
    Version.V20250224: InstitutionResponseBodyV20250224,
}
INSTITUTIONS_BODY: ByVersion = {
    Version.V20111101: InstitutionsResponseBody,
    Version.V20250224: InstitutionsResponseBodyV20250224,
}


class CredentialResponse(Struct, frozen=True, kw_only=True):
    display_order: Annotated[int, doc("The position in the form, from 1.", 1)]
    field_name: Annotated[str, doc("The institution's name of the field.", "LOGIN")]
    field_type: Annotated[str, doc("The kind of field.", "TEXT")]
    guid: Annotated[str, doc("The guid of the field, which a request names.", LOGIN_FIELD)]
    label: Annotated[str, doc("What the user sees.", "Username")]
    type: Annotated[str, doc("The same as `field_type`.", "TEXT")]


class CredentialsResponseBody(Struct, frozen=True):
    credentials: Annotated[list[CredentialResponse], doc("The fields on this page.")]
    pagination: Pagination


def institution_body(version: Version, institution: Institution, available: Availability) -> Struct:
    """`INSTITUTION_BODY` of the version."""
    if version is Version.V20111101:
        return InstitutionResponseBody(_v20111101(institution, available))
    return InstitutionResponseBodyV20250224(_v20250224(institution, available))


def institutions_body(
    version: Version, institutions: Page[Institution], available: Mapping[str, Availability]
) -> Struct:
    """`INSTITUTIONS_BODY` of the version. `available` has the institutions with an unusual status, by code."""
    items = [(each, available.get(each.code, AVAILABLE)) for each in institutions.items]
    if version is Version.V20111101:
        return InstitutionsResponseBody([_v20111101(*each) for each in items], pagination(institutions))
    return InstitutionsResponseBodyV20250224([_v20250224(*each) for each in items], pagination(institutions))


def credentials_body(credentials: Page[CredentialField]) -> CredentialsResponseBody:
    items = [to_schema(each, CredentialResponse, type=each.field_type) for each in credentials.items]
    return CredentialsResponseBody(items, pagination(credentials))


def _v20111101(institution: Institution, available: Availability) -> InstitutionResponse:
    return to_schema(
        institution,
        InstitutionResponse,
        is_disabled_by_client=available.is_blocked,
        supports_account_identification=JobKind.IDENTIFICATION in institution.supports,
        supports_account_statement=JobKind.STATEMENT in institution.supports,
        supports_account_verification=JobKind.VERIFICATION in institution.supports,
        supports_transaction_history=JobKind.HISTORY in institution.supports,
        **_logos(institution),
    )


def _v20250224(institution: Institution, available: Availability) -> InstitutionResponseV20250224:
    return to_schema(
        institution,
        InstitutionResponseV20250224,
        is_disabled_by_client=available.is_blocked,
        status=available.status,
        client_status=available.client_status,
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
