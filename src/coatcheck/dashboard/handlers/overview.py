"""The first page: what needs the attention of a person of this role, and what to do first in an empty installation."""

from dataclasses import dataclass

from starlette.responses import Response

from coatcheck.dashboard.handlers.webhooks import owner_of
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import ROLES, translate
from coatcheck.db.database import Connection
from coatcheck.events.delivery import DeliveryStatus
from coatcheck.events.history import DeliveryFilter, list_deliveries
from coatcheck.grants.listing import GrantFilter
from coatcheck.model.clients import list_clients
from coatcheck.model.jobs import JobView, list_jobs
from coatcheck.model.members import list_broken_members
from coatcheck.model.paging import PageRequest
from coatcheck.model.users import list_users

FIRST = PageRequest(1, 1)
"""The page of a list whose total is what counts."""


@dataclass
class Overview:
    """Zero and False also stand for what the role may not see."""

    broken_connections: int = 0
    failed_deliveries: int = 0
    expiring_keys: int = 0
    stuck_jobs: int = 0
    failed_jobs: int = 0
    has_no_clients: bool = False
    has_no_users: bool = False
    has_no_grants: bool = False
    has_no_webhooks: bool = False

    @property
    def needs_attention(self) -> bool:
        return any(
            (
                self.broken_connections,
                self.failed_deliveries,
                self.expiring_keys,
                self.stuck_jobs,
                self.failed_jobs,
            )
        )


async def show_overview(request: DashboardRequest) -> Response:
    overview = Overview()
    async with request.services.db.connection() as connection:
        if request.may(Permission.SEE_JOBS):
            await _see_installation(request, connection, overview)
        if request.may(Permission.SEE_USERS):
            await _see_users(request, connection, overview)
        if request.may(Permission.SEE_PROCESSOR_GRANTS):
            filters = GrantFilter(processor_guid=request.processor_guid)
            overview.has_no_grants = not (
                await request.services.grants.list(connection, filters, FIRST)
            ).items
        if request.may(Permission.SEE_WEBHOOKS):
            await _see_webhooks(request, connection, overview)
        if request.may(Permission.SEE_KEYS):
            keys = await request.services.api_keys.list(connection, request.organisation_guid)
            overview.expiring_keys = sum(key.expires_at is not None for key in keys)
    return request.page(
        "home", role=translate(request.locale, ROLES[request.session.role]), overview=overview
    )


async def _see_installation(request: DashboardRequest, connection: Connection, overview: Overview) -> None:
    now = request.services.clock.now()
    overview.stuck_jobs = (await list_jobs(connection, JobView.STUCK, now, FIRST)).total
    overview.failed_jobs = (await list_jobs(connection, JobView.FAILED, now, FIRST)).total
    overview.has_no_clients = not await list_clients(connection)


async def _see_users(request: DashboardRequest, connection: Connection, overview: Overview) -> None:
    client = request.client_guid
    overview.broken_connections = (await list_broken_members(connection, client, FIRST)).total
    overview.has_no_users = not (await list_users(connection, client, FIRST)).items


async def _see_webhooks(request: DashboardRequest, connection: Connection, overview: Overview) -> None:
    owner = owner_of(request)
    now = request.services.clock.instant()
    is_failed = DeliveryFilter(status=DeliveryStatus.FAILED)
    failed = await list_deliveries(connection, owner.guid, is_failed, FIRST, now)
    overview.failed_deliveries = failed.total
    overview.has_no_webhooks = not (
        await request.services.webhook_endpoints.list(connection, owner, FIRST)
    ).items
