"""Webhook endpoints, events and deliveries."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, convert

from coatcheck import text
from coatcheck.directory.webhook_endpoints import Authentication, EndpointChanges, NewSecret, Owner
from coatcheck.events.catalogue import EventType as EventTypes
from coatcheck.events.catalogue import StoredEvent, sample
from coatcheck.events.endpoint_secrets import basic, bearer
from coatcheck.events.endpoints import AuthenticationType, Endpoint, EndpointStatus
from coatcheck.events.history import Delivery
from coatcheck.http.decoding import ChangeSchema, StrictSchema, given_fields
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.paging import Page

Url: TypeAlias = Annotated[
    str,
    Meta(
        pattern=text.STORABLE,
        min_length=1,
        max_length=2000,
        description="Where events are sent, by POST. On a production server it starts with https://, has port 443 or "
        "8443 and a host on the internet.",
        examples=["https://hooks.example.com/coatcheck"],
    ),
]
Pattern: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=64)]
Events: TypeAlias = Annotated[
    tuple[Pattern, ...],
    Meta(
        min_length=1,
        max_length=50,
        description="Which events are sent: types, groups such as `member.*`, or `*` for every event.",
        examples=[["token.*", "account_numbers.changed"]],
    ),
]
Status: TypeAlias = Annotated[
    Literal["enabled", "paused", "disabled"],
    Meta(
        description="`paused`: deliveries wait until it is enabled; a receiver that answers 410 pauses its endpoint. "
        "`disabled`: nothing is delivered, and what waited has failed."
    ),
]
Guid: TypeAlias = Annotated[str, Meta(examples=["WHE-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d21"])]
EventGuid: TypeAlias = Annotated[str, Meta(examples=["EVT-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d22"])]
Header: TypeAlias = Annotated[str, Meta(pattern="^[\\x20-\\x7e]*$", min_length=1, max_length=1000)]
TypeName: TypeAlias = Annotated[
    str, Meta(examples=["token.revoked"], extra_json_schema={"enum": [each.value for each in EventTypes]})
]


class NoAuthenticationRequest(StrictSchema, frozen=True, kw_only=True, tag_field="type", tag="none"):
    """No header `Authorization`. Check the signature."""

    @property
    def value(self) -> Authentication:
        return Authentication(AuthenticationType.NONE)


class BasicAuthenticationRequest(StrictSchema, frozen=True, kw_only=True, tag_field="type", tag="basic"):
    """HTTP Basic (RFC 7617). The password is never shown again."""

    username: Annotated[str, Meta(pattern="^[\\x20-\\x39\\x3b-\\x7e]*$", min_length=1, max_length=255)]
    password: Header

    @property
    def value(self) -> Authentication:
        return Authentication(AuthenticationType.BASIC, basic(self.username, self.password))


class BearerAuthenticationRequest(StrictSchema, frozen=True, kw_only=True, tag_field="type", tag="bearer"):
    """A bearer token (RFC 6750). It is never shown again."""

    token: Annotated[str, Meta(pattern="^[\\x21-\\x7e]*$", min_length=1, max_length=1000)]

    @property
    def value(self) -> Authentication:
        return Authentication(AuthenticationType.BEARER, bearer(self.token))


AuthenticationRequest: TypeAlias = (
    NoAuthenticationRequest | BasicAuthenticationRequest | BearerAuthenticationRequest
)


class WebhookEndpointRequest(StrictSchema, frozen=True, kw_only=True):
    url: Url
    events: Events = ("*",)
    status: Status = "enabled"
    authentication: AuthenticationRequest | None = None

    @property
    def endpoint(self) -> EndpointChanges:
        return EndpointChanges(
            url=self.url,
            events=self.events,
            status=EndpointStatus(self.status),
            authentication=None if self.authentication is None else self.authentication.value,
        )


class WebhookEndpointRequestBody(StrictSchema, frozen=True, kw_only=True):
    webhook_endpoint: WebhookEndpointRequest


class WebhookEndpointChangeRequest(ChangeSchema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An absent field stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    authentication: AuthenticationRequest | UnsetType = UNSET

    @property
    def changes(self) -> EndpointChanges:
        given = given_fields(self)
        if "status" in given:
            given["status"] = EndpointStatus(given["status"])
        if "authentication" in given:
            given["authentication"] = given["authentication"].value
        return EndpointChanges(**given)


class WebhookEndpointChangeRequestBody(StrictSchema, frozen=True, kw_only=True):
    webhook_endpoint: WebhookEndpointChangeRequest


class WebhookTestRequest(StrictSchema, frozen=True, kw_only=True):
    type: Annotated[
        Pattern,
        Meta(description="The type of the example event.", examples=["token.revoked"]),
    ]


class RedeliveryRequest(StrictSchema, frozen=True, kw_only=True):
    since: Annotated[datetime, Meta(tz=True, description="Events that occurred from then on.")]
    until: Annotated[datetime, Meta(tz=True, description="And before then. Absent: until now.")] | None = None


class WebhookAuthenticationResponse(Struct, frozen=True):
    type: Annotated[
        Literal["none", "basic", "bearer"], Meta(description="How the receiver is authenticated to.")
    ]


class WebhookEndpointResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    guid: Guid
    url: str
    events: list[str]
    status: Status
    secret: (
        Annotated[
            str,
            Meta(
                description="Signs the webhooks (Standard Webhooks). Only in the answer to its creation and to a "
                "rotation.",
                examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            ),
        ]
        | UnsetType
    ) = UNSET
    authentication: WebhookAuthenticationResponse
    created_at: Timestamp


class WebhookEndpointResponseBody(Struct, frozen=True):
    webhook_endpoint: WebhookEndpointResponse


class WebhookEndpointsResponseBody(Struct, frozen=True):
    webhook_endpoints: list[WebhookEndpointResponse]
    pagination: PaginationResponse


class EventResponse(Struct, frozen=True, kw_only=True):
    """As it is delivered."""

    guid: EventGuid
    type: TypeName
    occurred_at: Annotated[Timestamp, Meta(description="When it was announced.")]
    due_at: Annotated[
        Timestamp,
        Meta(
            description="When it fell due, if time caused it, such as an expiry; otherwise as `occurred_at`."
        ),
    ]
    sequence: Annotated[
        int,
        Meta(description="1 for your first event about the object, and one more for each.", examples=[17]),
    ]
    object: Annotated[
        str,
        Meta(
            description="The guid of what it is about.", examples=["TKN-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d04"]
        ),
    ]
    data: Annotated[
        Mapping[str, Any],
        Meta(
            description="Depends on the type: see the webhooks of this document.",
            examples=[dict(sample(EventTypes.TOKEN_REVOKED))],
        ),
    ]


class EventResponseBody(Struct, frozen=True):
    event: EventResponse


class EventsResponseBody(Struct, frozen=True):
    events: list[EventResponse]
    pagination: PaginationResponse


class DeliveryResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, Meta(examples=["DLV-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d23"])]
    event_guid: EventGuid
    type: Annotated[str, Meta(description="The type of the event.", examples=["token.revoked"])]
    endpoint_guid: Annotated[
        str | None, Meta(description="Null: the webhook URL of the client, which gets MX's events.")
    ]
    status: Annotated[
        Literal["pending", "delivered", "failed"],
        Meta(description="`failed`: every attempt failed, and none follows. It can be redelivered."),
    ]
    attempts: Annotated[int, Meta(description="How many attempts have begun.", examples=[2])]
    next_attempt_at: Timestamp | None
    last_attempt_at: Timestamp | None
    answer_status: Annotated[
        int | None, Meta(description="The HTTP status of the last answer; null if there was none.")
    ]
    answer: Annotated[str | None, Meta(description="The first 64 kB of the last answer.")]
    error: Annotated[str | None, Meta(description="Why there was no answer.", examples=["ConnectError"])]
    created_at: Timestamp


class DeliveryResponseBody(Struct, frozen=True):
    delivery: DeliveryResponse


class DeliveriesResponseBody(Struct, frozen=True):
    deliveries: list[DeliveryResponse]
    pagination: PaginationResponse


class RedeliveryResponse(Struct, frozen=True):
    deliveries: Annotated[int, Meta(description="How many deliveries it made.", examples=[40])]


class RedeliveryResponseBody(Struct, frozen=True):
    redelivery: RedeliveryResponse


def endpoint_body(endpoint: Endpoint) -> WebhookEndpointResponseBody:
    return WebhookEndpointResponseBody(_endpoint(endpoint))


def new_secret_body(new: NewSecret) -> WebhookEndpointResponseBody:
    return WebhookEndpointResponseBody(_endpoint(new.endpoint, new.secret))


def endpoints_body(endpoints: Page[Endpoint]) -> WebhookEndpointsResponseBody:
    return WebhookEndpointsResponseBody([_endpoint(each) for each in endpoints.items], pagination(endpoints))


def event_body(event: StoredEvent) -> EventResponseBody:
    return EventResponseBody(to_schema(event, EventResponse))


def events_body(events: Page[StoredEvent]) -> EventsResponseBody:
    return EventsResponseBody([to_schema(each, EventResponse) for each in events.items], pagination(events))


def delivery_body(delivery: Delivery, owner: Owner) -> DeliveryResponseBody:
    return DeliveryResponseBody(_delivery(delivery, owner))


def deliveries_body(deliveries: Page[Delivery], owner: Owner) -> DeliveriesResponseBody:
    return DeliveriesResponseBody(
        [_delivery(each, owner) for each in deliveries.items], pagination(deliveries)
    )


def _endpoint(endpoint: Endpoint, secret: str | UnsetType = UNSET) -> WebhookEndpointResponse:
    return to_schema(
        endpoint,
        WebhookEndpointResponse,
        events=list(endpoint.events),
        secret=secret,
        authentication=convert({"type": endpoint.authentication}, WebhookAuthenticationResponse),
    )


def _delivery(delivery: Delivery, owner: Owner) -> DeliveryResponse:
    return to_schema(
        delivery,
        DeliveryResponse,
        endpoint_guid=None if delivery.receiver_guid == owner.guid else delivery.receiver_guid,
        answer_status=delivery.last_status,
        answer=delivery.last_answer,
        error=delivery.last_error,
    )
