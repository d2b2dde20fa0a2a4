"""Hostile and damaged statement files are refused, and the error names the line or the element."""

from time import process_time

import pytest

from coatcheck.connectors.statement_files.csv_mapping import CsvMapping
from coatcheck.connectors.statement_files.reading import read_statement_file
from coatcheck.errors import UnreadableFile
from tests.hostile_statement_files import HOSTILE, SLOW
from tests.statement_samples import BY_NAME, CSV


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_its_line_and_element(name: str) -> None:
    hostile = HOSTILE[name]
    with pytest.raises(UnreadableFile) as refused:
        read_statement_file(hostile.data)
    assert refused.value.line == hostile.line
    if hostile.element is not None:
        assert refused.value.element == hostile.element


@pytest.mark.parametrize("name", HOSTILE)
def test_an_error_quotes_nothing_of_the_file(name: str) -> None:
    with pytest.raises(UnreadableFile) as refused:
        read_statement_file(HOSTILE[name].data)
    assert not any(
        secret in refused.value.problem for secret in ("1234567890", "0532013000", "Erika", "root:")
    )


def assert_read_or_refused(data: bytes) -> None:
    place: object = "read"
    try:
        read_statement_file(data)
    except UnreadableFile as refused:
        place = refused.line or refused.element
    assert place


@pytest.mark.parametrize("name", BY_NAME)
def test_a_file_that_is_cut_off_anywhere_is_read_or_refused_and_nothing_else(name: str) -> None:
    data = BY_NAME[name]
    for end in range(0, len(data), 7):
        assert_read_or_refused(data[:end])


@pytest.mark.parametrize("name", BY_NAME)
def test_a_file_with_a_changed_byte_is_read_or_refused_and_nothing_else(name: str) -> None:
    data = BY_NAME[name]
    for place in range(0, len(data), 5):
        for byte in (b"\x00", b"\xff", b"<", b"9", b",", b"\n"):
            assert_read_or_refused(data[:place] + byte + data[place + 1 :])


@pytest.mark.parametrize("name", SLOW)
def test_a_small_file_takes_no_time(name: str) -> None:
    began = process_time()
    assert_read_or_refused(SLOW[name])
    assert process_time() - began < 1


@pytest.mark.parametrize("date_format", ["%Y%Y", "%", "%Q", "%d%d%m%Y"])
def test_a_format_of_dates_that_cannot_be_used_is_refused(date_format: str) -> None:
    columns = {"date": "Date", "amount": "Amount"}
    with pytest.raises(UnreadableFile) as refused:
        read_statement_file(CSV, CsvMapping(columns, date_format=date_format))
    assert refused.value.element == "date"


def test_the_library_for_mt940_logs_nothing_of_a_file(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnreadableFile):
        read_statement_file(HOSTILE["MT940 with a broken line"].data)
    assert not caplog.records
