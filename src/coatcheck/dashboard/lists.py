"""Lists: the page, the search and the filters are in the URL, so that everything that is shown can be linked to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import Period
from coatcheck.http.forms import number
from coatcheck.model.paging import Page, PageRequest, paginate

SIZE = 25
SEARCH = "search"
PAGE = "page"

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ListPage(Generic[Item]):
    """A page of a list, with the addresses of those before and after it."""

    items: Sequence[Item]
    total: int | None
    """None: it is not counted."""
    previous_url: str | None
    next_url: str | None


def page_request(request: DashboardRequest) -> PageRequest:
    return PageRequest(number(request.query.get(PAGE)) or 1, SIZE)


def list_page(request: DashboardRequest, items: Sequence[Item]) -> ListPage[Item]:
    """The page of a list in memory that the URL names."""
    return shown(request, paginate(items, page_request(request)))


def shown(request: DashboardRequest, page: Page[Item]) -> ListPage[Item]:
    """A page that the database has selected."""
    number = page.page.number
    is_last = page.page.offset + len(page.items) >= page.total
    return ListPage(
        page.items,
        page.total,
        url_with(request, {PAGE: str(number - 1)}) if number > 1 else None,
        None if is_last else url_with(request, {PAGE: str(number + 1)}),
    )


def chosen_period(request: DashboardRequest, usual: Period) -> Period:
    """The days that the list looks back, by `period`.

    Raises:
        InvalidRequest: it is none of the periods.
    """
    return request.optional_choice("period", Period) or usual


def url_with(request: DashboardRequest, changes: Mapping[str, str]) -> str:
    """The query of this page's URL with these parameters in place of its own."""
    kept = [(name, value) for name, value in request.query.multi_items() if name not in changes]
    return "?" + urlencode([*kept, *changes.items()])


def found_in(request: DashboardRequest, *texts: str | None) -> bool:
    """Whether one of the texts contains what is searched for; in lists that are read whole."""
    wanted = request.query.get(SEARCH, "").strip().casefold()
    return any(wanted in (text or "").casefold() for text in texts)
