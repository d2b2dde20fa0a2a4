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
    """Searches by what the user typed, or by a routing number. Without either, the most popular come first."""
    registry, options = request.services.registry, request.options
    countries, kinds = options.iso_country_codes, options.kinds
    if name := request.query.get("search_name"):
        found = registry.matching(name, iso_country_codes=countries, supports=kinds)
    else:
        number = _routing_number(request)
        found = registry.search(routing_number=number, iso_country_codes=countries, supports=kinds)
    available = await availabilities(request.connection, request.session.client_guid)
    found = tuple(each for each in found if not available.get(each.code, AVAILABLE).is_blocked)
    page = paginate(found, PageRequest(_page_number(request), PAGE_SIZE))
    return schemas.Institutions(
        institutions=[present_institution(request, each) for each in page.items],
        page=page.page.number,
        total_pages=max(1, -(-page.total // PAGE_SIZE)),
    )


async def read(request: WidgetRequest) -> schemas.Institution:
    return present_institution(request, _find(request))


async def credentials(request: WidgetRequest) -> schemas.Credentials:
    """The fields of the login form. Empty for an OAuth institution."""
    return present_credentials(request, _find(request))


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
