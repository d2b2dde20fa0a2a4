"""Parses the query parameters that are MX's own: the filters of a list of transactions, and `includes`."""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from coatcheck.api.schemas.transactions import Include
from coatcheck.http.query import Query, read_choice, read_choices, read_day, read_texts, read_time
from coatcheck.model.transactions import TransactionFilter

DEFAULT_PAST = timedelta(days=120)
DEFAULT_FUTURE = timedelta(days=5)
"""The default range of a list of transactions, before and after today (MX docs: transactions)."""


class UseCase(StrEnum):
    """What a client uses the data of a member for."""

    MONEY_MOVEMENT = "MONEY_MOVEMENT"
    PFM = "PFM"


def read_use_case(query: Query) -> UseCase | None:
    """The value of `use_case`.

    Raises:
        InvalidRequest: it is unknown. An empty list would hide the spelling mistake.
    """
    return read_choice(query, "use_case", UseCase)


def read_includes(query: Query) -> Collection[Include]:
    """The values of `includes`.

    Raises:
        InvalidRequest: a value is unknown.
    """
    return read_choices(query, "includes", Include)


def read_transaction_filter(
    query: Query, now: datetime, *, member_guid: str | None = None, account_guid: str | None = None
) -> TransactionFilter:
    """The filters of a list of transactions. The default range is from 120 days ago to 5 days ahead.

    Raises:
        InvalidRequest: a parameter is invalid.
    """
    return TransactionFilter(
        from_date=read_day(query, "from_date") or (now - DEFAULT_PAST).date(),
        to_date=read_day(query, "to_date") or (now + DEFAULT_FUTURE).date(),
        # v20250224 names the same filter `from_timestamp` for the transactions of a member.
        from_created_at=read_time(query, "from_created_at") or read_time(query, "from_timestamp"),
        to_created_at=(
            read_time(query, "to_created_at", ends=True) or read_time(query, "to_timestamp", ends=True)
        ),
        from_updated_at=read_time(query, "from_updated_at"),
        to_updated_at=read_time(query, "to_updated_at", ends=True),
        category_guids=read_texts(query, "category_guid"),
        top_level_category_guids=read_texts(query, "top_level_category_guid"),
        use_case=read_use_case(query),
        member_guid=member_guid,
        account_guid=account_guid,
    )
