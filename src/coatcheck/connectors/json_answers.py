"""Answers of an upstream's JSON API: the object in them, and the error that a status means."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx

from coatcheck.errors import BankDataUnusable, BankError, BankFailed, BankRateLimited, BankUnavailable

Row = Mapping[str, Any]


class UpstreamRefused(BankFailed):
    """The upstream refused the request."""

    def __init__(self, status: int, code: str = "") -> None:
        # Not the upstream's message: it may quote the request.
        super().__init__(detail=f"The upstream answered {status} {code}".strip() + ".")
        self.status_code = status
        self.code = code
        """The upstream's own name of the error, where its API has names."""


def check_status(response: httpx.Response, code: str = "") -> None:
    """Raises the error that a status other than 2xx means.

    Raises:
        UpstreamRefused: it is 4xx, except 429.
        BankError: the upstream failed, or limits how often it is asked.
    """
    if not response.is_success:
        raise _error(response.status_code, code)


def json_object(response: httpx.Response) -> Row:
    """The object. Its numbers with a fraction are `Decimal`s.

    Raises:
        BankDataUnusable: the body is no JSON object.
    """
    try:
        found = json.loads(response.content, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise BankDataUnusable from None
    if not isinstance(found, dict):
        raise BankDataUnusable
    return found


def rows_of(answer: Row, key: str) -> list[Row]:
    """The rows of a list in an answer.

    Raises:
        BankDataUnusable: it is no list of objects.
    """
    rows = answer.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BankDataUnusable
    return rows


def object_of(answer: Row, key: str) -> Row:
    """An object in an answer; empty if it is missing."""
    found = answer.get(key)
    return found if isinstance(found, dict) else {}


def text_of(answer: Row, key: str) -> str:
    """A text in an answer that must be there.

    Raises:
        BankDataUnusable: it is missing or empty.
    """
    found = answer.get(key)
    if not isinstance(found, str) or not found:
        raise BankDataUnusable
    return found


def _error(status: int, code: str) -> BankError:
    if status == 429:
        return BankRateLimited()
    if 400 <= status < 500:
        return UpstreamRefused(status, code)
    if status in {502, 503, 504}:
        return BankUnavailable()
    return BankFailed(detail=f"The upstream answered {status}.")
