"""A grant as a consent of the Financial Data Exchange (FDX 6.3). The names are FDX's."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from coatcheck.grants.fdx import FdxConsent
from coatcheck.http.doc import ACCOUNT, PROCESSOR, doc
from coatcheck.http.encoding import Timestamp, to_schema, to_schemas


class FdxPartyResponse(Struct, frozen=True, rename="camel"):
    name: Annotated[str, doc("The name.", "Acme Payments")]
    type: Annotated[
        Literal["DATA_RECIPIENT", "DATA_ACCESS_PLATFORM", "DATA_PROVIDER"], doc("The role of the party.")
    ]
    home_uri: Annotated[
        str,
        doc(
            "The bank's website; this server for those that it registers itself.",
            "https://www.mxbank.example",
        ),
    ]
    registry: Annotated[str, Meta(description="`PRIVATE`: this server.", examples=["PRIVATE"])]
    registered_entity_name: Annotated[str, doc("The registered name.", "Acme Payments")]
    registered_entity_id: Annotated[str, doc("The identifier in the registry.", PROCESSOR)]


class FdxResourceResponse(Struct, frozen=True, rename="camel"):
    resource_type: Annotated[Literal["ACCOUNT", "CUSTOMER"], doc("The kind of resource.")]
    resource_id: Annotated[str, doc("The guid of the account or of the user.", ACCOUNT)]
    data_clusters: Annotated[
        list[
            Literal["ACCOUNT_DETAILED", "PAYMENT_SUPPORT", "TRANSACTIONS", "STATEMENTS", "CUSTOMER_CONTACT"]
        ],
        doc("FDX's names of the kinds of data."),
    ]


class FdxConsentResponse(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer with `view=fdx`. A field without a value is left out."""

    id: Annotated[
        str,
        Meta(description="`fdx_consent_id` of the grant.", examples=["0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11"]),
    ]
    status: Annotated[
        Literal["ACTIVE", "EXPIRED", "REVOKED"],
        doc(
            "`EXPIRED` also when all of `max_reads` is used up, `ACTIVE` also while the connection is broken."
        ),
    ]
    parties: Annotated[
        list[FdxPartyResponse], doc("Who receives the data, who passes it on, and who provides it.")
    ]
    created_time: Annotated[Timestamp, doc("When the grant was issued.", "2026-11-26T09:35:00Z")]
    expiration_time: Annotated[Timestamp, doc("When it ends.", "2027-01-25T09:35:00Z")]
    updated_time: Annotated[Timestamp | None, Meta(description="When the grant was revoked.")] = None
    duration_type: Annotated[Literal["ONE_TIME", "TIME_BOUND"], doc("`ONE_TIME` for a grant of one read.")]
    duration_period: Annotated[int | None, Meta(description="Days from the grant.", examples=[60])] = None
    lookback_period: Annotated[int | None, Meta(description="Days before the request.", examples=[90])] = None
    resources: Annotated[list[FdxResourceResponse], doc("What may be read.")]


def fdx_consent_body(consent: FdxConsent) -> FdxConsentResponse:
    return to_schema(
        consent,
        FdxConsentResponse,
        parties=to_schemas(consent.parties, FdxPartyResponse),
        resources=to_schemas(consent.resources, FdxResourceResponse),
    )
