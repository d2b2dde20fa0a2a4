"""Merchants and their locations."""

from decimal import Decimal
from typing import Annotated

from msgspec import Struct

from coatcheck.connectors.registry import ListedMerchant
from coatcheck.http.doc import MERCHANT, MERCHANT_LOCATION, doc
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.paging import Page


class MerchantResponse(Struct, frozen=True, kw_only=True):
    created_at: Annotated[Timestamp | None, doc("When the record was created, if it is known.")] = None
    guid: Annotated[str, doc("The guid of the merchant.", MERCHANT)]
    logo_url: Annotated[str | None, doc("An image of the logo.")]
    name: Annotated[str, doc("The name.", "Comcast")]
    updated_at: Annotated[Timestamp | None, doc("When the record last changed, if it is known.")] = None
    website_url: Annotated[str | None, doc("The website.", "https://www.xfinity.com")]


class MerchantResponseBody(Struct, frozen=True):
    merchant: Annotated[MerchantResponse, doc("The merchant.")]


class MerchantsResponseBody(Struct, frozen=True):
    merchants: Annotated[list[MerchantResponse], doc("The merchants on this page.")]
    pagination: Pagination


class MerchantLocationResponse(Struct, frozen=True, kw_only=True):
    city: Annotated[str | None, doc("The city.", "Greenwood Village")]
    country: Annotated[str | None, doc("The country.", "US")] = "US"
    created_at: Annotated[Timestamp | None, doc("When the record was created, if it is known.")] = None
    guid: Annotated[str, doc("The guid of the location.", MERCHANT_LOCATION)]
    latitude: Annotated[Decimal | None, doc("Degrees north.")] = None
    longitude: Annotated[Decimal | None, doc("Degrees east.")] = None
    merchant_guid: Annotated[str, doc("The guid of the merchant.", MERCHANT)]
    phone_number: Annotated[str | None, doc("The phone number.")] = None
    postal_code: Annotated[str | None, doc("The postal code.")] = None
    state: Annotated[str | None, doc("The state or province.", "CO")]
    street_address: Annotated[str | None, doc("Street and number.")] = None
    updated_at: Annotated[Timestamp | None, doc("When the record last changed, if it is known.")] = None


class MerchantLocationResponseBody(Struct, frozen=True):
    merchant_location: Annotated[MerchantLocationResponse, doc("The location.")]


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
