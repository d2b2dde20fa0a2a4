"""Which part of a list was asked for: pages, filters and dates out of the query string.

A page out of range is no error in MX's API but the default (MX docs: pagination); any other parameter that
cannot be read is refused, with its name and never its value.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeAlias, TypeVar

from coatcheck.api.presenter import Include
from coatcheck.errors import InvalidRequest
from coatcheck.model.paging import PageRequest
from coatcheck.model.transactions import TransactionFilter

Query: TypeAlias = Sequence[tuple[str, str]]
Choice = TypeVar("Choice", bound=StrEnum)

DEFAULT_SIZE = 25
SMALLEST_SIZE = 10
LARGEST_SIZE = 1000
LAST_PAGE = 1_000_000_000
"""Far beyond any list, and still a number that PostgreSQL can count with."""
MAX_CHARACTERS = 1000
BOOLEANS = {"true": True, "false": False}
HISTORY = timedelta(days=120)
PENDING = timedelta(days=5)
"""How far back and ahead a list of transactions reaches unless told otherwise (MX docs: transactions)."""


def read_page(query: Query, *, largest: int = LARGEST_SIZE) -> PageRequest:
    """`page` from 1, anything else is 1; `records_per_page` from 10 to `largest`, anything else is 25."""
    number = _whole(query, "page")
    size = _whole(query, "records_per_page")
    return PageRequest(
        min(number, LAST_PAGE) if number else 1,
        size if size and SMALLEST_SIZE <= size <= largest else DEFAULT_SIZE,
    )


def read_text(query: Query, name: str) -> str | None:
    """The parameter, or None where it is absent or empty; the last one where it stands more than once.

    Raises:
        InvalidRequest: it is over 1,000 characters, or holds a NUL character, which PostgreSQL cannot keep.
    """
    value = next((value for key, value in reversed(query) if key == name), "")
    return _storable(name, value) or None


def read_texts(query: Query, name: str) -> list[str]:
    """Every value of a repeated parameter, spelt `name` or `name[]`.

    Raises:
        InvalidRequest: as `read_text`.
    """
    return [_storable(name, value) for key, value in query if key in {name, f"{name}[]"} and value]


def read_flag(query: Query, name: str) -> bool | None:
    """`true` or `false` in any case: MX's Python SDK sends `True`.

    Raises:
        InvalidRequest: it is neither.
    """
    value = read_text(query, name)
    if value is None:
        return None
    try:
        return BOOLEANS[value.lower()]
    except KeyError:
        raise InvalidRequest(f"{name} is true or false.") from None


def read_choices(query: Query, name: str, choices: type[Choice]) -> frozenset[Choice]:
    """A list with commas, repeated, or both.

    Raises:
        InvalidRequest: one of them is unknown; it says which there are.
    """
    asked = (part.strip() for value in read_texts(query, name) for part in value.split(","))
    try:
        return frozenset(choices(part) for part in asked if part)
    except ValueError:
        raise InvalidRequest(f"{name} is made of {', '.join(choices)}.") from None


def read_includes(query: Query) -> Collection[Include]:
    """What `includes` asks for.

    Raises:
        InvalidRequest: there is no such thing.
    """
    return read_choices(query, "includes", Include)


def read_moment(query: Query, name: str, *, ends: bool = False) -> datetime | None:
    """An ISO 8601 time, a date, or seconds since 1970: MX's two specs contradict each other, so all are taken.

    Args:
        query: the parameters.
        name: which one.
        ends: whether a bare date means its last second; its first by default.

    Raises:
        InvalidRequest: it is none of them.
    """
    value = read_text(query, name)
    if value is None:
        return None
    try:
        return _moment(value, ends=ends)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest(f"{name} is a date, an ISO 8601 time, or seconds since 1970.") from None


def read_day(query: Query, name: str) -> date | None:
    """The day, in UTC, of anything that `read_moment` reads.

    Raises:
        InvalidRequest: as `read_moment`.
    """
    moment = read_moment(query, name)
    return moment.date() if moment else None


def read_transaction_filter(
    query: Query, now: datetime, *, member_guid: str | None = None, account_guid: str | None = None
) -> TransactionFilter:
    """Every filter of a list of transactions; from 120 days ago to 5 days ahead unless dates are given.

    Raises:
        InvalidRequest: one of them cannot be read.
    """
    return TransactionFilter(
        from_date=read_day(query, "from_date") or (now - HISTORY).date(),
        to_date=read_day(query, "to_date") or (now + PENDING).date(),
        # The same under two names: v20250224 has the second one for a member's transactions.
        from_created_at=read_moment(query, "from_created_at") or read_moment(query, "from_timestamp"),
        to_created_at=(
            read_moment(query, "to_created_at", ends=True) or read_moment(query, "to_timestamp", ends=True)
        ),
        from_updated_at=read_moment(query, "from_updated_at"),
        to_updated_at=read_moment(query, "to_updated_at", ends=True),
        category_guids=read_texts(query, "category_guid"),
        top_level_category_guids=read_texts(query, "top_level_category_guid"),
        use_case=read_text(query, "use_case"),
        member_guid=member_guid,
        account_guid=account_guid,
    )


def _moment(value: str, *, ends: bool) -> datetime:
    if value.isascii() and value.isdigit():
        return datetime.fromtimestamp(int(value), UTC)
    if "T" not in value and " " not in value:
        return datetime.combine(date.fromisoformat(value), time(23, 59, 59) if ends else time(), UTC)
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _whole(query: Query, name: str) -> int | None:
    """A whole number above nothing, of a sane length; anything else is None."""
    value = next((value for key, value in reversed(query) if key == name), "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None


def _storable(name: str, value: str) -> str:
    if len(value) > MAX_CHARACTERS or "\0" in value:
        raise InvalidRequest(f"{name} is too long or holds a character that is not allowed.")
    return value
