"""The cell digit: the character of base 62 by which a guid or a secret names the cell that made it.

    guid    ACT-0197c1de-5a1b-7...    a UUID of version 7: made in the first cell, or before there were digits
            ACT-0197c1de-5a1b-8b2f-81...  version 8 (RFC 9562 5.8): laid out as version 7, but the six bits after the
                                          variant are the digit
    secret  cct_1...                  the digit follows the prefix; the checksum covers it

A digit says where to ask first. It proves nothing, and after a move the cell that it names says where the user is.
"""

import re
import string
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
FIRST = "0"
"""The cell of `database_url` where there are no others. Its guids are ordinary UUIDs of version 7."""
GUID = re.compile(r"[A-Z]{3}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DIGIT_BIT = 56
"""The lowest bit of the digit, which has six; the two above are the variant."""
VERSION_BIT = 76

_current: ContextVar[str] = ContextVar("cell", default=FIRST)


def current_digit() -> str:
    """The digit of what is made now."""
    return _current.get()


@contextmanager
def in_cell(digit: str) -> Iterator[None]:
    """What is made within names this cell."""
    token = _current.set(digit)
    try:
        yield
    finally:
        _current.reset(token)


def with_digit(uuid: int, digit: str) -> str:
    """The text of a UUID, as one of version 8 that names the cell."""
    value = uuid & ~(0xF << VERSION_BIT | 0x3F << DIGIT_BIT)
    return str(UUID(int=value | 0x8 << VERSION_BIT | DIGITS.index(digit) << DIGIT_BIT))


def digit_of_guid(guid: str) -> str:
    """The digit of a text that matches `GUID`."""
    value = UUID(guid[4:]).int
    number = value >> DIGIT_BIT & 0x3F
    # A guid without a digit is of the first cell, as is everything from before the installation had several.
    return DIGITS[number] if value >> VERSION_BIT & 0xF == 8 and number < len(DIGITS) else FIRST
