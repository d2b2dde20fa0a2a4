"""The deliveries of webhooks to the person's client or processor, to every endpoint, and making them again."""

from collections.abc import Mapping, Sequence
from datetime import UTC

from starlette.responses import Response

from coatcheck.dashboard.handlers.webhooks import owner_of
from coatcheck.dashboard.lists import PAGE, page_request, shown, url_with
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import delivery_state_names
from coatcheck.db.database import Connection
from coatcheck.directory.webhook_endpoints import MAX_ENDPOINTS, Owner
from coatcheck.errors import InvalidRequest
from coatcheck.events.catalogue import EVERYTHING, patterns
from coatcheck.events.delivery import DeliveryStatus
from coatcheck.events.endpoints import Endpoint
from coatcheck.events.history import (
    REDELIVERED_AT_ONCE,
    DeliveryFilter,
    count_redeliverable,
    find_delivery,
    list_deliveries,
)
from coatcheck.events.mx_events import MxEventType
from coatcheck.http.query import read_time
from coatcheck.model.paging import PageRequest

ALL_ENDPOINTS = PageRequest(1, MAX_ENDPOINTS)


async def show_deliveries(request: DashboardRequest) -> Response:
    """The deliveries of the last 30 days, restricted by `endpoint`, `type`, `status`, `since` and `until`."""
    owner, filters, now = owner_of(request), delivery_filter(request), request.services.clock.instant()
    async with request.services.db.connection() as connection:
        endpoints = await _endpoints(request, connection)
        page = await list_deliveries(connection, owner.guid, filters, page_request(request), now)
    return request.page(
        "deliveries",
        deliveries=shown(request, page),
        filters=filters,
        receivers=endpoints,
        types=_types(owner),
        state_names=delivery_state_names(request.locale),
        today=f"{now.astimezone(UTC):%Y-%m-%d}",
        redelivery_url=_redelivery_url(request),
    )


async def show_delivery(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        delivery = await find_delivery(connection, request.organisation_guid, request.path["delivery"])
        endpoints = await _endpoints(request, connection)
    return request.page(
        "delivery",
        delivery=delivery,
        receivers=endpoints,
        state_names=delivery_state_names(request.locale),
    )


async def redeliver(request: DashboardRequest) -> Response:
    """Makes a delivery again, whatever became of it."""
    async with request.services.db.transaction() as connection:
        made = await request.services.webhook_endpoints.redeliver(
            connection, owner_of(request), request.path["delivery"]
        )
    return request.redirect(f"/deliveries/{made.guid}")


async def confirm_redelivery(request: DashboardRequest) -> Response:
    """How many deliveries of the list would be made again."""
    owner, now = owner_of(request), request.services.clock.instant()
    async with request.services.db.connection() as connection:
        count = await count_redeliverable(connection, owner.guid, delivery_filter(request), now)
    return request.page(
        "redeliver", count=count, most=REDELIVERED_AT_ONCE, list_url=url_with(request, {PAGE: ""})
    )


async def redeliver_selected(request: DashboardRequest) -> Response:
    """Makes the deliveries of the list again."""
    services, owner, filters = request.services, owner_of(request), delivery_filter(request)
    async with services.db.transaction() as connection:
        count = await services.webhook_endpoints.redeliver_selected(connection, owner, filters)
        left = await count_redeliverable(connection, owner.guid, filters, services.clock.instant())
    return request.page("redelivered", count=count, left=left, list_url=url_with(request, {PAGE: ""}))


def delivery_filter(request: DashboardRequest) -> DeliveryFilter:
    """The filters of the URL.

    Raises:
        InvalidRequest: one is not valid.
    """
    query = request.query.multi_items()
    type_ = request.filter("type")
    if type_ is not None and type_ not in _types(owner_of(request)):
        raise InvalidRequest
    return DeliveryFilter(
        receiver_guid=request.filter("endpoint"),
        type=type_,
        status=request.optional_choice("status", DeliveryStatus),
        since=read_time(query, "since"),
        until=read_time(query, "until", ends=True),
    )


def _types(owner: Owner) -> Sequence[str]:
    """The types of the events that the owner gets, and their groups."""
    own = [each for each in patterns(is_processor=owner.is_processor) if each != EVERYTHING]
    return own if owner.is_processor else [*own, *MxEventType]


async def _endpoints(request: DashboardRequest, connection: Connection) -> Mapping[str, Endpoint]:
    found = await request.services.webhook_endpoints.list(connection, owner_of(request), ALL_ENDPOINTS)
    return {each.guid: each for each in found.items}


def _redelivery_url(request: DashboardRequest) -> str:
    return "/deliveries/redeliver" + url_with(request, {PAGE: ""})
