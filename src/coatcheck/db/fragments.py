"""SQL fragments: how a package lets a statement of another package read its tables.

A statement that crosses packages is composed of common table expressions. The owner of each table exports the
expression that reads or writes it; whoever composes the statement never names a table of another package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from coatcheck.db.database import columns

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class PagedRows(Generic[Row]):
    """Rows that a composed statement reads a page of. Parameters: `size` and `offset`, and `parameters`."""

    record: type[Row]
    select: str
    """Gives the columns of `record` and those of `order`."""
    counted: str
    """The same rows, for `SELECT count(*) FROM`."""
    order: Sequence[str]
    """Names columns of `select`, such as `date DESC`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """The body of the common table expression `page`."""
        return f"{self.select} ORDER BY {', '.join(self.order)} LIMIT %(size)s OFFSET %(offset)s"

    @property
    def total(self) -> str:
        """How many rows there are on all pages. Counts them only where the page itself does not show it."""
        return f"""(SELECT CASE WHEN count(*) BETWEEN 1 AND %(size)s - 1 OR count(*) + %(offset)s = 0
                               THEN count(*) + %(offset)s ELSE (SELECT count(*) FROM {self.counted}) END
                   FROM page)"""

    @property
    def columns(self) -> str:
        """The columns of `record`, of the alias `p` of `page`."""
        return columns(self.record, "p.")

    @property
    def final_order(self) -> str:
        """The order of the alias `p` of `page`: a join does not preserve the order of its input."""
        return ", ".join(f"p.{column}" for column in self.order)
