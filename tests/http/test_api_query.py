"""Query parameters: pages, filters and dates."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.api import query as mx
from coatcheck.api.schemas.transactions import Include
from coatcheck.errors import InvalidRequest
from coatcheck.http import query as parameters
from coatcheck.model.paging import PageRequest

NOW = datetime(2026, 11, 23, 13, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("page", "number"),
    [("1", 1), ("7", 7), ("0", 1), ("-1", 1), ("", 1), ("two", 1), ("1.5", 1), ("٣", 1), ("9" * 5000, 1)],
)
def test_an_invalid_page_number_means_the_first_page(page: str, number: int) -> None:
    assert parameters.read_page([("page", page)]) == PageRequest(number, 25)


@pytest.mark.parametrize(
    ("size", "expected"), [("10", 10), ("1000", 1000), ("9", 25), ("1001", 25), ("0", 25), ("all", 25)]
)
def test_a_page_size_out_of_range_means_the_default(size: str, expected: int) -> None:
    assert parameters.read_page([("records_per_page", size)]) == PageRequest(1, expected)


def test_the_offset_of_the_largest_page_fits_a_bigint() -> None:
    assert parameters.read_page([("page", "9" * 18), ("records_per_page", "1000")]).offset < 2**63


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("True", True), ("FALSE", False), ("false", False), ("", None)]
)
def test_a_flag_is_true_or_false_in_any_letter_case(value: str, expected: bool | None) -> None:
    assert parameters.read_flag([("is_disabled", value)], "is_disabled") is expected
    assert parameters.read_flag([], "is_disabled") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23T13:08:00Z", NOW),
        ("2026-11-23T15:08:00+02:00", NOW),
        ("2026-11-23T13:08:00", NOW),
        ("2026-11-23 13:08:00", NOW),
        ("1795439280", NOW),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_date_an_iso_time_or_seconds(value: str, expected: datetime) -> None:
    assert parameters.read_time([("at", value)], "at") == expected
    assert parameters.read_day([("at", value)], "at") == expected.date()


def test_a_date_at_the_end_of_a_range_means_its_last_second() -> None:
    ends = parameters.read_time([("at", "2026-11-23")], "at", ends=True)
    assert ends == datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)


def test_repeated_parameters_are_a_list_in_both_spellings() -> None:
    query = [("category_guid", "CAT-1"), ("category_guid[]", "CAT-2"), ("other", "x"), ("category_guid", "")]
    assert parameters.read_texts(query, "category_guid") == ["CAT-1", "CAT-2"]


def test_of_a_repeated_parameter_the_last_value_counts() -> None:
    query = [("page", "2"), ("id", "first"), ("page", "3"), ("id", "last"), ("other", "x")]
    assert parameters.read_page(query) == PageRequest(3, 25)
    assert parameters.read_text(query, "id") == "last"
    assert parameters.read_text(query, "absent") is None


def test_a_text_has_at_most_1000_characters() -> None:
    assert parameters.read_text([("id", "x" * 1000)], "id") == "x" * 1000
    with pytest.raises(InvalidRequest) as caught:
        parameters.read_text([("id", "x" * 1001)], "id")
    assert caught.value.problem == "id is too long or contains a character that is not allowed."


def test_eight_digits_are_a_date_and_other_digits_are_seconds() -> None:
    assert parameters.read_time([("at", "20260101")], "at") == datetime(2026, 1, 1, tzinfo=UTC)
    assert parameters.read_time([("at", "260101")], "at") == datetime(1970, 1, 4, 0, 15, 1, tzinfo=UTC)


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("90", 90), ("31622400", 31_622_400), ("", None)])
def test_a_duration_is_a_whole_number_of_seconds_up_to_a_year(value: str, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert parameters.read_seconds([("max_age", value)], "max_age") == expected
    assert parameters.read_seconds([], "max_age") is None


@pytest.mark.parametrize("value", ["31622401", "000000001", "-1", "1.5", "+1", "\u0663", "9" * 999, "soon"])
def test_another_duration_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parameters.read_seconds([("max_age", value)], "max_age")
    assert caught.value.problem == "max_age must be a whole number of seconds from 0 to 31622400."


def test_a_number_has_at_most_18_digits() -> None:
    assert parameters.read_number([("before", "9" * 18)], "before") == 10**18 - 1
    assert parameters.read_number([("before", "")], "before") is None
    for value in ("9" * 19, "-1", "1.5", "\u0663", "many"):
        with pytest.raises(InvalidRequest) as caught:
            parameters.read_number([("before", value)], "before")
        assert caught.value.problem == "before must be a whole number."


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


def test_a_choice_is_one_value_of_an_enumeration() -> None:
    assert parameters.read_choice([("to", "up")], "to", Direction) is Direction.UP
    assert parameters.read_choice([("to", "")], "to", Direction) is None
    with pytest.raises(InvalidRequest) as caught:
        parameters.read_choice([("to", "UP")], "to", Direction)
    assert caught.value.problem == "to must be one of up, down."


def test_several_choices_are_comma_separated_or_repeated() -> None:
    query = [("to", "up, "), ("to[]", "down"), ("other", "x")]
    assert parameters.read_choices(query, "to", Direction) == {Direction.UP, Direction.DOWN}
    assert parameters.read_choices([("to", ",")], "to", Direction) == frozenset()
    with pytest.raises(InvalidRequest) as caught:
        parameters.read_choices([("to", "up,left")], "to", Direction)
    assert caught.value.problem == "to must be a list of up, down."


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (parameters.read_flag, "at must be true or false."),
        (parameters.read_time, "at must be a date, an ISO 8601 time, or seconds since 1970."),
        (parameters.read_day, "at must be a date, an ISO 8601 time, or seconds since 1970."),
    ],
)
def test_a_refused_value_says_what_the_parameter_must_be(read: Callable[..., Any], problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read([("at", "yesterday")], "at")
    assert caught.value.problem == problem
    assert read([], "at") is None


def test_includes_are_comma_separated_or_repeated() -> None:
    query = [("includes", "merchants, geolocations"), ("includes", "classifications")]
    assert mx.read_includes(query) == {
        Include.MERCHANTS,
        Include.GEOLOCATIONS,
        Include.CLASSIFICATIONS,
    }
    assert mx.read_includes([]) == frozenset()


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (parameters.read_flag, "yes"),
        (parameters.read_flag, "1"),
        (parameters.read_time, "yesterday"),
        (parameters.read_time, "2026-02-30"),
        (parameters.read_time, "9" * 400),
        (parameters.read_time, "0001-01-01T00:00:00+14:00"),
        (parameters.read_text, "a\0b"),
        (parameters.read_text, "x" * 1001),
        (parameters.read_texts, "a\0b"),
        (lambda query, _: mx.read_includes(query), "everything"),
    ],
)
def test_an_invalid_parameter_is_named_and_its_value_not_quoted(read: Callable[..., Any], value: str) -> None:
    with pytest.raises(InvalidRequest, match="includes") as caught:
        read([("includes", value)], "includes")
    assert value not in str(caught.value)


def test_the_default_range_of_transactions_is_120_days_back_to_5_days_ahead() -> None:
    filters = mx.read_transaction_filter([], NOW, account_guid="ACT-1")
    assert (filters.from_date, filters.to_date) == (date(2026, 7, 26), date(2026, 11, 28))
    assert (filters.account_guid, filters.member_guid, filters.from_created_at) == ("ACT-1", None, None)


def test_every_filter_of_transactions_is_read() -> None:
    filters = mx.read_transaction_filter(
        [
            ("from_date", "2026-01-01"),
            ("to_date", "1767312000"),
            ("from_created_at", "2026-01-03"),
            ("to_created_at", "2026-01-04"),
            ("from_updated_at", "2026-01-05T01:00:00Z"),
            ("to_updated_at", "2026-01-06"),
            ("category_guid[]", "CAT-1"),
            ("top_level_category_guid", "CAT-2"),
            ("use_case", "PFM"),
        ],
        NOW,
        member_guid="MBR-1",
    )
    assert (filters.from_date, filters.to_date) == (date(2026, 1, 1), date(2026, 1, 2))
    assert filters.from_created_at == datetime(2026, 1, 3, tzinfo=UTC)
    assert filters.to_created_at == datetime(2026, 1, 4, 23, 59, 59, tzinfo=UTC)
    assert filters.from_updated_at == datetime(2026, 1, 5, 1, tzinfo=UTC)
    assert filters.to_updated_at == datetime(2026, 1, 6, 23, 59, 59, tzinfo=UTC)
    assert (filters.category_guids, filters.top_level_category_guids) == (["CAT-1"], ["CAT-2"])
    assert (filters.use_case, filters.member_guid) == ("PFM", "MBR-1")


@given(st.lists(st.tuples(st.sampled_from(("page", "records_per_page", "from_date", "includes")), st.text())))
def test_any_query_is_read_or_refused(query: list[tuple[str, str]]) -> None:
    page = parameters.read_page(query)
    assert page.number >= 1
    assert 10 <= page.size <= 1000
    try:
        mx.read_transaction_filter(query, NOW)
        mx.read_includes(query)
    except InvalidRequest:
        return
