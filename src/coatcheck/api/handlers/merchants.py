"""Merchants; the same for every client."""

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.merchants import (
    MerchantLocationResponseBody,
    MerchantResponseBody,
    MerchantsResponseBody,
    merchant_body,
    merchant_location_body,
    merchants_body,
)
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.errors import NotFound
from coatcheck.http.query import read_page, read_text
from coatcheck.model.paging import paginate


async def list_(request: ApiRequest) -> MerchantsResponseBody:
    part = (read_text(request.query, "name") or "").casefold()
    found = [each for each in request.services.registry.merchants() if part in each.merchant.name.casefold()]
    return merchants_body(paginate(found, read_page(request.query)))


async def read(request: ApiRequest) -> MerchantResponseBody:
    merchant = _find(request, request.path["merchant"])
    # The index has the guids of locations too.
    if merchant.guid != request.path["merchant"]:
        raise NotFound
    return merchant_body(merchant)


async def read_location(request: ApiRequest) -> MerchantLocationResponseBody:
    merchant = _find(request, request.path["merchant_location"])
    if merchant.location_guid != request.path["merchant_location"]:
        raise NotFound
    return merchant_location_body(merchant)


def _find(request: ApiRequest, guid: str) -> ListedMerchant:
    merchant = request.services.registry.merchants_by_guid.get(guid)
    if merchant is None:
        raise NotFound
    return merchant
