"""Connectors and institutions, for the operator: what is installed, and the switches of each institution."""

from collections import Counter
from datetime import timedelta
from enum import StrEnum

from starlette.responses import Response

from coatcheck.connectors.installed import connector_statuses
from coatcheck.dashboard.lists import SEARCH, chosen_period, found_in, list_page
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import Period, period_names
from coatcheck.events.ssrf import public_only
from coatcheck.members.institutions import ClientAt
from coatcheck.members.job_rows import calls_of_institutions
from coatcheck.model.clients import find_client, list_clients, list_processors
from coatcheck.model.institution_statuses import (
    AVAILABLE,
    ClientStatus,
    InstitutionStatus,
    restricted_clients,
    statuses,
)
from coatcheck.rate_limits.refreshes import used_budgets


class InstitutionView(StrEnum):
    """What the list can be restricted to."""

    RESTRICTED = "restricted"


async def show_connectors(request: DashboardRequest) -> Response:
    services = request.services
    found = connector_statuses(services.settings, services.clock, guard=public_only)
    return request.page("connectors", connectors=found)


async def show_institutions(request: DashboardRequest) -> Response:
    """The institutions, or with `status` those that are not operational."""
    view = request.optional_choice("status", InstitutionView)
    async with request.services.db.connection() as connection:
        found = await statuses(connection)
        restricted = Counter(each.institution_code for each in await restricted_clients(connection))
    institutions = request.services.registry.search(request.query.get(SEARCH))
    if view is InstitutionView.RESTRICTED:
        institutions = tuple(each for each in institutions if each.code in found or restricted[each.code])
    return request.page(
        "institutions",
        institutions=list_page(request, institutions),
        statuses=found,
        restricted=restricted,
        operational=AVAILABLE.status,
    )


async def show_calls(request: DashboardRequest) -> Response:
    """How often institutions were read in a period, for which processor, and how much of its budget is used now."""
    services, period = request.services, chosen_period(request, Period.DAY)
    now = services.clock.now()
    async with services.db.connection() as connection:
        calls = await calls_of_institutions(connection, now - timedelta(days=int(period)))
        names = {each.guid: each.name for each in await list_processors(connection, with_apps=True)}
        found = [
            each
            for each in calls
            if found_in(request, each.institution_code, names.get(each.processor_guid or ""))
        ]
        page = list_page(request, found)
        of = [(each.processor_guid, each.institution_code) for each in page.items if each.processor_guid]
        used = await used_budgets(connection, now, of)
    return request.page(
        "calls",
        calls=page,
        processor_names=names,
        used=used,
        of_processor=services.settings.limit_refreshes_of_processor,
        of_member=services.settings.limit_refreshes_of_member,
        at_once=services.settings.institution_concurrency,
        period=period,
        period_names=period_names(request.locale),
    )


async def show_institution(request: DashboardRequest) -> Response:
    """An institution, its status, and what each client may do there."""
    institution = request.services.registry.find(request.path["institution"])
    async with request.services.db.connection() as connection:
        found = await statuses(connection)
        clients = await list_clients(connection)
        restricted = {
            each.client_guid: each.client_status
            for each in await restricted_clients(connection)
            if each.institution_code == institution.code
        }
    return request.page(
        "institution",
        institution=institution,
        current=found.get(institution.code, AVAILABLE.status),
        statuses=list(InstitutionStatus),
        clients=clients,
        restricted=restricted,
        client_statuses=list(ClientStatus),
    )


async def set_status(request: DashboardRequest) -> Response:
    institution = request.services.registry.find(request.path["institution"])
    status = request.choice("status", InstitutionStatus)
    async with request.services.db.transaction() as connection:
        await request.services.institutions.set_status(
            connection, institution.code, status, actor=request.actor
        )
    return request.redirect(f"/institutions/{institution.code}")


async def show_client_status(request: DashboardRequest) -> Response:
    """The form that sets what one client may do at an institution."""
    institution = request.services.registry.find(request.path["institution"])
    async with request.services.db.connection() as connection:
        client = await find_client(connection, request.path["client"])
        current = next(
            (
                each.client_status
                for each in await restricted_clients(connection)
                if (each.institution_code, each.client_guid) == (institution.code, client.guid)
            ),
            ClientStatus.AVAILABLE,
        )
    return request.page(
        "client_status",
        institution=institution,
        client=client,
        current=current,
        client_statuses=list(ClientStatus),
    )


async def set_client_status(request: DashboardRequest) -> Response:
    institution = request.services.registry.find(request.path["institution"])
    client_status = request.choice("client_status", ClientStatus)
    async with request.services.db.connection() as connection:
        client = await find_client(connection, request.path["client"])
    await request.services.institutions.set_client_status(
        ClientAt(client.guid, institution.code), client_status, actor=request.actor
    )
    return request.redirect(f"/institutions/{institution.code}")
