"""SQL fragments: how a package lets a statement of another package read its tables.

A statement that crosses packages is composed of common table expressions. The owner of each table exports the
expression that reads or writes it, so that no statement names a table of another package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from coatcheck.db.database import columns

Row = TypeVar("Row")


def compact(statement: str) -> str:
    """The statement without indentation.

    psycopg keeps the parsed form of a statement of at most 4,096 characters. It parses a longer one every time, which
    takes 20 us.
    """
    return "\n".join(line.strip() for line in statement.splitlines())


@dataclass(frozen=True, slots=True)
class PagedRows(Generic[Row]):
    """Queries with which a composed statement reads one page. Their parameters include `size` and `offset`."""

    record: type[Row]
    page: str
    """The rows of the page, in the order: the body of the common table expression `page`."""
    number: str
    """The number of rows on all pages."""
    order: Sequence[str]
    """Names columns of `page`, such as `date DESC`."""
    is_number_quick: bool = False
    """`number` takes less time than to count the rows of the page, which PostgreSQL would have to keep for that."""

    @property
    def total(self) -> str:
        """The number of rows on all pages."""
        return f"(SELECT total FROM ({self.counted('page')}) AS counted)"

    def counted(self, page: str) -> str:
        """A query: the number of rows on the page (`shown`) and on all pages (`total`).

        Args:
            page: SQL after FROM, for the rows of the page.
        """
        if self.is_number_quick:
            return f"""SELECT least(greatest(total - %(offset)s, 0), %(size)s) AS shown, total
                       FROM ({self.number}) AS number (total)"""
        # Only a full page, or an empty one after the first, needs `number`. Otherwise the end of the page is the end of
        # the list.
        return f"""SELECT count(*) AS shown,
                          CASE WHEN count(*) BETWEEN 1 AND %(size)s - 1 OR count(*) + %(offset)s = 0
                               THEN count(*) + %(offset)s ELSE ({self.number}) END AS total
                   FROM {page}"""

    @property
    def columns(self) -> str:
        """The columns of `record`, over the alias `p` of `page`."""
        return columns(self.record, "p.")

    @property
    def final_order(self) -> str:
        """The order, over the alias `p` of `page`: a join does not preserve the order of its input."""
        return ", ".join(f"p.{column}" for column in self.order)


def paged_rows(record: type[Row], select: str, counted: str, order: Sequence[str]) -> PagedRows[Row]:
    """A short list: to find a page, PostgreSQL reads those before it.

    Args:
        record: what a row becomes.
        select: returns the columns of `record` and those of `order`.
        counted: the same rows, for `SELECT count(*) FROM`.
        order: names columns of `select`.
    """
    return PagedRows(
        record,
        f"{select} ORDER BY {', '.join(order)} LIMIT %(size)s OFFSET %(offset)s",
        f"SELECT count(*) FROM {counted}",
        order,
    )
