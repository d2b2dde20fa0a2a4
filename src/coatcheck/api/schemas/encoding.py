"""Records into shapes, shapes into JSON."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Shape = TypeVar("Shape", bound=msgspec.Struct)

LARGEST_EXACT = 2**53 - 1
"""Beyond it a reader with binary doubles loses digits (RFC 8259 6)."""

# Money keeps its digits, as a JSON number; times are UTC and end in Z.
encode = msgspec.json.Encoder(decimal_format="number").encode


def to_schema(record: Any, shape: type[Shape], **more: Any) -> Shape:
    """The shape, taken from the record's fields of the same names and from `more`."""
    if not more:
        return msgspec.convert(record, shape, from_attributes=True)
    names = (name for name in shape.__struct_fields__ if name not in more)
    return shape(**{name: getattr(record, name) for name in names if hasattr(record, name)}, **more)


def to_schemas(records: Sequence[Any], shape: type[Shape]) -> list[Shape]:
    return msgspec.convert(records, list[shape], from_attributes=True)  # type: ignore[valid-type]  # a type made at run time


def number_or_text(digits: str | None, *, as_strings: bool) -> int | str | None:
    """A JSON integer where every reader gives back the same digits, else text: no leading zero is ever lost."""
    if digits is None or as_strings or not (digits.isascii() and digits.isdigit()) or len(digits) > 16:
        return digits
    number = int(digits)
    return number if str(number) == digits and number <= LARGEST_EXACT else digits


@lru_cache(maxsize=1024)
def picture(svg: str | None) -> str | None:
    """A drawing as a URL that needs no host."""
    return svg and f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
