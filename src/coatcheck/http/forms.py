"""Forms of our pages: the fields, the token against other sites, and the values of numbers."""

import secrets
from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import parse_qs

from starlette.requests import Request

from coatcheck.crypto import unmasked
from coatcheck.errors import InvalidRequest, WrongBrowser
from coatcheck.http.bodies import read_body

FORM_TOKEN = "form_token"  # noqa: S105 (the name of a field)
SAME_ORIGIN = "same-origin"
MAX_BYTES = 64 * 1024
MAX_FIELDS = 300

Form: TypeAlias = Mapping[str, tuple[str, ...]]
"""The values of each field."""


def refuse_other_sites(request: Request) -> None:
    """Raises WrongBrowser if a page of another site sent the request.

    Every current browser sends the header; the token in the form protects the others.
    """
    if request.headers.get("sec-fetch-site", SAME_ORIGIN) != SAME_ORIGIN:
        raise WrongBrowser


async def read_form(request: Request) -> Form:
    """The fields of a form that a page of ours contained, whose token is not checked.

    Raises:
        WrongBrowser: another site sent it.
        InvalidRequest: it is not a form.
    """
    refuse_other_sites(request)
    body = await read_body(request, MAX_BYTES)
    try:
        # ASCII: browsers percent-encode everything else (WHATWG URL: application/x-www-form-urlencoded).
        fields = parse_qs(body.decode("ascii"), max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise InvalidRequest from None
    return {name: tuple(values) for name, values in fields.items()}


async def read_form_with_token(request: Request, token: str) -> Form:
    """As `read_form`, of a page that contained this token (OWASP: synchronizer token).

    Raises:
        WrongBrowser: another site sent it, or the token is another one.
        InvalidRequest: it is not a form.
    """
    form = await read_form(request)
    given = unmasked(form.get(FORM_TOKEN, ("",))[0])
    if not secrets.compare_digest(given, unmasked(token)):
        raise WrongBrowser
    return form


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
