"""Endpoints for webhook endpoints, and for the events and deliveries of their owner."""

from functools import partial

from coatcheck import errors
from coatcheck.events.catalogue import patterns
from coatcheck.events.delivery import DeliveryStatus
from coatcheck.http.route import PAGE, Caller, Group, Parameter
from coatcheck.management.handlers import webhook_endpoints
from coatcheck.management.routes.route import Route
from coatcheck.management.schemas.webhook_endpoints import (
    DeliveriesResponseBody,
    DeliveryResponseBody,
    EventResponseBody,
    EventsResponseBody,
    RedeliveryRequest,
    RedeliveryResponseBody,
    WebhookEndpointChangeRequestBody,
    WebhookEndpointRequestBody,
    WebhookEndpointResponseBody,
    WebhookEndpointsResponseBody,
    WebhookTestRequest,
)

ENDPOINTS = "/coatcheck/webhook_endpoints"
ENDPOINT = f"{ENDPOINTS}/{{webhook_endpoint}}"
OwnRoute = partial(Route, caller=Caller.CLIENT_OR_PROCESSOR)

WEBHOOKS = Group(
    "Webhook endpoints",
    "Where events are sent. A client gets the events about its users, a processor those about its own grants. Every "
    "event is announced in the transaction that caused it, and delivered at least once, in order for each object.",
    (
        OwnRoute(
            "POST",
            ENDPOINTS,
            webhook_endpoints.create_endpoint,
            "createWebhookEndpoint",
            "Create a webhook endpoint",
            "The answer has the secret that signs the webhooks (Standard Webhooks). It is shown this once.",
            body=WebhookEndpointRequestBody,
            answer=WebhookEndpointResponseBody,
            status=201,
            refusals=(errors.Unprocessable(),),
        ),
        OwnRoute(
            "GET",
            ENDPOINTS,
            webhook_endpoints.list_endpoints,
            "listWebhookEndpoints",
            "List webhook endpoints",
            "Oldest first.",
            query=PAGE,
            answer=WebhookEndpointsResponseBody,
        ),
        OwnRoute(
            "GET",
            ENDPOINT,
            webhook_endpoints.read_endpoint,
            "readWebhookEndpoint",
            "Read a webhook endpoint",
            answer=WebhookEndpointResponseBody,
        ),
        OwnRoute(
            "PATCH",
            ENDPOINT,
            webhook_endpoints.update_endpoint,
            "updateWebhookEndpoint",
            "Change a webhook endpoint",
            "What waited for a paused endpoint is sent when it is enabled again. A URL on another host needs "
            "`authentication` too, if there is one: 422 otherwise.",
            body=WebhookEndpointChangeRequestBody,
            answer=WebhookEndpointResponseBody,
            refusals=(errors.Unprocessable(),),
        ),
        OwnRoute(
            "DELETE",
            ENDPOINT,
            webhook_endpoints.delete_endpoint,
            "deleteWebhookEndpoint",
            "Delete a webhook endpoint",
            "What waits to be delivered to it fails.",
            status=204,
        ),
        OwnRoute(
            "POST",
            f"{ENDPOINT}/rotate_secret",
            webhook_endpoints.rotate_secret,
            "rotateWebhookSecret",
            "Rotate the secret",
            "For 24 hours the webhooks have two signatures: by the new secret, which is shown this once, and by the "
            "old one.",
            answer=WebhookEndpointResponseBody,
        ),
        OwnRoute(
            "POST",
            f"{ENDPOINT}/test",
            webhook_endpoints.test_endpoint,
            "testWebhookEndpoint",
            "Send an example event",
            "A real delivery of an example, to an endpoint that is enabled. The example is not in the list of events.",
            body=WebhookTestRequest,
            answer=DeliveryResponseBody,
            status=202,
            refusals=(errors.Unprocessable(),),
        ),
        OwnRoute(
            "POST",
            f"{ENDPOINT}/redeliver",
            webhook_endpoints.redeliver_range,
            "redeliverEvents",
            "Deliver the events of a time again",
            "Every event that occurred in the time and that the endpoint subscribes to, also if the endpoint is newer. "
            "What still waits for the endpoint is not delivered twice.",
            needs_connection=False,
            body=RedeliveryRequest,
            answer=RedeliveryResponseBody,
            status=202,
            refusals=(errors.Unprocessable(),),
        ),
        OwnRoute(
            "GET",
            "/coatcheck/events",
            webhook_endpoints.list_events,
            "listEvents",
            "List events",
            "The events of the last 30 days, newest first. With `after`, oldest first.",
            query=(
                Parameter(
                    "type",
                    "Only events of this type, or of a group such as `member.*`.",
                    choices=tuple(patterns(is_processor=False)),
                ),
                Parameter(
                    "after",
                    "Only events that were announced after the one with this guid, or after this time.",
                ),
                *PAGE,
            ),
            answer=EventsResponseBody,
        ),
        OwnRoute(
            "GET",
            "/coatcheck/events/{event}",
            webhook_endpoints.read_event,
            "readEvent",
            "Read an event",
            "As it is delivered. For 30 days.",
            answer=EventResponseBody,
        ),
        OwnRoute(
            "GET",
            "/coatcheck/deliveries",
            webhook_endpoints.list_deliveries,
            "listDeliveries",
            "List deliveries",
            "Those of the last 30 days, with the last answer of the receiver. `status=failed` lists what was given up "
            "after 12 retries over about 24 hours.",
            query=(
                Parameter("endpoint", "Only deliveries to this webhook endpoint."),
                Parameter("status", "Only deliveries with this status.", choices=tuple(DeliveryStatus)),
                *PAGE,
            ),
            answer=DeliveriesResponseBody,
        ),
        OwnRoute(
            "POST",
            "/coatcheck/deliveries/{delivery}/redeliver",
            webhook_endpoints.redeliver,
            "redeliver",
            "Make a delivery again",
            "A new delivery of the same event to the same receiver, with the same `webhook-id`.",
            answer=DeliveryResponseBody,
            status=202,
            refusals=(errors.Unprocessable(),),
        ),
    ),
)
