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
from coatcheck.http.doc import DELIVERY, EVENT, GRANT, WEBHOOK_ENDPOINT, CreatedAt, doc
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import Pagination, pagination
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
        "`disabled`: nothing is delivered, and what waited has failed.",
        examples=["enabled"],
    ),
]
Guid: TypeAlias = Annotated[str, doc("The guid of the webhook endpoint.", WEBHOOK_ENDPOINT)]
EventGuid: TypeAlias = Annotated[str, doc("The guid of the event: `webhook-id`.", EVENT)]
TypeName: TypeAlias = Annotated[
    str, doc("The type of the event.", "token.revoked", enum=[each.value for each in EventTypes])
]


class AuthenticationRequest(StrictSchema, frozen=True, kw_only=True):
    """How the receiver wants to be authenticated to. The password and the token are never shown again."""

    type: Annotated[
        Literal["none", "basic", "bearer"],
        doc(
            "`none`: check the signature. `basic`: needs `username` and `password` (RFC 7617). `bearer`: needs `token` "
            "(RFC 6750).",
            "basic",
        ),
    ]
    username: (
        Annotated[
            str,
            Meta(
                pattern="^[\\x20-\\x39\\x3b-\\x7e]*$",
                min_length=1,
                max_length=255,
                description="Printable ASCII without a colon.",
                examples=["coatcheck"],
            ),
        ]
        | None
    ) = None
    password: (
        Annotated[
            str,
            Meta(
                pattern="^[\\x20-\\x7e]*$",
                min_length=1,
                max_length=1000,
                description="Printable ASCII.",
                examples=["7hx0-example"],
            ),
        ]
        | None
    ) = None
    token: (
        Annotated[
            str,
            Meta(
                pattern="^[\\x21-\\x7e]*$",
                min_length=1,
                max_length=1000,
                description="Printable ASCII without a space.",
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = {"none": (), "basic": ("username", "password"), "bearer": ("token",)}[self.type]
        given = [name for name in ("username", "password", "token") if getattr(self, name) is not None]
        if set(given) != set(needed):
            raise ValueError(
                f"it must contain {' and '.join(needed) or 'only type'} for the type {self.type}"
            )

    @property
    def value(self) -> Authentication:
        if self.username is not None and self.password is not None:
            return Authentication(AuthenticationType.BASIC, basic(self.username, self.password))
        if self.token is not None:
            return Authentication(AuthenticationType.BEARER, bearer(self.token))
        return Authentication(AuthenticationType.NONE)


class WebhookEndpointRequest(StrictSchema, frozen=True, kw_only=True):
    url: Url
    events: Events = ("*",)
    status: Status = "enabled"
    authentication: Annotated[
        AuthenticationRequest | None, doc("How the receiver is authenticated to. Absent: not at all.")
    ] = None

    @property
    def endpoint(self) -> EndpointChanges:
        return EndpointChanges(
            url=self.url,
            events=self.events,
            status=EndpointStatus(self.status),
            authentication=None if self.authentication is None else self.authentication.value,
        )


class WebhookEndpointRequestBody(StrictSchema, frozen=True, kw_only=True):
    webhook_endpoint: Annotated[WebhookEndpointRequest, doc("The new webhook endpoint.")]


class WebhookEndpointChangeRequest(ChangeSchema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An absent field stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    authentication: (
        Annotated[AuthenticationRequest, doc("How the receiver is authenticated to.")] | UnsetType
    ) = UNSET

    @property
    def changes(self) -> EndpointChanges:
        given = given_fields(self)
        if "status" in given:
            given["status"] = EndpointStatus(given["status"])
        if "authentication" in given:
            given["authentication"] = given["authentication"].value
        return EndpointChanges(**given)


class WebhookEndpointChangeRequestBody(StrictSchema, frozen=True, kw_only=True):
    webhook_endpoint: Annotated[WebhookEndpointChangeRequest, doc("What it becomes.")]


class WebhookTestRequest(StrictSchema, frozen=True, kw_only=True):
    type: Annotated[
        Pattern,
        Meta(description="The type of the example event.", examples=["token.revoked"]),
    ]


class RedeliveryRequest(StrictSchema, frozen=True, kw_only=True):
    since: Annotated[
        datetime,
        Meta(tz=True, description="Events that occurred from then on.", examples=["2026-11-25T00:00:00Z"]),
    ]
    until: Annotated[datetime, Meta(tz=True, description="And before then. Absent: until now.")] | None = None


class WebhookAuthenticationResponse(Struct, frozen=True):
    type: Annotated[Literal["none", "basic", "bearer"], doc("How the receiver is authenticated to.", "none")]


class WebhookEndpointResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    guid: Guid
    url: Annotated[str, doc("Where events are sent.", "https://hooks.example.com/coatcheck")]
    events: Annotated[list[str], doc("Which events are sent.", ["token.*", "account_numbers.changed"])]
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
    authentication: Annotated[WebhookAuthenticationResponse, doc("How the receiver is authenticated to.")]
    created_at: CreatedAt


class WebhookEndpointResponseBody(Struct, frozen=True):
    webhook_endpoint: Annotated[WebhookEndpointResponse, doc("The webhook endpoint.")]


class WebhookEndpointsResponseBody(Struct, frozen=True):
    webhook_endpoints: Annotated[
        list[WebhookEndpointResponse], doc("The webhook endpoints on this page, the oldest first.")
    ]
    pagination: Pagination


class EventResponse(Struct, frozen=True, kw_only=True):
    """As it is delivered."""

    guid: EventGuid
    type: TypeName
    occurred_at: Annotated[Timestamp, doc("When it was announced.", "2026-11-26T09:30:00.000000Z")]
    due_at: Annotated[
        Timestamp,
        doc(
            "When it fell due, if time caused it, such as an expiry; otherwise as `occurred_at`.",
            "2026-11-26T09:30:00.000000Z",
        ),
    ]
    sequence: Annotated[
        int,
        doc("1 for your first event about the object, and one more for each.", 17),
    ]
    object: Annotated[
        str,
        doc("The guid of what it is about.", GRANT),
    ]
    data: Annotated[
        Mapping[str, Any],
        Meta(
            description="Depends on the type: see the webhooks of this document.",
            examples=[dict(sample(EventTypes.TOKEN_REVOKED))],
        ),
    ]


class EventResponseBody(Struct, frozen=True):
    event: Annotated[EventResponse, doc("The event.")]


class EventsResponseBody(Struct, frozen=True):
    events: Annotated[list[EventResponse], doc("The events on this page.")]
    pagination: Pagination


class DeliveryResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[str, doc("The guid of the delivery.", DELIVERY)]
    event_guid: EventGuid
    type: Annotated[str, Meta(description="The type of the event.", examples=["token.revoked"])]
    endpoint_guid: Annotated[
        str | None,
        doc("The endpoint. Null: the webhook URL of the client, which gets MX's events.", WEBHOOK_ENDPOINT),
    ]
    status: Annotated[
        Literal["pending", "delivered", "failed"],
        doc("`failed`: every attempt failed, and none follows. It can be redelivered.", "pending"),
    ]
    attempts: Annotated[int, Meta(description="How many attempts have begun.", examples=[2])]
    next_attempt_at: Annotated[
        Timestamp | None, doc("When the next attempt is due; null if none follows.", "2026-11-26T09:32:00Z")
    ]
    last_attempt_at: Annotated[Timestamp | None, doc("When the last one ended.", "2026-11-26T09:30:00Z")]
    answer_status: Annotated[
        int | None, doc("The HTTP status of the last answer; null if there was none.", 503)
    ]
    answer: Annotated[str | None, doc("The first 64 kB of the last answer.", "try again later")]
    error: Annotated[str | None, doc("Why there was no answer.")]
    created_at: CreatedAt


class DeliveryResponseBody(Struct, frozen=True):
    delivery: Annotated[DeliveryResponse, doc("The delivery.")]


class DeliveriesResponseBody(Struct, frozen=True):
    deliveries: Annotated[list[DeliveryResponse], doc("The deliveries on this page.")]
    pagination: Pagination


class RedeliveryResponse(Struct, frozen=True):
    deliveries: Annotated[int, Meta(description="How many deliveries it made.", examples=[40])]


class RedeliveryResponseBody(Struct, frozen=True):
    redelivery: Annotated[RedeliveryResponse, doc("What was made.")]


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
