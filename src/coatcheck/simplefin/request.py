"""The request that a handler of the SimpleFIN server gets, and its parameters."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from math import ceil

from coatcheck.errors import InvalidRequest
from coatcheck.http.request import HandlerRequest
from coatcheck.model.transactions import TransactionFilter
from coatcheck.simplefin.errors import ROOT

EPOCH = date(1970, 1, 1)
NOON = time(12)
DAY = 24 * 3600
"""Seconds."""
LONGEST = Decimal(1000 * 366 * DAY)
"""Seconds before and after 1970 within which every time is a date."""


@dataclass(kw_only=True)
class SimplefinRequest(HandlerRequest):
    """The arguments of a handler."""

    access_guid: str = ""
    """The user name of HTTP Basic: which access URL it is."""
    app_key: str = field(default="", repr=False)
    """The password of HTTP Basic."""

    @property
    def root(self) -> str:
        """The root URL of the SimpleFIN server."""
        return f"{self.services.settings.base_url}{ROOT}"

    @property
    def accounts(self) -> frozenset[str]:
        """The accounts that the request names; empty: all."""
        return frozenset(value for name, value in self.query if name == "account")

    @property
    def transaction_filter(self) -> TransactionFilter | None:
        """Which transactions are wanted; None: `balances-only`.

        Raises:
            InvalidRequest: a date is no number.
        """
        if self._is_set("balances-only"):
            return None
        start, end = self._seconds("start-date"), self._seconds("end-date")
        return TransactionFilter(
            from_date=None if start is None else _first_day(start),
            to_date=None if end is None else _last_day(end),
            status=None if self._is_set("pending") else "POSTED",
        )

    def _value(self, name: str) -> str | None:
        """The last value of a parameter. An app that is written for another server may send more of them."""
        return dict(self.query).get(name)

    def _is_set(self, name: str) -> bool:
        """Whether a flag is set. The protocol has the value 1; some servers look at the presence alone."""
        return self._value(name) not in {None, "0", "false"}

    def _seconds(self, name: str) -> Decimal | None:
        value = self._value(name)
        if not value:
            return None
        try:
            seconds = Decimal(value)
        except InvalidOperation:
            seconds = Decimal("NaN")
        if not seconds.is_finite():
            raise InvalidRequest(f"{name} must be a time in seconds since 1970.")
        return min(max(seconds, -LONGEST), LONGEST)


def noon(day: date) -> int:
    """Noon UTC of a day, in seconds since 1970. In all time zones from -12 to +11 it is the same date."""
    return int(datetime.combine(day, NOON, UTC).timestamp())


def _first_day(start: Decimal) -> date:
    """The first day whose noon is not before `start`."""
    return _day(ceil((start - noon(EPOCH)) / DAY))


def _last_day(end: Decimal) -> date:
    """The last day whose noon is before `end`, which is excluded."""
    return _day(ceil((end - noon(EPOCH)) / DAY) - 1)


def _day(number: int) -> date:
    return EPOCH + timedelta(days=number)
