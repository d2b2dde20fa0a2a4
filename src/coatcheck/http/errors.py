"""The HTTP status, the message and the headers of each error. A surface adds its own names for them."""

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import TypeVar

from coatcheck import errors

T = TypeVar("T")

STATUSES: Mapping[type[errors.CoatcheckError], int] = MappingProxyType(
    {
        errors.InvalidRequest: 400,
        errors.InvalidGrant: 400,
        errors.Unauthenticated: 401,
        errors.Forbidden: 403,
        errors.NotFound: 404,
        errors.MethodNotAllowed: 405,
        errors.UnknownVersion: 406,
        errors.RequestTimeout: 408,
        errors.Conflict: 409,
        errors.ConstraintNotMet: 409,
        errors.TooLarge: 413,
        errors.UrlTooLong: 414,
        errors.EncodedBody: 415,
        errors.Unprocessable: 422,
        errors.TooManyRequests: 429,
        errors.HeadTooLarge: 431,
        errors.Unavailable: 503,
    }
)
"""By the class or its nearest ancestor in the table. An error without an entry is a 500."""
INTERNAL = 500
INTERNAL_MESSAGE = "Something went wrong on our side."


def nearest(table: Mapping[type[errors.CoatcheckError], T], error: errors.CoatcheckError, default: T) -> T:
    """The entry of the error's class, else of its nearest ancestor, else `default`."""
    return next((table[cls] for cls in type(error).__mro__ if cls in table), default)


def status_of(error: errors.CoatcheckError) -> int:
    return nearest(STATUSES, error, INTERNAL)


def message_of(error: errors.CoatcheckError) -> str:
    """The message for the caller. An error without its own status has a general message."""
    return INTERNAL_MESSAGE if status_of(error) == INTERNAL else error.problem


def headers_of(error: errors.CoatcheckError) -> dict[str, str]:
    """`Retry-After` in whole seconds, at least 1, `Allow` or `Accept-Encoding`, if the status requires one."""
    match error:
        case errors.TooManyRequests() | errors.Unavailable():
            return {"Retry-After": str(max(1, ceil(error.retry_after.total_seconds())))}
        case errors.EncodedBody():
            return {"Accept-Encoding": "identity"}  # RFC 9110 15.5.16
        case errors.DPoPNonceRequired():
            return {"DPoP-Nonce": error.nonce}
        case errors.MethodNotAllowed():
            return {"Allow": ", ".join(error.allowed)}
        case _:
            return {}
