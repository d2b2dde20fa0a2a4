"""Reads the log in the order of its numbers: entries, disclosures and checkpoints."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Self, TypeAlias

from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.vault.disclosures import disclosure_texts

ROWS_PER_PAGE = 10_000
CHECKPOINTS_PER_PAGE = 500
BEFORE_FIRST = -(2**63)
"""Below every number."""
# A range and not a LIMIT: for a LIMIT over both tables PostgreSQL would sort everything after the first number.
OF_RANGE = "number BETWEEN %(first)s AND %(last)s"

FoundRow: TypeAlias = tuple[int, str, str | None, bytes | None]
"""The fields of a `StoredRow`. A million are read, and to make objects of them takes as long as to read them."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """An entry, or a disclosure, which has no guid."""

    number: int
    text: str
    """Canonical JSON, of which the leaf of the tree is the hash."""
    guid: str | None
    leaf_hash: bytes | None
    """The hash that was stored with an entry, in the transaction of its change. A disclosure has none."""

    @property
    def name(self) -> str:
        return f"The entry {self.guid}" if self.guid else f"The disclosure with number {self.number}"


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A row of `audit_checkpoint`."""

    size: int
    through: int
    """Every number up to this one was settled when the checkpoint was signed."""
    note: str
    numbers: Sequence[int]
    """The rows that it adds to the tree, in order."""
    hashes: bytes
    """Their leaf hashes, joined."""
    peaks: bytes
    """The peaks of the tree, joined."""


class Rows:
    """The rows in order, read in pages, as a reader that merges them with the checkpoints needs them.

    Use it with `async with`: while the reader works on one page, PostgreSQL selects and sorts the next.
    """

    def __init__(self, connection: Connection, *, client_guid: str | None = None) -> None:
        self._connection = connection
        self._client_guid = client_guid
        self._page: Sequence[FoundRow] = ()
        self._position = 0
        self._after = BEFORE_FIRST
        self._next_page: asyncio.Task[Sequence[FoundRow]] | None = None

    async def __aenter__(self) -> Self:
        self._page = await self._read_page()
        await self._read_ahead()
        return self

    async def __aexit__(self, *_: object) -> None:
        # It uses the connection, on which the caller goes on or which the caller gives back.
        await asyncio.gather(*filter(None, [self._next_page]), return_exceptions=True)

    async def next(self) -> StoredRow | None:
        """The next row, or None after the last."""
        if self._position == len(self._page) and not await self._turn_page():
            return None
        row = self._page[self._position]
        self._position += 1
        return StoredRow(*row)

    async def up_to(self, number: int) -> Sequence[FoundRow]:
        """The next rows, up to those with this number."""
        rows: list[FoundRow] = []
        while True:
            end = bisect_right(self._page, number, self._position, key=itemgetter(0))
            rows += self._page[self._position : end]
            self._position = end
            if end < len(self._page) or not await self._turn_page():
                return rows

    async def _turn_page(self) -> bool:
        """Whether there is another page."""
        assert self._next_page is not None, "it is used with `async with`"
        if not (page := await self._next_page):
            return False
        self._page, self._position = page, 0
        await self._read_ahead()
        return True

    async def _read_ahead(self) -> None:
        self._next_page = asyncio.create_task(self._read_page())
        # The task runs until it has sent its statement.
        await asyncio.sleep(0)

    async def _read_page(self) -> Sequence[FoundRow]:
        """The next page that is not empty; an empty one after the last row."""
        page = await self._rows(self._after + 1)
        # Numbers have gaps, and a page can have no row of a client.
        while not page and (first := await next_number(self._connection, self._after)) is not None:
            page = await self._rows(first)
        return page

    async def _rows(self, first: int) -> Sequence[FoundRow]:
        of_client = "client_guid = %(client_guid)s" if self._client_guid else "true"
        self._after = first + ROWS_PER_PAGE - 1
        # In binary form, hashes are not written and read as hexadecimal digits.
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(
                f"""SELECT {columns(StoredRow)} FROM (
                        SELECT number, body AS text, guid, leaf_hash
                        FROM audit_entry WHERE {OF_RANGE} AND {of_client}
                        UNION ALL
                        SELECT number, text, NULL, NULL
                        FROM ({disclosure_texts()} WHERE {OF_RANGE} AND {of_client}) AS disclosed
                    ) AS written
                    ORDER BY number""",
                {"first": first, "last": self._after, "client_guid": self._client_guid},
            )
            return await cursor.fetchall()


async def next_number(connection: Connection, after: int) -> int | None:
    """The first number after this one that a row has."""
    cursor = await connection.execute(
        """SELECT least((SELECT min(number) FROM audit_event WHERE number > %(after)s),
                        (SELECT number FROM ("""
        + disclosure_texts()
        + """ WHERE number > %(after)s) AS disclosed
                         ORDER BY number LIMIT 1))""",
        {"after": after},
    )
    row = await cursor.fetchone()
    assert row is not None, "the statement always returns a row"
    return None if row[0] is None else int(row[0])


async def checkpoints(connection: Connection, *, after: int = 0) -> AsyncIterator[StoredCheckpoint]:
    """The checkpoints of more than `after` entries, in order."""
    while page := await fetch_all(
        connection,
        StoredCheckpoint,
        f"""SELECT {columns(StoredCheckpoint)} FROM audit_checkpoint WHERE size > %(after)s
            ORDER BY size LIMIT {CHECKPOINTS_PER_PAGE}""",
        {"after": after},
    ):
        for each in page:
            yield each
        after = page[-1].size


async def sealed_size(connection: Connection) -> int:
    """The number of entries in the last checkpoint; 0 if there is none."""
    cursor = await connection.execute("SELECT coalesce(max(size), 0) FROM audit_checkpoint")
    row = await cursor.fetchone()
    assert row is not None, "an aggregate has one row"
    return int(row[0])
