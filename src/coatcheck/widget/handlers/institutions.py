"""The banks that can give what the session wants."""

from coatcheck.connectors.contract import Institution
from coatcheck.errors import InvalidRequest
from coatcheck.model.paging import Page, cut
from coatcheck.widget import schemas
from coatcheck.widget.presenters import show_credentials, show_institution
from coatcheck.widget.request import Visit

PAGE_SIZE = 25
LARGEST_PAGE = 10_000


async def search(visit: Visit) -> schemas.Institutions:
    """By a part of the name or the whole routing number; by neither, all. The most popular first."""
    found = visit.house.registry.search(
        visit.query.get("search_name"),
        routing_number=visit.query.get("routing_number") or None,
        iso_country_codes=visit.options.iso_country_codes,
        supports=visit.options.kinds,
    )
    page = cut(found, Page(_number(visit), PAGE_SIZE))
    return schemas.Institutions(
        institutions=[show_institution(each) for each in page.items],
        page=page.page.number,
        total_pages=max(1, -(-page.total // PAGE_SIZE)),
    )


async def read(visit: Visit) -> schemas.Institution:
    return show_institution(_find(visit))


async def credentials(visit: Visit) -> schemas.Credentials:
    """The boxes of its login form; none where one signs in at its own site."""
    return show_credentials(visit.locale, _find(visit).credentials)


def _find(visit: Visit) -> Institution:
    return visit.house.registry.find(visit.path["institution"])


def _number(visit: Visit) -> int:
    text = visit.query.get("page") or "1"
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= LARGEST_PAGE):
        raise InvalidRequest("page is a number from 1.")
    return int(text)
