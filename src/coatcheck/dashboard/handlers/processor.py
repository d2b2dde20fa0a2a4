"""The pages of a processor's staff: its grants, and reports of conformance runs."""

import json
from typing import Any

from starlette.responses import Response

from coatcheck.dashboard.lists import page_request, shown
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import grant_state_names
from coatcheck.errors import InvalidRequest
from coatcheck.grants.listing import GrantFilter
from coatcheck.model.tokens import GrantStatus

COLUMNS = ("case", "title", "outcome", "found")
"""What the page shows of each result of `coatcheck conformance processor --json`."""


async def show_grants(request: DashboardRequest) -> Response:
    """The grants of the processor; with `status`, those in this state."""
    filters = GrantFilter(
        processor_guid=request.processor_guid, status=request.optional_choice("status", GrantStatus)
    )
    async with request.services.db.connection() as connection:
        page = await request.services.grants.list(connection, filters, page_request(request))
    return request.page(
        "processor_grants", grants=shown(request, page), state_names=grant_state_names(request.locale)
    )


async def show_grant(request: DashboardRequest) -> Response:
    filters = GrantFilter(processor_guid=request.processor_guid, guid=request.path["grant"])
    async with request.services.db.connection() as connection:
        grant = await request.services.grants.find(connection, filters)
    return request.page("processor_grant", grant=grant, state_names=grant_state_names(request.locale))


async def show_report_form(request: DashboardRequest) -> Response:
    return request.page("conformance", results=None)


async def show_report(request: DashboardRequest) -> Response:
    """Shows the report of a run. It is not stored.

    Raises:
        InvalidRequest: the text is not what the command prints.
    """
    try:
        results = json.loads(request.field("report"))
    except (ValueError, RecursionError):  # the last for deeply nested arrays
        raise InvalidRequest(NOT_A_REPORT) from None
    if not isinstance(results, list) or not all(_is_result(each) for each in results):
        raise InvalidRequest(NOT_A_REPORT)
    return request.page("conformance", results=results)


NOT_A_REPORT = "This is not the output of coatcheck conformance processor --json."


def _is_result(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in COLUMNS)
