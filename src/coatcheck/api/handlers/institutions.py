"""Institutions; the same for every client."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from coatcheck.api.products import KINDS, Product, job_kinds
from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.institutions import (
    CredentialsResponseBody,
    credentials_body,
    institution_body,
    institutions_body,
)
from coatcheck.connectors.contract import JobKind
from coatcheck.http.query import read_choices, read_flag, read_page, read_text, read_texts
from coatcheck.model.paging import paginate

FLAGS: Mapping[str, JobKind] = MappingProxyType(
    {
        "supports_account_identification": JobKind.IDENTIFICATION,
        "supports_account_statement": JobKind.STATEMENT,
        "supports_account_verification": JobKind.VERIFICATION,
        "supports_transaction_history": JobKind.HISTORY,
    }
)
"""The filters of v20111101; v20250224 has `supported_products`. Both versions accept both."""


async def list_(request: ApiRequest) -> Struct:
    """A false flag does not filter. No institution supports a product that no job reads."""
    products = read_choices(request.query, "supported_products", Product)
    required = {kind for name, kind in FLAGS.items() if read_flag(request.query, name)}
    found = request.services.registry.search(
        read_text(request.query, "name"),
        iso_country_codes=_countries(request),
        supports=required.union(job_kinds(products)),
    )
    is_possible = products <= KINDS.keys()
    page = read_page(request.query)
    return institutions_body(request.version, paginate(found if is_possible else (), page))


async def favorites(request: ApiRequest) -> Struct:
    found = request.services.registry.favorites(_countries(request))
    page = read_page(request.query)
    return institutions_body(request.version, paginate(found, page))


async def read(request: ApiRequest) -> Struct:
    return institution_body(request.version, request.services.registry.find(request.path["institution"]))


async def credentials(request: ApiRequest) -> CredentialsResponseBody:
    """Empty for an institution that uses OAuth."""
    institution = request.services.registry.find(request.path["institution"])
    return credentials_body(paginate(institution.credentials, read_page(request.query)))


def _countries(request: ApiRequest) -> list[str]:
    return [code.upper() for code in read_texts(request.query, "iso_country_code")]
