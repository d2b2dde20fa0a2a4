"""Fills schemas from records and encodes them as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

Timestamp: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
JSON = "application/json; charset=utf-8"
PLAIN_JSON = JSON.partition(";")[0]
"""The media type of JSON answers, with the character set as sent, and without."""

Schema = TypeVar("Schema", bound=msgspec.Struct)

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
