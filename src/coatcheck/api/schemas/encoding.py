"""Fills schemas from records and encodes them as JSON."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

Timestamp: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Schema = TypeVar("Schema", bound=msgspec.Struct)

MAX_EXACT_INTEGER = 2**53 - 1
"""A reader that stores numbers as binary doubles loses digits above it (RFC 8259 6)."""

# Decimals become JSON numbers with all their digits; times are UTC and end in Z.
encode = msgspec.json.Encoder(decimal_format="number").encode


def to_schema(record: Any, schema: type[Schema], **values: Any) -> Schema:
    """An instance of the schema, from `values` and from the record's attributes of the same names."""
    if not values:
        return msgspec.convert(record, schema, from_attributes=True)
    names = (name for name in schema.__struct_fields__ if name not in values)
    return schema(**{name: getattr(record, name) for name in names if hasattr(record, name)}, **values)


def to_schemas(records: Sequence[Any], schema: type[Schema]) -> list[Schema]:
    return msgspec.convert(records, list[schema], from_attributes=True)  # type: ignore[valid-type]  # a type made at run time


def number_or_text(digits: str | None, *, as_strings: bool) -> int | str | None:
    """An integer if every reader gets the same digits back, else a string: no leading zero is lost."""
    if digits is None or as_strings or not (digits.isascii() and digits.isdigit()) or len(digits) > 16:
        return digits
    number = int(digits)
    return number if str(number) == digits and number <= MAX_EXACT_INTEGER else digits


@lru_cache(maxsize=1024)
def svg_data_url(svg: str | None) -> str | None:
    """An SVG image as a `data:` URL."""
    return svg and f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
