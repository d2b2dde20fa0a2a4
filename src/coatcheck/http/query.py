"""Parses the query parameters of lists: pages, filters and dates.

A page number or size out of range is replaced by the default (MX docs: pagination). Any other invalid
parameter is refused with a message that contains its name and never its value.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeAlias, TypeVar

from coatcheck.errors import InvalidRequest
from coatcheck.model.paging import PageRequest

Query: TypeAlias = Sequence[tuple[str, str]]
Choice = TypeVar("Choice", bound=StrEnum)

DEFAULT_PAGE_SIZE = 25
MIN_PAGE_SIZE = 10
MAX_PAGE_SIZE = 1000
MAX_PAGE = 1_000_000_000
"""Larger than any list needs; its OFFSET still fits PostgreSQL's bigint."""
MAX_TEXT_LENGTH = 1000
MAX_SECONDS = 366 * 24 * 3600
COMPACT_DATE_DIGITS = 8
"""`20260101`, the basic format of ISO 8601."""
BOOLEANS = {"true": True, "false": False}


def read_page(query: Query) -> PageRequest:
    """`page`, at least 1, otherwise 1; `records_per_page`, from 10 to 1,000, otherwise 25."""
    number = _positive_int(query, "page")
    size = _positive_int(query, "records_per_page")
    return PageRequest(
        min(number, MAX_PAGE) if number else 1,
        size if size and MIN_PAGE_SIZE <= size <= MAX_PAGE_SIZE else DEFAULT_PAGE_SIZE,
    )


def read_text(query: Query, name: str) -> str | None:
    """The parameter, or None if it is absent or empty. The last value of a repeated parameter counts.

    Raises:
        InvalidRequest: it has more than 1,000 characters, or a NUL character, which PostgreSQL cannot store.
    """
    value = next((value for key, value in reversed(query) if key == name), "")
    return _checked(name, value) or None


def read_texts(query: Query, name: str) -> list[str]:
    """All values of a repeated parameter, named `name` or `name[]`.

    Raises:
        InvalidRequest: as `read_text`.
    """
    return [_checked(name, value) for key, value in query if key in {name, f"{name}[]"} and value]


def read_seconds(query: Query, name: str) -> timedelta | None:
    """A number of whole seconds, up to a year; None if the parameter is absent or empty.

    Raises:
        InvalidRequest: it is none.
    """
    value = read_text(query, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 8 and int(value) <= MAX_SECONDS):
        raise InvalidRequest(f"{name} must be a whole number of seconds from 0 to {MAX_SECONDS}.")
    return timedelta(seconds=int(value))


def read_number(query: Query, name: str) -> int | None:
    """A whole number of at most 18 digits; None if the parameter is absent or empty.

    Raises:
        InvalidRequest: the value is something else.
    """
    if read_text(query, name) is None:
        return None
    number = _positive_int(query, name)
    if number is None:
        raise InvalidRequest(f"{name} must be a whole number.")
    return number


def read_flag(query: Query, name: str) -> bool | None:
    """`true` or `false`, case-insensitive: MX's Python SDK sends `True`.

    Raises:
        InvalidRequest: the value is neither.
    """
    value = read_text(query, name)
    if value is None:
        return None
    try:
        return BOOLEANS[value.lower()]
    except KeyError:
        raise InvalidRequest(f"{name} must be true or false.") from None


def read_choices(query: Query, name: str, choices: type[Choice]) -> frozenset[Choice]:
    """The values of a comma-separated parameter, which may be repeated.

    Raises:
        InvalidRequest: a value is unknown. The message lists the known values.
    """
    requested = (part.strip() for value in read_texts(query, name) for part in value.split(","))
    try:
        return frozenset(choices(part) for part in requested if part)
    except ValueError:
        raise InvalidRequest(f"{name} must be a list of {', '.join(choices)}.") from None


def read_choice(query: Query, name: str, choices: type[Choice]) -> Choice | None:
    """One value of an enumeration; None if the parameter is absent or empty.

    Raises:
        InvalidRequest: the value is unknown. The message lists the known values.
    """
    value = read_text(query, name)
    if value is None:
        return None
    try:
        return choices(value)
    except ValueError:
        raise InvalidRequest(f"{name} must be one of {', '.join(choices)}.") from None


def read_time(query: Query, name: str, *, ends: bool = False) -> datetime | None:
    """An ISO 8601 time, a date, or seconds since 1970: MX's two specs disagree, so all are accepted.

    Args:
        query: all parameters.
        name: the parameter to read.
        ends: whether a date means its last second instead of its first.

    Raises:
        InvalidRequest: the value is none of these.
    """
    value = read_text(query, name)
    if value is None:
        return None
    try:
        return _parse_time(value, ends=ends)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest(f"{name} must be a date, an ISO 8601 time, or seconds since 1970.") from None


def read_day(query: Query, name: str) -> date | None:
    """The UTC date of a value that `read_time` accepts.

    Raises:
        InvalidRequest: as `read_time`.
    """
    time_ = read_time(query, name)
    return time_.date() if time_ else None


def _parse_time(value: str, *, ends: bool) -> datetime:
    # Eight digits are a date: as seconds they would be before 1974.
    if value.isascii() and value.isdigit() and len(value) != COMPACT_DATE_DIGITS:
        return datetime.fromtimestamp(int(value), UTC)
    if "T" not in value and " " not in value:
        return datetime.combine(date.fromisoformat(value), time(23, 59, 59) if ends else time(), UTC)
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _positive_int(query: Query, name: str) -> int | None:
    """The parameter as a number of at most 18 digits; otherwise None."""
    value = next((value for key, value in reversed(query) if key == name), "")
    # 18 digits: all such numbers fit a bigint. `isdigit` alone takes "²" too, which `int` refuses.
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None


def _checked(name: str, value: str) -> str:
    if len(value) > MAX_TEXT_LENGTH or "\0" in value:
        raise InvalidRequest(f"{name} is too long or contains a character that is not allowed.")
    return value
