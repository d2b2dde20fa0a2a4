"""The `pagination` object of every list."""

from typing import Annotated, Any, TypeAlias

from msgspec import Struct

from coatcheck.http.doc import doc
from coatcheck.model.paging import Page


class PaginationResponse(Struct, frozen=True):
    current_page: Annotated[int, doc("The number of this page, from 1.", 1)]
    per_page: Annotated[int, doc("The size of a page.", 25)]
    total_entries: Annotated[int, doc("The number of records on all pages.", 1)]
    total_pages: Annotated[int, doc("The number of pages; 1 for an empty list.", 1)]


Pagination: TypeAlias = Annotated[PaginationResponse, doc("The position of this page in the list.")]


def pagination(page: Page[Any]) -> PaginationResponse:
    """An empty list has one page, as in MX's answers."""
    pages = max(1, -(-page.total // page.page.size))
    return PaginationResponse(page.page.number, page.page.size, page.total, pages)
