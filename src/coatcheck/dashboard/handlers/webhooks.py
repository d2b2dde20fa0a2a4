"""The webhook endpoints of the person's client or processor, each with its deliveries."""

from starlette.responses import Response

from coatcheck.dashboard.lists import page_request, shown
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import delivery_state_names, endpoint_state_names
from coatcheck.directory.webhook_endpoints import EndpointChanges, Owner
from coatcheck.errors import InvalidRequest
from coatcheck.events.catalogue import EVERYTHING, patterns
from coatcheck.events.delivery import DeliveryStatus
from coatcheck.events.endpoints import EndpointStatus
from coatcheck.events.history import DeliveryFilter, list_deliveries


async def show_endpoints(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        page = await request.services.webhook_endpoints.list(
            connection, owner_of(request), page_request(request)
        )
    return request.page(
        "webhooks",
        endpoints=shown(request, page),
        endpoint_state_names=endpoint_state_names(request.locale),
    )


async def show_form(request: DashboardRequest) -> Response:
    return request.page(
        "new_webhook", patterns=patterns(is_processor=owner_of(request).is_processor), everything=EVERYTHING
    )


async def create(request: DashboardRequest) -> Response:
    """Adds an endpoint, and shows the secret that signs its deliveries, this once."""
    new = EndpointChanges(url=request.field("url"), events=request.form.get("events"))
    if not new.url:
        raise InvalidRequest
    async with request.services.db.transaction() as connection:
        made = await request.services.webhook_endpoints.create(connection, owner_of(request), new)
    return request.page("webhook_secret", endpoint=made.endpoint, secret_text=made.secret)


async def show_endpoint(request: DashboardRequest) -> Response:
    """An endpoint and the deliveries to it; with `status`, those in this state."""
    owner, guid = owner_of(request), request.path["endpoint"]
    status = request.optional_choice("status", DeliveryStatus)
    async with request.services.db.connection() as connection:
        endpoint = await request.services.webhook_endpoints.find(connection, owner, guid)
        deliveries = await list_deliveries(
            connection,
            owner.guid,
            DeliveryFilter(receiver_guid=guid, status=status),
            page_request(request),
            request.services.clock.instant(),
        )
    return request.page(
        "webhook",
        endpoint=endpoint,
        deliveries=shown(request, deliveries),
        state_names=delivery_state_names(request.locale),
        endpoint_state_names=endpoint_state_names(request.locale),
        types=[
            each
            for each in patterns(is_processor=owner.is_processor)
            if each != EVERYTHING and not each.endswith(".*")
        ],
    )


async def set_status(request: DashboardRequest) -> Response:
    status = request.choice("status", EndpointStatus)
    async with request.services.db.transaction() as connection:
        await request.services.webhook_endpoints.update(
            connection,
            owner_of(request),
            request.path["endpoint"],
            EndpointChanges(status=status),
        )
    return request.redirect(f"/webhooks/{request.path['endpoint']}")


async def test(request: DashboardRequest) -> Response:
    """Delivers an example of a type of event."""
    async with request.services.db.transaction() as connection:
        await request.services.webhook_endpoints.test(
            connection, owner_of(request), request.path["endpoint"], request.field("type")
        )
    return request.redirect(f"/webhooks/{request.path['endpoint']}")


async def confirm_secret_rotation(request: DashboardRequest) -> Response:
    return await _ask(request, "rotate_webhook_secret")


async def rotate_secret(request: DashboardRequest) -> Response:
    """Makes a new secret, and shows it, this once."""
    async with request.services.db.transaction() as connection:
        made = await request.services.webhook_endpoints.rotate_secret(
            connection, owner_of(request), request.path["endpoint"]
        )
    return request.page("webhook_secret", endpoint=made.endpoint, secret_text=made.secret)


async def confirm_deletion(request: DashboardRequest) -> Response:
    return await _ask(request, "delete_webhook")


async def delete(request: DashboardRequest) -> Response:
    async with request.services.db.transaction() as connection:
        await request.services.webhook_endpoints.delete(
            connection, owner_of(request), request.path["endpoint"]
        )
    return request.redirect("/webhooks")


async def _ask(request: DashboardRequest, page: str) -> Response:
    async with request.services.db.connection() as connection:
        endpoint = await request.services.webhook_endpoints.find(
            connection, owner_of(request), request.path["endpoint"]
        )
    return request.page(page, endpoint=endpoint)


def owner_of(request: DashboardRequest) -> Owner:
    """The client or the processor whose endpoints the person sees."""
    guid = request.organisation_guid
    return Owner(guid, is_processor=guid.startswith("PPR-"), actor=request.actor)
