"""Reads the log in the order of its numbers: entries, disclosures and checkpoints."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from coatcheck.db.database import Connection, columns, fetch_all
from coatcheck.vault.disclosures import disclosure_texts

ROWS_PER_PAGE = 10_000
CHECKPOINTS_PER_PAGE = 500
BEFORE_FIRST = -(2**63)
"""Below every number."""
# A range and not a LIMIT: for a LIMIT over both tables PostgreSQL would sort everything after the first number.
OF_RANGE = "number BETWEEN %(first)s AND %(last)s"
# Canonical JSON has these members in this order, and no value contains a quote that is not escaped. The column `at` has
# no fraction of a second.
COLUMNS_AGREE = """
    strpos(body, '"at":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || '.') > 0
    AND strpos(body, 'Z","client_guid":' || coalesce(to_json(client_guid)::text, 'null') || ',"detail":{') > 0
    AND strpos(body, '},"guid":' || to_json(guid)::text || ',"subject":') > 0"""


@dataclass(slots=True)  # not frozen: a million are made, and that takes a third of the time
class StoredRow:
    """A row of `audit_event`, or of `disclosure`, which has no guid."""

    number: int
    text: str
    """Canonical JSON, of which the leaf of the tree is the hash."""
    guid: str | None
    leaf_hash: bytes | None
    """The hash that was stored with an entry."""
    columns_agree: bool
    """Whether the time, client and guid in the columns are those in the text. Lists and exports select by them."""

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
    """The rows in order, read in pages, as a reader that merges them with the checkpoints needs them."""

    def __init__(self, connection: Connection, *, client_guid: str | None = None) -> None:
        self._connection = connection
        self._client_guid = client_guid
        self._page: Sequence[StoredRow] = ()
        self._position = 0
        self._after = BEFORE_FIRST

    async def next(self) -> StoredRow | None:
        """The next row, or None after the last."""
        if self._position == len(self._page):
            await self._turn_page()
        if not self._page:
            return None
        row = self._page[self._position]
        self._position += 1
        return row

    async def _turn_page(self) -> None:
        self._page, self._position = (), 0
        # A page can be empty for a client.
        while not self._page:
            first = await next_number(self._connection, self._after)
            if first is None:
                return
            last = first + ROWS_PER_PAGE - 1
            self._page, self._after = await self._rows(first, last), last

    async def _rows(self, first: int, last: int) -> Sequence[StoredRow]:
        of_client = "client_guid = %(client_guid)s" if self._client_guid else "true"
        return await fetch_all(
            self._connection,
            StoredRow,
            f"""SELECT {columns(StoredRow)} FROM (
                    SELECT number, body AS text, guid, leaf_hash, {COLUMNS_AGREE} AS columns_agree
                    FROM audit_event WHERE {OF_RANGE} AND {of_client}
                    UNION ALL
                    SELECT number, text, NULL, NULL, true
                    FROM ({disclosure_texts()} WHERE {OF_RANGE} AND {of_client}) AS disclosed
                ) AS written
                ORDER BY number""",
            {"first": first, "last": last, "client_guid": self._client_guid},
        )


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
