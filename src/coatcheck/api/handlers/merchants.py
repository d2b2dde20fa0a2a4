"""The businesses that transactions name; the same for every client."""

from coatcheck.api.paging import read_page, read_text
from coatcheck.api.request import Call
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.errors import NotFound
from coatcheck.model.paging import cut


async def list_(call: Call) -> bytes:
    """`name` is a part of the name, in any case."""
    part = (read_text(call.query, "name") or "").casefold()
    found = [each for each in call.house.registry.merchants() if part in each.merchant.name.casefold()]
    return call.wire.show_merchants(cut(found, read_page(call.query)))


async def read(call: Call) -> bytes:
    merchant = _find(call, call.path["merchant"])
    if merchant.guid != call.path["merchant"]:
        raise NotFound
    return call.wire.show_merchant(merchant)


async def read_location(call: Call) -> bytes:
    merchant = _find(call, call.path["merchant_location"])
    if merchant.location_guid != call.path["merchant_location"]:
        raise NotFound
    return call.wire.show_merchant_location(merchant)


def _find(call: Call, guid: str) -> ListedMerchant:
    merchant = call.house.registry.merchants_by_guid.get(guid)
    if merchant is None:
        raise NotFound
    return merchant
