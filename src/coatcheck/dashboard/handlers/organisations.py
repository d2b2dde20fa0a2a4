"""Clients and processors, for the operator: the lists, each one, its keys, and who works for whom."""

from starlette.responses import Response

from coatcheck.dashboard.lists import found_in, list_page
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.errors import InvalidRequest
from coatcheck.grants.api_keys import Rotated
from coatcheck.model.clients import (
    clients_of_processor,
    enabled_processors,
    find_client,
    find_processor,
    list_clients,
    list_processors,
)

CLIENT, PROCESSOR = "clients", "processors"
"""The first part of the paths of each kind, and of the names of its pages."""


async def show_clients(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        clients = await list_clients(connection)
    found = [each for each in clients if found_in(request, each.name, each.guid)]
    return request.page("organisations", kind=CLIENT, organisations=list_page(request, found))


async def show_processors(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        processors = await list_processors(connection)
    found = [each for each in processors if found_in(request, each.name, each.guid)]
    return request.page("organisations", kind=PROCESSOR, organisations=list_page(request, found))


async def show_new_client(request: DashboardRequest) -> Response:
    return request.page("new_organisation", kind=CLIENT)


async def show_new_processor(request: DashboardRequest) -> Response:
    return request.page("new_organisation", kind=PROCESSOR)


async def add_client(request: DashboardRequest) -> Response:
    """Adds a client, and shows its key, this once."""
    async with request.services.db.transaction() as connection:
        new = await request.services.clients.add(connection, request.field("name"), actor=request.actor)
    return request.page("new_key", kind=CLIENT, organisation=new.client, api_key=new.api_key, old=None)


async def add_processor(request: DashboardRequest) -> Response:
    """Adds a processor, and shows its key, this once."""
    async with request.services.db.transaction() as connection:
        new = await request.services.processors.add(connection, request.field("name"), actor=request.actor)
    return request.page("new_key", kind=PROCESSOR, organisation=new.processor, api_key=new.api_key, old=None)


async def show_client(request: DashboardRequest) -> Response:
    """A client, its keys, and the processors that work for it."""
    guid = request.path["client"]
    async with request.services.db.connection() as connection:
        client = await find_client(connection, guid)
        partners = await enabled_processors(connection, guid)
        others = await list_processors(connection)
        keys = await request.services.api_keys.list(connection, guid)
    return request.page(
        "organisation",
        kind=CLIENT,
        organisation=client,
        partner_kind=PROCESSOR,
        partners=sorted(partners, key=lambda each: each.name.casefold()),
        others=[each for each in others if each.guid not in {partner.guid for partner in partners}],
        keys=keys,
    )


async def show_processor(request: DashboardRequest) -> Response:
    """A processor, its keys, and the clients for which it works."""
    guid = request.path["processor"]
    async with request.services.db.connection() as connection:
        processor = await find_processor(connection, guid)
        partners = await clients_of_processor(connection, guid)
        others = await list_clients(connection)
        keys = await request.services.api_keys.list(connection, guid)
    return request.page(
        "organisation",
        kind=PROCESSOR,
        organisation=processor,
        partner_kind=CLIENT,
        partners=partners,
        others=[each for each in others if each.guid not in {partner.guid for partner in partners}],
        keys=keys,
    )


async def confirm_client_switch(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        client = await find_client(connection, request.path["client"])
    return request.page("switch_organisation", kind=CLIENT, organisation=client)


async def confirm_processor_switch(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        processor = await find_processor(connection, request.path["processor"])
    return request.page("switch_organisation", kind=PROCESSOR, organisation=processor)


async def switch_client(request: DashboardRequest) -> Response:
    """Disables or enables a client, as the form says."""
    clients, guid = request.services.clients, request.path["client"]
    act = clients.disable if _is_disabling(request) else clients.enable
    async with request.services.db.transaction() as connection:
        await act(connection, guid, actor=request.actor)
    return request.redirect(f"/clients/{guid}")


async def switch_processor(request: DashboardRequest) -> Response:
    """Disables or enables a processor, as the form says."""
    processors, guid = request.services.processors, request.path["processor"]
    act = processors.disable if _is_disabling(request) else processors.enable
    async with request.services.db.transaction() as connection:
        await act(connection, guid, actor=request.actor)
    return request.redirect(f"/processors/{guid}")


async def confirm_client_rotation(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        client = await find_client(connection, request.path["client"])
    return request.page("rotate_key", organisation=client, cancel_path=f"/clients/{client.guid}")


async def confirm_processor_rotation(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        processor = await find_processor(connection, request.path["processor"])
    return request.page("rotate_key", organisation=processor, cancel_path=f"/processors/{processor.guid}")


async def rotate_client_key(request: DashboardRequest) -> Response:
    """Issues a new key, and shows it, this once."""
    guid = request.path["client"]
    async with request.services.db.transaction() as connection:
        client = await find_client(connection, guid)
        rotated = await request.services.clients.rotate_key(connection, guid, actor=request.actor)
    return _rotated(request, CLIENT, client, rotated)


async def rotate_processor_key(request: DashboardRequest) -> Response:
    """Issues a new key, and shows it, this once."""
    guid = request.path["processor"]
    async with request.services.db.transaction() as connection:
        processor = await find_processor(connection, guid)
        rotated = await request.services.processors.rotate_key(connection, guid, actor=request.actor)
    return _rotated(request, PROCESSOR, processor, rotated)


async def confirm_partner(request: DashboardRequest) -> Response:
    """Asks before a processor works for a client, or no longer does."""
    async with request.services.db.connection() as connection:
        client = await find_client(connection, request.path["client"])
        processor = await find_processor(connection, request.path["processor"])
        partners = await clients_of_processor(connection, processor.guid)
    is_enabled = client.guid in {partner.guid for partner in partners}
    return request.page("partner", client=client, processor=processor, is_enabled=is_enabled)


async def set_partner(request: DashboardRequest) -> Response:
    """Lets a processor redeem the codes of a client, or no longer, as the form says."""
    processors, client = request.services.processors, request.path["client"]
    act = processors.disable_for if _is_disabling(request) else processors.enable_for
    async with request.services.db.transaction() as connection:
        await act(connection, request.path["processor"], client, actor=request.actor)
    return request.redirect(f"/clients/{client}")


def _rotated(request: DashboardRequest, kind: str, organisation: object, rotated: Rotated) -> Response:
    return request.page(
        "new_key",
        kind=kind,
        organisation=organisation,
        api_key=rotated.api_key,
        old=rotated.old_expires_at,
    )


def _is_disabling(request: DashboardRequest) -> bool:
    """What the form asks for. The state when the page was made may have changed since.

    Raises:
        InvalidRequest: it asks for neither.
    """
    wanted = request.field("wanted")
    if wanted not in {"disabled", "enabled"}:
        raise InvalidRequest
    return wanted == "disabled"
