"""The banks that can be connected; the same for every client."""

from collections.abc import Mapping
from types import MappingProxyType

from coatcheck.api.paging import read_choices, read_flag, read_page, read_text, read_texts
from coatcheck.api.products import KINDS, Product, job_kinds
from coatcheck.api.request import Call
from coatcheck.connectors.contract import JobKind
from coatcheck.model.paging import cut

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


async def list_(call: Call) -> bytes:
    """A flag that is false asks for nothing; a product that nothing brings is found nowhere."""
    products = read_choices(call.query, "supported_products", Product)
    wanted = {kind for name, kind in FLAGS.items() if read_flag(call.query, name)}
    found = call.house.registry.search(
        read_text(call.query, "name"),
        iso_country_codes=_countries(call),
        supports=wanted.union(job_kinds(products)),
    )
    is_possible = products <= KINDS.keys()
    return call.wire.show_institutions(
        cut(found if is_possible else (), read_page(call.query, largest=LARGEST_PAGE))
    )


async def favorites(call: Call) -> bytes:
    found = call.house.registry.favorites(_countries(call))
    return call.wire.show_institutions(cut(found, read_page(call.query, largest=LARGEST_PAGE)))


async def read(call: Call) -> bytes:
    return call.wire.show_institution(call.house.registry.find(call.path["institution"]))


async def credentials(call: Call) -> bytes:
    """The boxes of its login form; none where one signs in at its own site."""
    institution = call.house.registry.find(call.path["institution"])
    return call.wire.show_credentials(cut(institution.credentials, read_page(call.query)))


def _countries(call: Call) -> list[str]:
    return [code.upper() for code in read_texts(call.query, "iso_country_code")]
