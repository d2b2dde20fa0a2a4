"""Institutions. The operator can forbid a client some of them."""

from collections.abc import Mapping, Sequence
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
from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.http.query import read_choices, read_flag, read_page, read_text, read_texts
from coatcheck.model.institution_statuses import AVAILABLE, availabilities, availability
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
    """A false flag does not filter. No institution supports a product that no job reads.

    Institutions to which the client can make no new connection are listed on request only.
    """
    products = read_choices(request.query, "supported_products", Product)
    required = {kind for name, kind in FLAGS.items() if read_flag(request.query, name)}
    found = request.services.registry.search(
        read_text(request.query, "name"),
        iso_country_codes=_countries(request),
        supports=required.union(job_kinds(products)),
    )
    # A product that no job reads is supported by no institution, so the list is empty.
    is_possible = products <= KINDS.keys()
    includes_blocked = read_flag(request.query, "include_blocked_institutions") or False
    return await _page(request, found if is_possible else (), includes_blocked=includes_blocked)


async def favorites(request: ApiRequest) -> Struct:
    found = request.services.registry.favorites(_countries(request))
    return await _page(request, found, includes_blocked=False)


async def read(request: ApiRequest) -> Struct:
    institution = request.services.registry.find(request.path["institution"])
    available = await availability(request.connection, request.client.guid, institution.code)
    return institution_body(request.version, institution, available)


async def credentials(request: ApiRequest) -> CredentialsResponseBody:
    """Empty for an institution that uses OAuth."""
    institution = request.services.registry.find(request.path["institution"])
    return credentials_body(paginate(institution.credentials, read_page(request.query)))


async def _page(request: ApiRequest, found: Sequence[Institution], *, includes_blocked: bool) -> Struct:
    by_code = await availabilities(request.connection, request.client.guid)
    listed = [each for each in found if includes_blocked or not by_code.get(each.code, AVAILABLE).is_blocked]
    return institutions_body(request.version, paginate(listed, read_page(request.query)), by_code)


def _countries(request: ApiRequest) -> list[str]:
    return [code.upper() for code in read_texts(request.query, "iso_country_code")]
