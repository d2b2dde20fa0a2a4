"""The businesses that transactions name; the same for every client."""

from coatcheck.api.paging import read_page, read_text
from coatcheck.api.request import ApiRequest
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.errors import NotFound
from coatcheck.model.paging import paginate


async def list_(request: ApiRequest) -> bytes:
    """`name` is a part of the name, in any case."""
    part = (read_text(request.query, "name") or "").casefold()
    found = [each for each in request.services.registry.merchants() if part in each.merchant.name.casefold()]
    return request.presenter.show_merchants(paginate(found, read_page(request.query)))


async def read(request: ApiRequest) -> bytes:
    merchant = _find(request, request.path["merchant"])
    if merchant.guid != request.path["merchant"]:
        raise NotFound
    return request.presenter.show_merchant(merchant)


async def read_location(request: ApiRequest) -> bytes:
    merchant = _find(request, request.path["merchant_location"])
    if merchant.location_guid != request.path["merchant_location"]:
        raise NotFound
    return request.presenter.show_merchant_location(merchant)


def _find(request: ApiRequest, guid: str) -> ListedMerchant:
    merchant = request.services.registry.merchants_by_guid.get(guid)
    if merchant is None:
        raise NotFound
    return merchant
