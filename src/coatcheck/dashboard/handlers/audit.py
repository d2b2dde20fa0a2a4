"""The search of a client's audit log."""

from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from coatcheck.audit.search import EntryFilter, list_entries
from coatcheck.dashboard.lists import SIZE, ListPage, url_with
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.http.query import read_number, read_text, read_time

LOOK_BACK = timedelta(days=30)
"""How far back a search goes that does not say since when."""


async def show_entries(request: DashboardRequest) -> Response:
    """The newest entries, restricted by `action`, `actor`, `since` and `until`; after a page of them with `before`."""
    filters = entry_filter(request)
    async with request.services.db.connection() as connection:
        # One more than the page has, so that the page knows whether another follows.
        found = await list_entries(connection, filters, SIZE + 1)
    entries = found[:SIZE]
    is_last = len(found) <= SIZE
    return request.page(
        "audit",
        entries=ListPage(
            entries,
            None,
            url_with(request, {"before": ""}) if filters.before else None,
            None if is_last else url_with(request, {"before": str(entries[-1].number)}),
        ),
        filters=filters,
    )


def entry_filter(request: DashboardRequest) -> EntryFilter:
    """The filters of the URL, over the client's entries."""
    query = request.query.multi_items()
    until = read_time(query, "until", ends=True) or request.services.clock.now()
    # Python has no instant before the year 1.
    usual = until - min(LOOK_BACK, until - datetime.min.replace(tzinfo=UTC))
    return EntryFilter(
        client_guid=request.client_guid,
        since=read_time(query, "since") or usual,
        until=until,
        action=read_text(query, "action"),
        actor=read_text(query, "actor"),
        before=read_number(query, "before"),
    )
