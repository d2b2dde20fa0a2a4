"""The header Idempotency-Key, for the endpoints that exchange a code."""

from collections.abc import Mapping

from coatcheck.errors import InvalidRequest

MAX_LENGTH = 255


def read_idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The key, or None if it is absent or empty.

    Raises:
        InvalidRequest: it has more than 255 characters.
    """
    key = headers.get("idempotency-key")
    if key is not None and len(key) > MAX_LENGTH:
        raise InvalidRequest("Idempotency-Key must have at most 255 characters.")
    return key or None
