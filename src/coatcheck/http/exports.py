"""Exports as streamed bodies: the sections of a user as one JSON object, a list as a table in CSV."""

import csv
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from io import StringIO

from starlette.responses import Response, StreamingResponse

from coatcheck.deadline import within
from coatcheck.directory.export import Section
from coatcheck.http.encoding import encode
from coatcheck.http.headers import NO_STORE

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
        yield b"".join(_line([_cell(getattr(record, name)) for name in columns]) for record in records)


def csv_file(
    name: str, batches: AsyncIterator[Sequence[object]], columns: Sequence[str], deadline: timedelta
) -> Response:
    """A table that a browser saves as `name.csv`."""
    return attachment(f"{name}.csv", "text/csv; charset=utf-8", csv_chunks(batches, columns, deadline))


def attachment(file_name: str, media_type: str, chunks: AsyncIterator[bytes]) -> Response:
    """A file that a browser saves."""
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{file_name}"'}
    return StreamingResponse(chunks, 200, headers, media_type)


async def _as_sections(batches: AsyncIterator[Sequence[object]]) -> AsyncIterator[Section]:
    async for batch in batches:
        yield "", batch


def _line(cells: Sequence[str]) -> bytes:
    line = StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _cell(value: object) -> str:
    """A value as text. Several are separated by spaces, and members of an object are JSON."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return encode(value).decode()
    is_text = isinstance(value, str)
    text = str(value) if is_text or not isinstance(value, Sequence) else " ".join(value)
    return f"'{text}" if is_text and text.startswith(FORMULA) else text


async def _each_within(sections: AsyncIterator[Section], deadline: timedelta) -> AsyncIterator[Section]:
    """The deadline holds for each batch instead of for the whole: the receiver decides how long that takes."""
    while True:
        # None first: a deadline never extends the one that it is within, here that of the request.
        with within(None), within(deadline):
            try:
                section = await anext(sections)
            except StopAsyncIteration:
                return
        yield section
