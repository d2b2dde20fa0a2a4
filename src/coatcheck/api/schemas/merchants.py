"""Merchants and their locations."""

from decimal import Decimal

from msgspec import Struct

from coatcheck.connectors.registry import ListedMerchant
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.paging import Page


class MerchantResponse(Struct, frozen=True, kw_only=True):
    created_at: Timestamp | None = None
    guid: str
    logo_url: str | None
    name: str
    updated_at: Timestamp | None = None
    website_url: str | None


class MerchantResponseBody(Struct, frozen=True):
    merchant: MerchantResponse


class MerchantsResponseBody(Struct, frozen=True):
    merchants: list[MerchantResponse]
    pagination: PaginationResponse


class MerchantLocationResponse(Struct, frozen=True, kw_only=True):
    city: str | None
    country: str | None = "US"
    created_at: Timestamp | None = None
    guid: str
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    merchant_guid: str
    phone_number: str | None = None
    postal_code: str | None = None
    state: str | None
    street_address: str | None = None
    updated_at: Timestamp | None = None


class MerchantLocationResponseBody(Struct, frozen=True):
    merchant_location: MerchantLocationResponse


def merchant_body(merchant: ListedMerchant) -> MerchantResponseBody:
    return MerchantResponseBody(_merchant(merchant))


def merchants_body(merchants: Page[ListedMerchant]) -> MerchantsResponseBody:
    return MerchantsResponseBody([_merchant(each) for each in merchants.items], pagination(merchants))


def merchant_location_body(merchant: ListedMerchant) -> MerchantLocationResponseBody:
    return MerchantLocationResponseBody(
        to_schema(
            merchant.merchant,
            MerchantLocationResponse,
            guid=merchant.location_guid,
            merchant_guid=merchant.guid,
        )
    )


def _merchant(listed: ListedMerchant) -> MerchantResponse:
    return to_schema(listed.merchant, MerchantResponse, guid=listed.guid)
