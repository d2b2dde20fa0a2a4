"""The export of a user as a streamed body: one JSON object, or a table of one of its sections as CSV."""

import csv
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from io import StringIO

from coatcheck.deadline import within
from coatcheck.directory.export import Section
from coatcheck.http.encoding import encode

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula (OWASP: CSV injection)."""


async def json_chunks(sections: AsyncIterator[Section], deadline: timedelta) -> AsyncIterator[bytes]:
    """One object with an array for each section. An export that ends early is not valid JSON."""
    current, separator = None, b""
    async for name, records in _each_within(sections, deadline):
        if name != current:
            yield (b"]," if current else b"{") + encode(name) + b":["
            current, separator = name, b""
        for record in records:
            yield separator + encode(record)
            separator = b","
    yield b"]}"


async def csv_chunks(
    batches: AsyncIterator[Sequence[object]], columns: Sequence[str], deadline: timedelta
) -> AsyncIterator[bytes]:
    """A line with the names of the columns, and a line for each record (RFC 4180)."""
    yield _line(columns)
    async for _, records in _each_within(_as_sections(batches), deadline):
        for record in records:
            yield _line([_cell(getattr(record, name)) for name in columns])


async def _as_sections(batches: AsyncIterator[Sequence[object]]) -> AsyncIterator[Section]:
    async for batch in batches:
        yield "", batch


def _line(cells: Sequence[str]) -> bytes:
    line = StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


async def _each_within(sections: AsyncIterator[Section], deadline: timedelta) -> AsyncIterator[Section]:
    """The deadline holds for each batch instead of for the whole: the receiver decides how long that takes."""
    while True:
        with within(None), within(deadline):
            try:
                section = await anext(sections)
            except StopAsyncIteration:
                return
        yield section
