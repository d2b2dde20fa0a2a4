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
from operator import attrgetter
from typing import Any, TypeVar, get_args, get_type_hints

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

ALLOWED_VALUES = {
    "status": frozenset({"POSTED", "PENDING"}),
    "type": frozenset({"CREDIT", "DEBIT"}),
}
"""The allowed values of a transaction's fields."""
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
    # A dataclass does not check the types of its fields, and a connector can come from another package.
    if not all(map(isinstance, values, fields.kinds)):
        raise UnusableRow(
            next(
                name
                for name, value, kind in zip(fields.names, values, fields.kinds, strict=True)
                if not isinstance(value, kind)
            )
        )
    if isinstance(row, BankNumbers):
        row = _canonical_numbers(row)
    if isinstance(row, BankOwner):
        row = _canonical_owner(row)
    for name, value in zip(fields.sizes, fields.sizes_of(row), strict=True):
        if value is not None:
            _check_size(name, value)
    if isinstance(row, BankTransaction):
        _check_transaction(row)
    texts = fields.texts_of(row)
    # Most rows need no cleaning. One check of the joined text is faster than a check of each field.
    joined = "".join([each for each in texts if each])
    if len(joined) <= MAX_KEY and joined.isprintable() and "" not in fields.exact_of(row):
        return row
    changes: dict[str, Any] = {
        name: clean
        for name, value in zip(fields.texts, texts, strict=True)
        if value is not None and (clean := _checked_text(name, value)) != value
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
    values = zip(fields.texts, fields.texts_of(row), strict=True)
    changes = {name: text.cleaned(value) for name, value in values if value is not None and name not in EXACT}
    return _replaced(row, changes)


def _replaced(row: Row, changes: Mapping[str, Any]) -> Row:
    """The row with the changes; the same object if nothing changes."""
    return replace(row, **changes) if any(getattr(row, name) != changes[name] for name in changes) else row


def _check_size(name: str, value: Any) -> None:
    match value:
        case Decimal():
            usable = (
                value.is_finite() and -MAX_AMOUNT < value < MAX_AMOUNT and _decimals(value) <= MAX_DECIMALS
            )
        case datetime():
            usable = value.tzinfo is not None  # PostgreSQL would assume the time zone of its session
        case bytes():
            usable = len(value) <= MAX_PDF_BYTES
        case _:
            usable = -(2**31) <= value < 2**31  # PostgreSQL's integer
    if not usable:
        raise UnusableRow(name)


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _checked_text(name: str, value: str) -> str:
    if name in EXACT:
        if not (0 < len(value) <= MAX_KEY and value.isprintable()):
            raise UnusableRow(name)
        return value
    return clean(value)


def _check_transaction(row: BankTransaction) -> None:
    if row.amount < 0:
        raise UnusableRow("amount")
    for name, allowed in ALLOWED_VALUES.items():
        if getattr(row, name) not in allowed:
            raise UnusableRow(name)


class _Fields:
    """The fields of a record, and functions that read several fields of a row with one call. They run for every row."""

    def __init__(self, record: type) -> None:
        hints = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(record).items()}
        plain = {name: kinds[0] for name, kinds in hints.items()}
        self.names = tuple(each.name for each in dataclass_fields(record))
        self.kinds = tuple(hints[name] for name in self.names)
        self.values_of = _reader(self.names)
        self.texts = tuple(name for name in self.names if plain[name] is str)
        self.texts_of = _reader(self.texts)
        self.sizes = tuple(name for name in self.names if plain[name] in {Decimal, datetime, bytes, int})
        self.sizes_of = _reader(self.sizes)
        self.exact_of = _reader(tuple(name for name in self.names if name in EXACT))


def _reader(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda row: (read(row),)


_FIELDS = {
    record: _Fields(record)
    for record in (BankAccount, BankNumbers, BankOwner, BankStatement, BankTransaction)
}
