"""Institutions as a client sees them: their status for the client, and how often connections succeed there."""

from datetime import datetime, timedelta
from enum import StrEnum

from starlette.responses import Response

from coatcheck.dashboard.lists import SEARCH, chosen_period, list_page
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import Period, period_names
from coatcheck.http.charts import bars
from coatcheck.members.connection_success import Attempts, attempts_by_institution
from coatcheck.model.institution_statuses import AVAILABLE, availabilities, availability


class InstitutionView(StrEnum):
    """What the list can be restricted to."""

    USED = "used"
    RESTRICTED = "restricted"


async def show_institutions(request: DashboardRequest) -> Response:
    """The institutions; with `status`, those with a restriction or those at which somebody tried to connect."""
    view, period = request.optional_choice("status", InstitutionView), chosen_period(request, Period.WEEK)
    async with request.services.db.connection() as connection:
        available = await availabilities(connection, request.client_guid)
        attempts = await attempts_by_institution(connection, request.client_guid, _since(request, period))
    institutions = request.services.registry.search(request.query.get(SEARCH))
    if view is not None:
        listed = attempts if view is InstitutionView.USED else available
        institutions = tuple(each for each in institutions if each.code in listed)
    return request.page(
        "client_institutions",
        institutions=list_page(request, institutions),
        available=available,
        usual=AVAILABLE,
        attempts=attempts,
        untried=Attempts(),
        period=period,
        period_names=period_names(request.locale),
    )


async def show_institution(request: DashboardRequest) -> Response:
    """An institution, its status, and how the attempts of the period ended."""
    institution = request.services.registry.find(request.path["institution"])
    period = chosen_period(request, Period.WEEK)
    async with request.services.db.connection() as connection:
        available = await availability(connection, request.client_guid, institution.code)
        every = await attempts_by_institution(connection, request.client_guid, _since(request, period))
    attempts = every.get(institution.code, Attempts())
    return request.page(
        "client_institution",
        institution=institution,
        available=available,
        attempts=attempts,
        outcomes=bars(attempts.by_outcome.most_common()),
        period=period,
        period_names=period_names(request.locale),
    )


def _since(request: DashboardRequest, period: Period) -> datetime:
    return request.services.clock.now() - timedelta(days=int(period))
