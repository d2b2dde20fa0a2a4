"""Clients and processors, for the operator: the lists, each one, its keys, and who works for whom.

The pages of both kinds are the same; a `Kind` has what differs.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from starlette.responses import Response

from coatcheck.app import Services
from coatcheck.dashboard.lists import found_in, list_page
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.db.database import Connection
from coatcheck.directory.clients import Clients, NewClient
from coatcheck.directory.processors import NewProcessor, Processors
from coatcheck.errors import InvalidRequest
from coatcheck.model.clients import (
    Client,
    Processor,
    clients_of_processor,
    enabled_processors,
    find_client,
    find_processor,
    list_clients,
    list_processors,
)

Organisation: TypeAlias = Client | Processor


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    """The first part of the paths."""
    partner_name: str
    """That of the other kind."""
    verbs: Callable[[Services], Clients | Processors]
    find: Callable[[Connection, str], Awaitable[Organisation]]
    list: Callable[[Connection], Awaitable[Sequence[Organisation]]]
    partners: Callable[[Connection, str], Awaitable[Sequence[Organisation]]]
    """Who works with one of the kind."""


CLIENTS = Kind(
    "clients", "processors", lambda services: services.clients, find_client, list_clients, enabled_processors
)
PROCESSORS = Kind(
    "processors",
    "clients",
    lambda services: services.processors,
    find_processor,
    list_processors,
    clients_of_processor,
)
OTHER_KIND = {CLIENTS.name: PROCESSORS, PROCESSORS.name: CLIENTS}


async def show_list(kind: Kind, request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        every = await kind.list(connection)
    found = [each for each in every if found_in(request, each.name, each.guid)]
    return request.page("organisations", kind=kind.name, organisations=list_page(request, found))


async def show_form(kind: Kind, request: DashboardRequest) -> Response:
    return request.page("new_organisation", kind=kind.name)


async def add(kind: Kind, request: DashboardRequest) -> Response:
    """Adds one, and shows its key, this once."""
    async with request.services.db.transaction() as connection:
        new: NewClient | NewProcessor = await kind.verbs(request.services).add(
            connection, request.field("name"), actor=request.actor
        )
    added = new.client if isinstance(new, NewClient) else new.processor
    return request.page("new_key", kind=kind.name, organisation=added, api_key=new.api_key, old=None)


async def show(kind: Kind, request: DashboardRequest) -> Response:
    """One, its keys, and who works with it."""
    guid = request.path["organisation"]
    async with request.services.db.connection() as connection:
        organisation = await kind.find(connection, guid)
        partners = await kind.partners(connection, guid)
        others = await OTHER_KIND[kind.name].list(connection)
        keys = await request.services.api_keys.list(connection, guid)
    known = {partner.guid for partner in partners}
    return request.page(
        "organisation",
        kind=kind.name,
        organisation=organisation,
        partner_kind=kind.partner_name,
        partners=sorted(partners, key=lambda partner: partner.name.casefold()),
        others=[each for each in others if each.guid not in known],
        keys=keys,
    )


async def confirm_switch(kind: Kind, request: DashboardRequest) -> Response:
    return request.page("switch_organisation", kind=kind.name, organisation=await _find(kind, request))


async def switch(kind: Kind, request: DashboardRequest) -> Response:
    """Disables or enables one, as the form says."""
    verbs, guid = kind.verbs(request.services), request.path["organisation"]
    act = verbs.disable if _is_disabling(request) else verbs.enable
    async with request.services.db.transaction() as connection:
        await act(connection, guid, actor=request.actor)
    return request.redirect(f"/{kind.name}/{guid}")


async def confirm_rotation(kind: Kind, request: DashboardRequest) -> Response:
    organisation = await _find(kind, request)
    return request.page(
        "rotate_key", organisation=organisation, cancel_path=f"/{kind.name}/{organisation.guid}"
    )


async def rotate_key(kind: Kind, request: DashboardRequest) -> Response:
    """Issues a new key, and shows it, this once."""
    organisation = await _find(kind, request)
    async with request.services.db.transaction() as connection:
        rotated = await kind.verbs(request.services).rotate_key(
            connection, organisation.guid, actor=request.actor
        )
    return request.page(
        "new_key",
        kind=kind.name,
        organisation=organisation,
        api_key=rotated.api_key,
        old=rotated.old_expires_at,
    )


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


async def _find(kind: Kind, request: DashboardRequest) -> Organisation:
    async with request.services.db.connection() as connection:
        return await kind.find(connection, request.path["organisation"])


def _is_disabling(request: DashboardRequest) -> bool:
    """What the form asks for. The state when the page was made may have changed since.

    Raises:
        InvalidRequest: it asks for neither.
    """
    wanted = request.field("wanted")
    if wanted not in {"disabled", "enabled"}:
        raise InvalidRequest
    return wanted == "disabled"
