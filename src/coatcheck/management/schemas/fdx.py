"""A grant as a consent of the Financial Data Exchange (FDX 6.3). The names are FDX's."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from coatcheck.grants.fdx import FdxConsent
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas


class FdxPartyResponse(Struct, frozen=True, rename="camel"):
    name: Annotated[str, Meta(examples=["Acme Payments"])]
    type: Literal["DATA_RECIPIENT", "DATA_ACCESS_PLATFORM", "DATA_PROVIDER"]
    home_uri: Annotated[
        str, Meta(description="The bank's website; this server for those that it registers itself.")
    ]
    registry: Annotated[str, Meta(description="`PRIVATE`: this server.", examples=["PRIVATE"])]
    registered_entity_name: str
    registered_entity_id: Annotated[str, Meta(examples=["PPR-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11"])]


class FdxResourceResponse(Struct, frozen=True, rename="camel"):
    resource_type: Literal["ACCOUNT", "CUSTOMER"]
    resource_id: str
    data_clusters: list[
        Literal["ACCOUNT_DETAILED", "PAYMENT_SUPPORT", "TRANSACTIONS", "STATEMENTS", "CUSTOMER_CONTACT"]
    ]


class FdxConsentResponse(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer with `view=fdx`. A field without a value is left out."""

    id: Annotated[
        str,
        Meta(description="`fdx_consent_id` of the grant.", examples=["0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11"]),
    ]
    status: Literal["ACTIVE", "EXPIRED", "REVOKED"]
    parties: list[FdxPartyResponse]
    created_time: Timestamp
    expiration_time: Timestamp
    updated_time: Annotated[Timestamp | None, Meta(description="When the grant was revoked.")] = None
    duration_type: Literal["ONE_TIME", "TIME_BOUND"]
    duration_period: Annotated[int | None, Meta(description="Days from the grant.", examples=[60])] = None
    lookback_period: Annotated[int | None, Meta(description="Days before the request.", examples=[90])] = None
    resources: list[FdxResourceResponse]


def fdx_consent_body(consent: FdxConsent) -> FdxConsentResponse:
    return to_schema(
        consent,
        FdxConsentResponse,
        parties=to_schemas(consent.parties, FdxPartyResponse),
        resources=to_schemas(consent.resources, FdxResourceResponse),
    )
