"""A client's grants: the list, each with its reads, and revocation."""

from starlette.responses import Response

from coatcheck.dashboard.lists import page_request, shown
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import grant_state_names
from coatcheck.db.database import Connection
from coatcheck.directory.accounts import stated_reason
from coatcheck.grants.listing import GrantFilter
from coatcheck.model.clients import enabled_processors
from coatcheck.model.tokens import Grant, GrantStatus
from coatcheck.vault.grant_reads import list_reads

CAN_END = frozenset({GrantStatus.ACTIVE, GrantStatus.SUSPENDED})
"""The states of a grant that reads, or reads again later."""


async def show_grants(request: DashboardRequest) -> Response:
    """The grants, restricted by `status`, `processor`, `user`, `member`, `account` and `grant`."""
    async with request.services.db.connection() as connection:
        page = await request.services.grants.list(connection, grant_filter(request), page_request(request))
        processors = await enabled_processors(connection, request.client_guid)
    return request.page(
        "grants",
        grants=shown(request, page),
        processor_names=[(each.guid, each.name) for each in processors],
        state_names=grant_state_names(request.locale),
    )


def grant_filter(request: DashboardRequest) -> GrantFilter:
    """The filters of the URL, over the client's grants."""
    return GrantFilter(
        client_guid=request.client_guid,
        processor_guid=request.filter("processor"),
        user_guid=request.filter("user"),
        member_guid=request.filter("member"),
        account_guid=request.filter("account"),
        guid=request.filter("grant"),
        status=request.optional_choice("status", GrantStatus),
    )


async def show_grant(request: DashboardRequest) -> Response:
    """A grant and a page of its reads."""
    async with request.services.db.connection() as connection:
        grant = await _grant(request, connection)
        reads = await list_reads(connection, grant.guid, grant.created_at, page_request(request))
    return request.page(
        "grant",
        grant=grant,
        reads=shown(request, reads),
        state_names=grant_state_names(request.locale),
        can_end=grant.status in CAN_END,
    )


async def confirm_revocation(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        grant = await _grant(request, connection)
    return request.page("revoke_grant", grant=grant)


async def revoke(request: DashboardRequest) -> Response:
    """Revokes a grant. When the page says so, no read is answered any more.

    Raises:
        InvalidRequest: no reason is given.
    """
    async with request.services.db.connection() as connection:
        grant = await _grant(request, connection)
        receipt = await request.services.revocations.revoke(
            connection,
            client_guid=request.client_guid,
            guid=grant.guid,
            reason=stated_reason(request.field("reason")),
            actor=request.actor,
        )
    return request.page("grant_revoked", grant=grant, receipt=receipt)


async def _grant(request: DashboardRequest, connection: Connection) -> Grant:
    filters = GrantFilter(client_guid=request.client_guid, guid=request.path["grant"])
    return await request.services.grants.find(connection, filters)
