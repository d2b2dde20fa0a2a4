"""The values of the fields of a form."""

from coatcheck.errors import InvalidRequest


def number(text: str | None) -> int | None:
    """A positive number of at most nine digits; None for anything else."""
    if text and text.isascii() and text.isdecimal() and len(text) <= 9 and int(text):
        return int(text)
    return None


def optional_number(text: str) -> int | None:
    """The number in a field; None if it is empty.

    Raises:
        InvalidRequest: it contains something else.
    """
    if not text:
        return None
    found = number(text)
    if found is None:
        raise InvalidRequest
    return found
