"""The banks that can give what the session wants."""

from coatcheck.connectors.contract import Institution
from coatcheck.errors import InvalidRequest
from coatcheck.model.paging import PageRequest, paginate
from coatcheck.widget import schemas
from coatcheck.widget.presenters import show_credentials, show_institution
from coatcheck.widget.request import WidgetRequest

PAGE_SIZE = 25
LARGEST_PAGE = 10_000


async def search(request: WidgetRequest) -> schemas.Institutions:
    """By a part of the name or the whole routing number; by neither, all. The most popular first."""
    found = request.services.registry.search(
        request.query.get("search_name"),
        routing_number=request.query.get("routing_number") or None,
        iso_country_codes=request.options.iso_country_codes,
        supports=request.options.kinds,
    )
    page = paginate(found, PageRequest(_number(request), PAGE_SIZE))
    return schemas.Institutions(
        institutions=[show_institution(each) for each in page.items],
        page=page.page.number,
        total_pages=max(1, -(-page.total // PAGE_SIZE)),
    )


async def read(request: WidgetRequest) -> schemas.Institution:
    return show_institution(_find(request))


async def credentials(request: WidgetRequest) -> schemas.Credentials:
    """The boxes of its login form; none where one signs in at its own site."""
    return show_credentials(request.locale, _find(request).credentials)


def _find(request: WidgetRequest) -> Institution:
    return request.services.registry.find(request.path["institution"])


def _number(request: WidgetRequest) -> int:
    text = request.query.get("page") or "1"
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= LARGEST_PAGE):
        raise InvalidRequest("page is a number from 1.")
    return int(text)
