"""The institutions that support the jobs of the session, and to which its client can make a new connection."""

from coatcheck import text
from coatcheck.connectors.contract import Institution
from coatcheck.errors import InvalidRequest
from coatcheck.model.institution_statuses import AVAILABLE, availabilities
from coatcheck.model.paging import PageRequest, paginate
from coatcheck.widget import schemas
from coatcheck.widget.presenters import present_credentials, present_institution
from coatcheck.widget.request import WidgetRequest

PAGE_SIZE = 25
LARGEST_PAGE = 10_000


async def search(request: WidgetRequest) -> schemas.Institutions:
    """Searches by a part of the name or by a routing number. The most popular institutions come first."""
    found = request.services.registry.search(
        request.query.get("search_name"),
        routing_number=_routing_number(request),
        iso_country_codes=request.options.iso_country_codes,
        supports=request.options.kinds,
    )
    available = await availabilities(request.connection, request.session.client_guid)
    found = tuple(each for each in found if not available.get(each.code, AVAILABLE).is_blocked)
    page = paginate(found, PageRequest(_page_number(request), PAGE_SIZE))
    return schemas.Institutions(
        institutions=[present_institution(each) for each in page.items],
        page=page.page.number,
        total_pages=max(1, -(-page.total // PAGE_SIZE)),
    )


async def read(request: WidgetRequest) -> schemas.Institution:
    return present_institution(_find(request))


async def credentials(request: WidgetRequest) -> schemas.Credentials:
    """The fields of the login form. Empty for an OAuth institution."""
    return present_credentials(request.locale, _find(request).credentials)


def _find(request: WidgetRequest) -> Institution:
    return request.services.registry.find(request.path["institution"])


def _routing_number(request: WidgetRequest) -> str | None:
    """The canonical routing number. An invalid number is searched for unchanged and finds nothing."""
    number = request.query.get("routing_number") or None
    try:
        return number and text.routing_number(number)
    except InvalidRequest:
        return number


def _page_number(request: WidgetRequest) -> int:
    text = request.query.get("page") or "1"
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST_PAGE))
    if not is_number or not 1 <= int(text) <= LARGEST_PAGE:
        raise InvalidRequest(f"page is a number from 1 to {LARGEST_PAGE}.")
    return int(text)
