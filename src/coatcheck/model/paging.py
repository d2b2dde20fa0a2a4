"""Pagination: the requested page, and the records on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from coatcheck.db.database import Connection, Parameters, columns, fetch_all, fetch_one

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PageRequest:
    number: int = 1
    """From 1."""
    size: int = 25

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    items: Sequence[Item]
    total: int
    """The number of records on all pages."""
    page: PageRequest


@dataclass(frozen=True, slots=True)
class _Count:
    count: int


def paginate(items: Sequence[Item], page: PageRequest) -> Page[Item]:
    """A page of a list in memory."""
    return Page(items[page.offset : page.offset + page.size], len(items), page)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of a list."""

    source: str
    """What follows FROM: a table with its conditions."""
    order: str
    parameters: Parameters
    counted: str | None = None
    """Its rows are counted instead of those of `source`, if it is given: it can omit joins."""


async def fetch_page(
    connection: Connection, record: type[Item], selection: Selection, page: PageRequest
) -> Page[Item]:
    """One page of the selection, with the total number of its records."""
    values: dict[str, Any] = {**selection.parameters, "size": page.size, "offset": page.offset}
    items = await fetch_all(
        connection,
        record,
        f"""SELECT {columns(record)} FROM {selection.source} ORDER BY {selection.order}
            LIMIT %(size)s OFFSET %(offset)s""",
        values,
    )
    # The last page itself shows the total, which saves the count.
    if 0 < len(items) < page.size or (page.number == 1 and not items):
        return Page(items, page.offset + len(items), page)
    counted = selection.counted or selection.source
    total = await fetch_one(connection, _Count, f"SELECT count(*) FROM {counted}", selection.parameters)
    return Page(items, total.count if total else 0, page)
