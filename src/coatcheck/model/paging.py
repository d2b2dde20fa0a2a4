"""Pagination: the requested page, and the records on it.

A list may have millions of records. An index serves its filters and its order, a page in the second half is read from
the end, and the count of a long list is kept for a while.
"""

import time
from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from coatcheck.db.database import Connection, Database, Parameters, columns, fetch_all
from coatcheck.db.fragments import PagedRows

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


def paginate(items: Sequence[Item], page: PageRequest) -> Page[Item]:
    """A page of a list in memory."""
    return Page(items[page.offset : page.offset + page.size], len(items), page)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of a list."""

    source: str
    """A table, for FROM."""
    order: Sequence[str]
    """Names columns of `source` that together are unique, such as `at DESC`."""
    filters: Mapping[str, Any] = field(default_factory=dict)
    """Columns with the values that they equal. None does not filter."""
    conditions: Sequence[str] = ()
    """Others, if they are given: no index serves `%(x)s IS NULL OR column > %(x)s`."""
    values: Parameters = field(default_factory=dict)
    """The parameters of `source` and of `conditions`."""
    moving: Collection[str] = ()
    """Parameters that change with the clock. A kept count disregards them."""
    counted: str | None = None
    """Its rows are counted instead of those of `source`, if it is given: it can omit joins."""

    @property
    def where(self) -> str:
        equal = [f"{name} = %({name})s" for name, value in self.filters.items() if value is not None]
        return " AND ".join([*equal, *self.conditions]) or "true"

    @property
    def parameters(self) -> Parameters:
        return {**{name: value for name, value in self.filters.items() if value is not None}, **self.values}


LONG = 50_000
"""A page that begins after so many records is read from the nearer end, as the count tells."""
MANY = 5_000
"""A list that is selected from more rows is counted at most once while its count is kept. The totals of all others are
exact."""
COUNT_IS_KEPT_FOR = 100
"""A count is used again for this many times as long as it took: a list of a million pages costs one count in 100."""
MAX_KEPT_COUNTS = 1000


@dataclass(frozen=True, slots=True)
class _KeptCount:
    total: int
    until: float
    """On the monotonic clock, in seconds."""


BATCH = 500
"""The rows that an export reads at once."""


class KeptCounts:
    """Counts of long lists, by the statement that counts and the values of its filters."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Hashable, ...], _KeptCount] = {}

    async def count(
        self, connection: Connection, statement: str, parameters: Parameters, key: tuple[Hashable, ...]
    ) -> int:
        """The number of rows of a list.

        Args:
            connection: an open connection.
            statement: counts. Its second column, if it has one, is the number of rows among which it looked.
            parameters: of the statement.
            key: what distinguishes the list from others of this object.
        """
        started = time.monotonic()
        kept = self._kept.get(key)
        if kept is not None and kept.until > started:
            return kept.total
        cursor = await connection.execute(statement, parameters)
        row = await cursor.fetchone()
        assert row is not None, "an aggregate returns one row"
        total = int(row[0])
        now = time.monotonic()
        self._kept.pop(key, None)
        if row[-1] > MANY:
            # The one that was stored first: a dictionary keeps that order.
            if len(self._kept) >= MAX_KEPT_COUNTS:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = _KeptCount(total, now + (now - started) * COUNT_IS_KEPT_FOR)
        return total


_counts = KeptCounts()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is read: forwards from the first row of the list, or backwards from the last."""

    offset: int
    size: int
    is_backwards: bool = False


def place_in(page: PageRequest, total: int) -> Place:
    """From which end fewer rows are skipped, for a list of `total` rows."""
    size = min(page.size, max(0, total - page.offset))
    behind = max(0, total - page.offset - size)
    return Place(min(page.offset, behind), size, behind < page.offset)


def reverse(order: Sequence[str]) -> Sequence[str]:
    return [each.removesuffix(" DESC") if each.endswith(" DESC") else f"{each} DESC" for each in order]


async def fetch_page(
    connection: Connection, record: type[Item], selection: Selection, page: PageRequest
) -> Page[Item]:
    """One page of the selection, with the total number of its records."""
    source = f"{selection.source} WHERE {selection.where}"
    key = (
        source,
        *(
            (name, tuple(value) if isinstance(value, list) else value)
            for name, value in selection.parameters.items()
            if name not in selection.moving
        ),
    )

    async def count() -> int:
        counted = f"{selection.counted or selection.source} WHERE {selection.where}"
        return await _counts.count(connection, f"SELECT count(*) FROM {counted}", selection.parameters, key)

    total = await count() if page.offset > LONG else None
    place = Place(page.offset, page.size) if total is None else place_in(page, total)
    order = reverse(selection.order) if place.is_backwards else selection.order
    # The size is no parameter: for an unknown size, PostgreSQL plans for a tenth of the table.
    items = await fetch_all(
        connection,
        record,
        f"""SELECT {columns(record)} FROM {source} ORDER BY {", ".join(order)}
            LIMIT {place.size} OFFSET %(offset)s""",
        {**selection.parameters, "offset": place.offset},
    )
    if total is not None:
        return Page(items[::-1] if place.is_backwards else items, total, page)
    # The last page itself shows the total, which saves the count.
    if 0 < len(items) < page.size or (page.number == 1 and not items):
        return Page(items, page.offset + len(items), page)
    return Page(items, await count(), page)


async def fetch_rows(
    connection: Connection, rows: PagedRows[Item], parameters: Parameters, page: PageRequest
) -> Page[Item]:
    """One page of rows that find their pages themselves, with the total number of the rows."""
    values = {**parameters, "size": page.size, "offset": page.offset}
    items = await fetch_all(
        connection,
        rows.record,
        f"SELECT {rows.columns} FROM ({rows.page}) AS p ORDER BY {rows.final_order}",
        values,
    )
    if 0 < len(items) < page.size or (page.number == 1 and not items):
        return Page(items, page.offset + len(items), page)
    cursor = await connection.execute(rows.number, parameters)
    row = await cursor.fetchone()
    return Page(items, int(row[0] or 0) if row else 0, page)


async def each_batch(db: Database, record: type[Item], selection: Selection) -> AsyncIterator[Sequence[Item]]:
    """Every record of a selection, in batches in its order. No connection is held between two batches.

    Args:
        db: the database.
        record: has the columns of the order.
        selection: its order is ascending.
    """
    columns_of_order = ", ".join(selection.order)
    beyond = f"({columns_of_order}) > ({', '.join(f'%(after_{name})s' for name in selection.order)})"
    rest = selection
    while True:
        async with db.connection() as connection:
            rows = await fetch_all(
                connection,
                record,
                f"""SELECT {columns(record)} FROM {rest.source} WHERE {rest.where}
                    ORDER BY {columns_of_order} LIMIT {BATCH}""",
                rest.parameters,
            )
        if rows:
            yield rows
        if len(rows) < BATCH:
            return
        # After the last row and not by a page number: rows that come or go meanwhile make no other row be left out.
        after = {f"after_{name}": getattr(rows[-1], name) for name in selection.order}
        rest = replace(
            selection, conditions=[*selection.conditions, beyond], values={**selection.values, **after}
        )
