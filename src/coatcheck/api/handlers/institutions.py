"""The banks that can be connected; the same for every client."""

from collections.abc import Mapping
from types import MappingProxyType

from coatcheck.api.paging import read_choices, read_flag, read_page, read_text, read_texts
from coatcheck.api.products import KINDS, Product, job_kinds
from coatcheck.api.request import ApiRequest
from coatcheck.connectors.contract import JobKind
from coatcheck.model.paging import paginate

LARGEST_PAGE = 100

FLAGS: Mapping[str, JobKind] = MappingProxyType(
    {
        "supports_account_identification": JobKind.IDENTIFICATION,
        "supports_account_statement": JobKind.STATEMENT,
        "supports_account_verification": JobKind.VERIFICATION,
        "supports_transaction_history": JobKind.HISTORY,
    }
)
"""How v20111101 asks for what v20250224 calls `supported_products`."""


async def list_(request: ApiRequest) -> bytes:
    """A flag that is false asks for nothing; a product that nothing brings is found nowhere."""
    products = read_choices(request.query, "supported_products", Product)
    wanted = {kind for name, kind in FLAGS.items() if read_flag(request.query, name)}
    found = request.services.registry.search(
        read_text(request.query, "name"),
        iso_country_codes=_countries(request),
        supports=wanted.union(job_kinds(products)),
    )
    is_possible = products <= KINDS.keys()
    return request.presenter.show_institutions(
        paginate(found if is_possible else (), read_page(request.query, largest=LARGEST_PAGE))
    )


async def favorites(request: ApiRequest) -> bytes:
    found = request.services.registry.favorites(_countries(request))
    return request.presenter.show_institutions(
        paginate(found, read_page(request.query, largest=LARGEST_PAGE))
    )


async def read(request: ApiRequest) -> bytes:
    return request.presenter.show_institution(request.services.registry.find(request.path["institution"]))


async def credentials(request: ApiRequest) -> bytes:
    """The boxes of its login form; none where one signs in at its own site."""
    institution = request.services.registry.find(request.path["institution"])
    return request.presenter.show_credentials(paginate(institution.credentials, read_page(request.query)))


def _countries(request: ApiRequest) -> list[str]:
    return [code.upper() for code in read_texts(request.query, "iso_country_code")]
