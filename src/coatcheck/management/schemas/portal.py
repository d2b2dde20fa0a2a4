"""The URL of the portal."""

from typing import Annotated

from msgspec import Meta, Struct, field

from coatcheck.grants.portal_sessions import PortalUrl
from coatcheck.http.decoding import StrictSchema
from coatcheck.http.doc import doc
from coatcheck.http.encoding import Timestamp, to_schema


class PortalUrlRequest(StrictSchema, frozen=True, kw_only=True):
    locale: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$",
                max_length=35,
                description="The language of the pages, such as `en`, `es` or `fr-CA`. Absent: that of the browser.",
                examples=["es"],
            ),
        ]
        | None
    ) = None


class PortalUrlRequestBody(StrictSchema, frozen=True, kw_only=True):
    """May be absent."""

    portal_url: Annotated[PortalUrlRequest, doc("How the portal opens.")] = field(
        default_factory=PortalUrlRequest
    )


class PortalUrlResponse(Struct, frozen=True, kw_only=True):
    url: Annotated[
        str,
        Meta(
            description="Opens the portal once. Give it to this user alone.",
            examples=["https://coatcheck.example/portal/open/ccl_..."],
        ),
    ]
    expires_at: Annotated[Timestamp, doc("When the URL stops working.", "2026-11-26T09:40:00Z")]


class PortalUrlResponseBody(Struct, frozen=True):
    portal_url: Annotated[PortalUrlResponse, doc("The URL.")]


def portal_url_body(url: PortalUrl) -> PortalUrlResponseBody:
    return PortalUrlResponseBody(to_schema(url, PortalUrlResponse))
