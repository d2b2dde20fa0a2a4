"""The `pagination` object of every list."""

from typing import Any

from msgspec import Struct

from coatcheck.model.paging import Page


class PaginationResponse(Struct, frozen=True):
    current_page: int
    per_page: int
    total_entries: int
    total_pages: int


def pagination(page: Page[Any]) -> PaginationResponse:
    """An empty list has one page, as in MX's answers."""
    pages = max(1, -(-page.total // page.page.size))
    return PaginationResponse(page.page.number, page.page.size, page.total, pages)
