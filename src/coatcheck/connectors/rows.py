"""Checks the rows that a connector adds: cleans their text, and refuses rows that cannot be stored.

Control characters are removed from text, and the text is cut to a maximum length. A row is unusable if cleaning would
change one of its keys, an amount is not finite, or a value is not one of the allowed ones: no row is better than a
wrong one.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

from coatcheck import text
from coatcheck.connectors.records import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
)
from coatcheck.errors import InvalidRequest

Row = TypeVar("Row", BankAccount, BankNumbers, BankOwner, BankStatement, BankTransaction)

MAX_KEY = 255
"""Characters of an institution's own id."""
MAX_TEXT = 1_000
"""Characters of any other text."""
MAX_AMOUNT = Decimal(10) ** 15
"""Exclusive, on either side of zero."""
MAX_DECIMALS = 50
"""More than any currency has. PostgreSQL refuses more than 16,383, and with them the whole run."""
MAX_PDF_BYTES = 16 * 1024 * 1024

STATUSES = frozenset({"POSTED", "PENDING"})
DIRECTIONS = frozenset({"CREDIT", "DEBIT"})
"""The allowed types of a transaction."""
EXACT = frozenset(
    {
        "id",
        "account_id",
        "account_number",
        "routing_number",
        "institution_number",
        "transit_number",
        "account_number_mask",
    }
)
"""Fields in which every character matters. Text that would need cleaning is refused instead."""
_CENT = Decimal("0.01")
_TOO_LARGE = MAX_AMOUNT.adjusted()
_KEPT_CONTROLS = frozenset("\t\n")


class UnusableRow(ValueError):
    """The row cannot be stored. `field` names the field; the value is never part of the message."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def checked(row: Row) -> Row:
    """The row with clean text.

    Raises:
        UnusableRow: a field cannot be stored as it is.
    """
    fields = _FIELDS[type(row)]
    values = fields.values_of(row)
    checks = fields.checks_of(tuple(map(type, values)))
    if isinstance(row, BankNumbers | BankOwner):
        row = _canonical_numbers(row) if isinstance(row, BankNumbers) else _canonical_owner(row)
        values = fields.values_of(row)
    for position, is_usable in checks.sizes:
        if not is_usable(values[position]):
            raise UnusableRow(fields.names[position])
    if isinstance(row, BankTransaction):
        _check_transaction(row)
    texts = checks.texts_of(values)
    # Most rows need no cleaning. One check of the joined text is faster than a check of each field.
    joined = "".join(texts)
    if len(joined) <= MAX_KEY and joined.isprintable() and "" not in checks.exact_of(values):
        return row
    changes: dict[str, Any] = {
        name: clean
        for name, value in zip(checks.texts, texts, strict=True)
        if (clean := _checked_text(name, value)) != value
    }
    return replace(row, **changes) if changes else row


def clean(value: str, limit: int = MAX_TEXT) -> str:
    """The text without control characters and lone surrogates, cut to `limit` characters."""
    if len(value) <= limit and value.isprintable():
        return value
    return "".join(
        character
        for character in value[:limit]
        if character in _KEPT_CONTROLS or unicodedata.category(character) not in {"Cc", "Cs"}
    )


def _canonical_numbers(row: BankNumbers) -> BankNumbers:
    """The row with canonical numbers. Processors get these numbers, and a different spelling is a different number.

    Raises:
        UnusableRow: a number has characters of another script, or the routing number is not nine digits.
    """
    changes: dict[str, str] = {}
    if row.routing_number is not None:
        try:
            changes["routing_number"] = text.routing_number(row.routing_number)
        except InvalidRequest:
            raise UnusableRow("routing_number") from None
    for name in ("account_number", "institution_number", "transit_number"):
        value = getattr(row, name)
        if value is not None:
            changes[name] = value.strip()
            if not value.strip().isascii():
                raise UnusableRow(name)
    return _replaced(row, changes)


def _canonical_owner(row: BankOwner) -> BankOwner:
    """The row with names, address, postal code, e-mail address and phone number in canonical spelling."""
    fields = _FIELDS[BankOwner]
    values = zip(fields.names, fields.values_of(row), strict=True)
    changes = {name: text.cleaned(value) for name, value in values if value is not None and name not in EXACT}
    return _replaced(row, changes)


def _replaced(row: Row, changes: Mapping[str, Any]) -> Row:
    """The row with the changes; the same object if nothing changes."""
    return replace(row, **changes) if any(getattr(row, name) != changes[name] for name in changes) else row


def _is_usable_number(value: Decimal) -> bool:
    # Most are amounts in cents, and comparisons and `as_tuple` take longer than these two.
    if value.same_quantum(_CENT) and value.adjusted() < _TOO_LARGE:
        return True
    return (
        value.is_finite()
        and -MAX_AMOUNT < value < MAX_AMOUNT
        and -int(value.as_tuple().exponent) <= MAX_DECIMALS
    )


def _has_time_zone(value: datetime) -> bool:
    """PostgreSQL would assume the time zone of its session."""
    return value.tzinfo is not None


def _is_usable_file(value: bytes) -> bool:
    return len(value) <= MAX_PDF_BYTES


def _is_postgresql_integer(value: int) -> bool:
    return -(2**31) <= value < 2**31


_SIZES: Mapping[type, Callable[[Any], bool]] = {
    Decimal: _is_usable_number,
    datetime: _has_time_zone,
    bytes: _is_usable_file,
    int: _is_postgresql_integer,
}
"""By the type of the field."""


def _checked_text(name: str, value: str) -> str:
    if name in EXACT:
        if not (0 < len(value) <= MAX_KEY and value.isprintable()):
            raise UnusableRow(name)
        return value
    return clean(value)


def _check_transaction(row: BankTransaction) -> None:
    if row.amount < 0:
        raise UnusableRow("amount")
    if row.status not in STATUSES:
        raise UnusableRow("status")
    if row.type not in DIRECTIONS:
        raise UnusableRow("type")


class _Checks(NamedTuple):
    """What is to be checked of a row's values, which have the types that their fields may have."""

    sizes: Sequence[tuple[int, Callable[[Any], bool]]]
    """By the position of the field."""
    texts: Sequence[str]
    """The names of the fields that have text."""
    texts_of: Callable[[Sequence[Any]], tuple[Any, ...]]
    exact_of: Callable[[Sequence[Any]], tuple[Any, ...]]


class _Fields:
    """The fields of a record, with a function that reads them all with one call, and their checks."""

    def __init__(self, record: type) -> None:
        hints = get_type_hints(record)
        self.names = tuple(each.name for each in dataclass_fields(record))
        self.values_of: Callable[[Any], tuple[Any, ...]] = attrgetter(*self.names)
        self.checks_of = lru_cache(maxsize=256)(self._checks)
        """Rows of one connector have values of few combinations of types."""
        self._kinds = tuple(get_args(hints[name]) or (hints[name],) for name in self.names)
        """The types of each field's values, None's last."""

    def _checks(self, types: tuple[type, ...]) -> _Checks:
        """The checks of rows with values of these types.

        Raises:
            UnusableRow: a value has a type that its field may not have.
        """
        # A dataclass does not check the types of its fields, and a connector can come from another package.
        for name, each, kinds in zip(self.names, types, self._kinds, strict=True):
            if not issubclass(each, kinds):
                raise UnusableRow(name)
        present = [
            (position, name, kinds[0])
            for position, (name, kinds) in enumerate(zip(self.names, self._kinds, strict=True))
            if types[position] is not NoneType
        ]
        texts = [(position, name) for position, name, kind in present if kind is str]
        return _Checks(
            sizes=[(position, _SIZES[kind]) for position, _, kind in present if kind in _SIZES],
            texts=[name for _, name in texts],
            texts_of=_reader([position for position, _ in texts]),
            exact_of=_reader([position for position, name in texts if name in EXACT]),
        )


def _reader(positions: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    if len(positions) < 2:
        return lambda values: tuple(values[position] for position in positions)
    return itemgetter(*positions)


_FIELDS: Mapping[type, _Fields] = {
    record: _Fields(record)
    for record in (BankAccount, BankNumbers, BankOwner, BankStatement, BankTransaction)
}
