"""Decodes and validates request bodies.

In MX's API an unknown field is ignored, because clients of a newer version send fields that this server does not know,
and a boolean or a number may be text, as MX's own proxy for widgets sends it (`"true"`, `"4"`). In Coatcheck's own API
both are refused (`StrictSchema`): a misspelt field must not pass as an absent one. A field that
accepts null to clear a stored value defaults to `UNSET`; `given_fields` returns the fields that were sent.

No repr and no error message contains a value of a request: bodies contain credentials and account numbers.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, inspect

from coatcheck import text
from coatcheck.errors import InvalidRequest

Body = TypeVar("Body", bound=Struct)

CANONICAL = "canonical"
"""The key under which a type's `Meta.extra` has the function that returns the canonical value of `text`."""
ALLOWED = "allowed"
"""The key under which a type's `Meta.extra` says what its pattern allows, for the error of another value."""
STORABLE = Meta(pattern=text.STORABLE, extra={ALLOWED: "text without a NUL character"})
Text: TypeAlias = Annotated[str, STORABLE]
Line: TypeAlias = Annotated[str, STORABLE, Meta(max_length=1000)]
Name: TypeAlias = Annotated[str, Meta(max_length=1000, extra={CANONICAL: text.name})]
"""Text for people to read, on one line. The decoded value is canonical."""
Email: TypeAlias = Annotated[str, Meta(max_length=1000, extra={CANONICAL: text.email})]
"""An e-mail address or empty text. The decoded value is canonical."""
Guid: TypeAlias = Annotated[str, STORABLE, Meta(max_length=64)]
OwnId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, extra={CANONICAL: text.identifier})]
"""An identifier that the client chooses; it is used in URL paths and in an index."""
# `$` alone also matches before a trailing line break.
Currency: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Z]{3}(?!\n)$", extra={ALLOWED: "three capital letters, such as USD"})
]
NonNegativeInt: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]

MAX_DECIMAL = Decimal(10) ** 15
MIN_DECIMAL_EXPONENT = -8
MAX_PROBLEM_CHARACTERS = 500
"""How much of the decoder's message an error repeats: it can contain the name of an unknown field."""


# Its checks raise ValueError, from which msgspec makes a ValidationError with the path of the object.
class RequestSchema(Struct, frozen=True, kw_only=True):
    """A JSON object in a request. Decimals that do not fit a database column are refused.

    Text of a type with a canonical form is replaced by it, and an instant by the same in UTC.
    """

    def __post_init__(self) -> None:
        for name, encoded, canonical in _canonical_fields(type(self)):
            value = getattr(self, name)
            if value and value is not UNSET:
                try:
                    msgspec.structs.force_setattr(self, name, canonical(value))
                except InvalidRequest as error:
                    # `_explain` ends the sentence.
                    raise ValueError(f"`{encoded}` is invalid: {error.problem.removesuffix('.')}") from None
        for name, encoded in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            value = getattr(self, name)
            if isinstance(value, Decimal) and not _is_storable(value):
                raise ValueError(f"`{encoded}` is out of range or has more than 8 decimal places")
            if isinstance(value, datetime):
                msgspec.structs.force_setattr(self, name, _in_utc(value, encoded))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class ChangeSchema(RequestSchema, frozen=True, kw_only=True):
    """An object whose fields are all optional, but that must not be empty (MX docs: empty objects)."""

    def __post_init__(self) -> None:
        RequestSchema.__post_init__(self)
        if not given_fields(self):
            raise ValueError(f"it must contain at least one of {', '.join(self.__struct_encode_fields__)}")


class StrictSchema(RequestSchema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object whose unknown fields, and booleans and numbers in text, are refused.

    Every object of a request of the management API is one.
    """


@cache
def _canonical_fields(schema: type[Struct]) -> tuple[tuple[str, str, Callable[[str], str]], ...]:
    """The attribute and the key of each field that has a canonical form, and the function that returns it."""
    info = inspect.type_info(schema)
    assert isinstance(info, inspect.StructType)
    return tuple(
        (field.name, field.encode_name, canonical)
        for field in info.fields
        for canonical in _canonical_forms(field.type)
    )


def _in_utc(instant: datetime, encoded: str) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:  # before the year 1 or after 9999
        raise ValueError(f"`{encoded}` is out of range") from None


def _canonical_forms(node: inspect.Type) -> Iterator[Callable[[str], str]]:
    """The function of a type, or of a type in its union. A description of the union is a layer around it."""
    match node:
        case inspect.Metadata(type=inner, extra=extra):
            if extra and CANONICAL in extra:
                yield extra[CANONICAL]
            yield from _canonical_forms(inner)
        case inspect.UnionType(types=types):
            for each in types:
                yield from _canonical_forms(each)


def _is_storable(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < MIN_DECIMAL_EXPONENT:
        return False
    # Compared, not computed with: `abs` of 1e999999999999 overflows.
    return -MAX_DECIMAL < number < MAX_DECIMAL


def given_fields(request: RequestSchema, *names: str) -> dict[str, Any]:
    """The fields that the request contains, by attribute name, for `replace(record, **fields)`.

    Args:
        request: the decoded object.
        names: the fields to consider; all if empty.
    """
    values = ((name, getattr(request, name)) for name in names or request.__struct_fields__)
    return {name: value for name, value in values if value is not UNSET}


@cache
def _decoder(schema: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(schema, strict=issubclass(schema, StrictSchema))


def parse(body: bytes, schema: type[Body]) -> Body:
    """Decodes a JSON body. A byte order mark is ignored (RFC 8259 8.1).

    Raises:
        InvalidRequest: the body is not JSON or does not match the schema. The message names the field and
            never contains its value.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body:
        raise InvalidRequest("The request must have a JSON body.")
    try:
        decoded: Body = _decoder(schema).decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_explain(str(error), schema)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last for deeply nested arrays
        raise InvalidRequest("The body is not valid JSON.") from None
    # After the decoder, which refuses most bodies faster.
    refuse_repeated_keys(body)
    return decoded


def convert(value: Any, schema: type[Body]) -> Body:
    """Validates plain values that were read from another format than JSON.

    Raises:
        InvalidRequest: they do not match the schema. The message begins with the path of the value, or with `The body`.
    """
    try:
        return msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_explain(str(error), schema)) from None


def refuse_repeated_keys(body: bytes) -> None:
    """Refuses an object with two values of one key: programs differ in which of them they read (RFC 8259 4).

    Raises:
        InvalidRequest: there is one, or a number has more than 4,300 digits.
    """
    try:
        json.loads(body, object_pairs_hook=_with_unique_keys)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            "The body is not valid JSON: a key is repeated, or a number is too long."
        ) from None


def _with_unique_keys(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError


def _explain(message: str, schema: type[Any]) -> str:
    """The decoder's message without quotations from the body, with the allowed values of an enumeration."""
    problem, _, path = message.partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or "The body"
    found = list(_nodes_at(inspect.type_info(schema), re.sub(r"\[.*?\]", "", where).split(".")))
    if "matching regex" in problem:
        allowed = [each.extra[ALLOWED] for each in found if isinstance(each, inspect.Metadata) and each.extra]
        return f"{where}: it must be {', '.join(allowed) or 'in another format'}."
    if "RFC3339" in problem:
        return f"{where}: it must be a time with a time zone, such as 2027-02-01T00:00:00Z."
    # Only these messages are repeated: the others quote the value.
    if problem.startswith(("Expected", "Object missing", "Object contains unknown field", "`", "it ")):
        return f"{where}: {problem[0].lower()}{problem[1:MAX_PROBLEM_CHARACTERS]}."
    allowed = [value for each in found for value in _values(each)]
    if not allowed:
        return f"{where}: it is not one of the allowed values."
    return f"{where}: it must be {'one of ' if len(allowed) > 1 else ''}{', '.join(allowed)}."


def _nodes_at(node: inspect.Type, path: Sequence[str]) -> Iterator[inspect.Type]:
    """The type at the path, those in its union, and what is below its constraints."""
    match node:
        case inspect.Metadata(type=inner):
            if not path:
                yield node
            yield from _nodes_at(inner, path)
        case inspect.VarTupleType(item_type=item):
            yield from _nodes_at(item, path)
        case inspect.UnionType(types=types):
            for each in types:
                yield from _nodes_at(each, path)
        case inspect.StructType(fields=fields) if path:
            for field in fields:
                if field.encode_name == path[0]:
                    yield from _nodes_at(field.type, path[1:])
        case _:
            yield node


def _values(node: inspect.Type) -> list[str]:
    """The values of a literal or an enumeration."""
    match node:
        case inspect.LiteralType(values=values):
            return [str(value) for value in values]
        case inspect.EnumType(cls=cls):
            return [each.value for each in cls]
    return []
