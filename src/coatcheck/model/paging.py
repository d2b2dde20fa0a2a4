"""Pagination: the requested page, and the records on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from coatcheck.db.database import Connection, Parameters, fetch_all, fetch_one

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


async def fetch_page(
    connection: Connection,
    record: type[Item],
    *,
    select: str,
    source: str,
    order: str,
    page: PageRequest,
    parameters: Parameters,
    counted: str | None = None,
) -> Page[Item]:
    """One page of `SELECT {select} FROM {source} ORDER BY {order}`, with the total number of records.

    The rows of `counted` are counted instead of those of `source`, if it is given: it can omit joins.
    """
    values: dict[str, Any] = {**parameters, "size": page.size, "offset": page.offset}
    items = await fetch_all(
        connection,
        record,
        f"SELECT {select} FROM {source} ORDER BY {order} LIMIT %(size)s OFFSET %(offset)s",
        values,
    )
    # The last page itself shows the total, which saves the count.
    if 0 < len(items) < page.size or (page.number == 1 and not items):
        return Page(items, page.offset + len(items), page)
    total = await fetch_one(connection, _Count, f"SELECT count(*) FROM {counted or source}", parameters)
    return Page(items, total.count if total else 0, page)
