"""Exports as they are sent: JSON by sections, and CSV for spreadsheets."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from starlette.responses import Response, StreamingResponse

from coatcheck.deadline import seconds_left, within
from coatcheck.http.exports import attachment, csv_file, json_chunks

DEADLINE = timedelta(seconds=5)


@dataclass(frozen=True)
class Record:
    name: object
    value: object = None


async def batches(*records: Sequence[Record]) -> AsyncIterator[Sequence[object]]:
    for each in records:
        yield each


async def sections(*each: tuple[str, Sequence[object]]) -> AsyncIterator[tuple[str, Sequence[object]]]:
    for one in each:
        yield one


async def body_of(response: Response) -> str:
    assert isinstance(response, StreamingResponse)
    return b"".join(
        [bytes(chunk) async for chunk in response.body_iterator if not isinstance(chunk, str)]
    ).decode()


async def test_an_export_in_json_has_an_array_for_each_section() -> None:
    sent = sections(
        ("users", [{"id": 1}]), ("users", [{"id": 2}, {"id": 3}]), ("members", []), ("grants", ["x"])
    )
    chunks = b"".join([chunk async for chunk in json_chunks(sent, DEADLINE)])
    assert json.loads(chunks) == {"users": [{"id": 1}, {"id": 2}, {"id": 3}], "members": [], "grants": ["x"]}


async def test_an_export_that_breaks_off_is_not_valid_json() -> None:
    chunks = json_chunks(sections(("users", [1]), ("members", [])), DEADLINE)
    with pytest.raises(json.JSONDecodeError):
        json.loads(await anext(chunks))


async def test_a_table_has_the_names_of_its_columns_and_a_line_for_each_record() -> None:
    records = [Record("a", Decimal("1.50")), Record('b, "c"', None)], [Record({"k": 1}, ["x", "y"])]
    answer = csv_file("users", batches(*records), ["name", "value"], DEADLINE)
    assert await body_of(answer) == 'name,value\r\na,1.50\r\n"b, ""c""",\r\n"{""k"":1}",x y\r\n'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
async def test_a_spreadsheet_takes_no_text_of_a_table_for_a_formula(text: str) -> None:
    answer = csv_file("users", batches([Record(text, Decimal(-1))]), ["name", "value"], DEADLINE)
    line = (await body_of(answer)).removeprefix("name,value\r\n")
    assert line.strip('"').startswith(f"'{text[0]}")
    assert line.endswith(",-1\r\n")


async def test_a_browser_saves_an_export_under_its_name_and_nothing_stores_it() -> None:
    answer = csv_file("users", batches(), ["name"], DEADLINE)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="users.csv"'
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert (
        attachment("data.json", "application/json", json_chunks(sections(), DEADLINE)).headers[
            "content-disposition"
        ]
        == 'attachment; filename="data.json"'
    )


async def test_each_part_of_an_export_has_a_deadline_of_its_own() -> None:
    seen: list[float | None] = []

    async def read() -> AsyncIterator[tuple[str, Sequence[object]]]:
        for name in ("a", "b"):
            seen.append(seconds_left())
            yield name, [Record(name)]

    async def records() -> AsyncIterator[Sequence[object]]:
        async for _, each in read():
            yield each

    with within(timedelta(seconds=1)):
        assert await body_of(csv_file("users", records(), ["name"], DEADLINE)) == "name\r\na\r\nb\r\n"
        assert len([chunk async for chunk in json_chunks(read(), DEADLINE)]) == 5
    assert len(seen) == 4
    assert all(left is not None and 1 < left <= 5 for left in seen), seen
