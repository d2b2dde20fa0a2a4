"""The API keys of the person's client or processor, and from where they are accepted."""

from starlette.responses import Response

from coatcheck.dashboard.request import DashboardRequest
from coatcheck.directory.clients import Clients
from coatcheck.directory.processors import Processors
from coatcheck.model.clients import allowed_networks


async def show_keys(request: DashboardRequest) -> Response:
    owner = request.organisation_guid
    async with request.services.db.connection() as connection:
        keys = await request.services.api_keys.list(connection, owner)
        networks = await allowed_networks(connection, owner)
    return request.page("api_keys", keys=keys, networks=networks)


async def confirm_rotation(request: DashboardRequest) -> Response:
    return request.page("rotate_own_key")


async def rotate(request: DashboardRequest) -> Response:
    """Issues a new key, and shows it, this once."""
    owner = request.organisation_guid
    async with request.services.db.transaction() as connection:
        rotated = await _of(request).rotate_key(connection, owner, actor=request.actor)
    return request.page("own_key", api_key=rotated.api_key, old=rotated.old_expires_at)


async def show_networks(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        networks = await allowed_networks(connection, request.organisation_guid)
    return request.page("networks", networks=networks)


async def set_networks(request: DashboardRequest) -> Response:
    """Accepts the keys from these networks only; from everywhere if none is given.

    Raises:
        InvalidRequest: one is not a network, or there are too many.
    """
    networks = request.field("networks").split() or None
    async with request.services.db.transaction() as connection:
        await _of(request).set_allowed_networks(
            connection, request.organisation_guid, networks, actor=request.actor
        )
    return request.redirect("/api-keys")


def _of(request: DashboardRequest) -> Clients | Processors:
    is_client = request.organisation_guid.startswith("CLT-")
    return request.services.clients if is_client else request.services.processors
