"""Webhook endpoints, and the events and deliveries of their owner: a client or a processor."""

from coatcheck.directory.webhook_endpoints import Owner
from coatcheck.errors import InvalidRequest
from coatcheck.events import history
from coatcheck.events.catalogue import patterns
from coatcheck.events.delivery import DeliveryStatus
from coatcheck.events.history import DeliveryFilter, EventFilter
from coatcheck.http.decoding import parse
from coatcheck.http.query import read_choice, read_page, read_text, read_time
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.webhook_endpoints import (
    DeliveriesResponseBody,
    DeliveryResponseBody,
    EventResponseBody,
    EventsResponseBody,
    RedeliveryRequest,
    RedeliveryResponse,
    RedeliveryResponseBody,
    WebhookEndpointChangeRequestBody,
    WebhookEndpointRequestBody,
    WebhookEndpointResponseBody,
    WebhookEndpointsResponseBody,
    WebhookTestRequest,
    deliveries_body,
    delivery_body,
    endpoint_body,
    endpoints_body,
    event_body,
    events_body,
    new_secret_body,
)


async def create_endpoint(request: ManagementRequest) -> WebhookEndpointResponseBody:
    new = parse(request.body, WebhookEndpointRequestBody).webhook_endpoint.endpoint
    endpoints = request.services.webhook_endpoints
    return new_secret_body(await endpoints.create(request.connection, _owner(request), new))


async def list_endpoints(request: ManagementRequest) -> WebhookEndpointsResponseBody:
    endpoints = request.services.webhook_endpoints
    return endpoints_body(await endpoints.list(request.connection, _owner(request), read_page(request.query)))


async def read_endpoint(request: ManagementRequest) -> WebhookEndpointResponseBody:
    endpoints = request.services.webhook_endpoints
    return endpoint_body(
        await endpoints.find(request.connection, _owner(request), request.path["webhook_endpoint"])
    )


async def update_endpoint(request: ManagementRequest) -> WebhookEndpointResponseBody:
    return endpoint_body(
        await request.services.webhook_endpoints.update(
            request.connection,
            _owner(request),
            request.path["webhook_endpoint"],
            parse(request.body, WebhookEndpointChangeRequestBody).webhook_endpoint.changes,
        )
    )


async def delete_endpoint(request: ManagementRequest) -> None:
    await request.services.webhook_endpoints.delete(
        request.connection, _owner(request), request.path["webhook_endpoint"]
    )


async def rotate_secret(request: ManagementRequest) -> WebhookEndpointResponseBody:
    return new_secret_body(
        await request.services.webhook_endpoints.rotate_secret(
            request.connection, _owner(request), request.path["webhook_endpoint"]
        )
    )


async def test_endpoint(request: ManagementRequest) -> DeliveryResponseBody:
    owner = _owner(request)
    delivery = await request.services.webhook_endpoints.test(
        request.connection,
        owner,
        request.path["webhook_endpoint"],
        parse(request.body, WebhookTestRequest).type,
    )
    return delivery_body(delivery, owner)


async def redeliver_range(request: ManagementRequest) -> RedeliveryResponseBody:
    given = parse(request.body, RedeliveryRequest)
    count = await request.services.webhook_endpoints.redeliver_range(
        _owner(request), request.path["webhook_endpoint"], given.since, given.until
    )
    return RedeliveryResponseBody(RedeliveryResponse(count))


async def list_events(request: ManagementRequest) -> EventsResponseBody:
    owner = _owner(request)
    after = read_text(request.query, "after")
    is_guid = after is not None and after.startswith("EVT-")
    filters = EventFilter(
        type=_type(request, owner),
        after=after if is_guid else None,
        since=None if is_guid else read_time(request.query, "after"),
    )
    now = request.services.clock.instant()
    return events_body(
        await history.list_events(request.connection, owner.guid, filters, read_page(request.query), now)
    )


async def read_event(request: ManagementRequest) -> EventResponseBody:
    now = request.services.clock.instant()
    return event_body(
        await history.find_event(request.connection, _owner(request).guid, request.path["event"], now)
    )


async def list_deliveries(request: ManagementRequest) -> DeliveriesResponseBody:
    owner = _owner(request)
    deliveries = await history.list_deliveries(
        request.connection,
        owner.guid,
        DeliveryFilter(
            receiver_guid=read_text(request.query, "endpoint"),
            status=read_choice(request.query, "status", DeliveryStatus),
        ),
        read_page(request.query),
        request.services.clock.instant(),
    )
    return deliveries_body(deliveries, owner)


async def redeliver(request: ManagementRequest) -> DeliveryResponseBody:
    owner = _owner(request)
    delivery = await request.services.webhook_endpoints.redeliver(
        request.connection, owner, request.path["delivery"]
    )
    return delivery_body(delivery, owner)


def _owner(request: ManagementRequest) -> Owner:
    if request.processor_or_none:
        return Owner(request.processor_or_none.guid, is_processor=True)
    return Owner(request.client.guid, is_processor=False)


def _type(request: ManagementRequest, owner: Owner) -> str | None:
    type_ = read_text(request.query, "type")
    allowed = patterns(is_processor=owner.is_processor)
    if type_ is not None and type_ not in allowed:
        raise InvalidRequest(f"type must be one of {', '.join(allowed)}.")
    return type_
