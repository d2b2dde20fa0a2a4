"""Answers of the FDX bank, and its refusals: OAuth errors (RFC 6749 5.2) and FDX errors (FDX 6, Error)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from starlette.responses import Response

INTERACTION_ID = "x-fapi-interaction-id"
_encoder = msgspec.json.Encoder(decimal_format="number")
_NOT_STORED = {"cache-control": "no-store"}


class OAuthRefusal(Exception):
    """An endpoint of the authorization server refuses the request."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


class FdxRefusal(Exception):
    """A resource refuses the request. `code` is FDX's own, which says more than the status."""

    def __init__(
        self, status: int, code: int, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def json_response(
    body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The body as JSON, with amounts as JSON numbers of the same digits."""
    return Response(
        _encoder.encode(body), status, {**_NOT_STORED, **(headers or {})}, media_type="application/json"
    )


def oauth_refused(refusal: OAuthRefusal) -> Response:
    headers = {"www-authenticate": 'Basic realm="sandbox bank"'} if refusal.status == 401 else {}
    body = {"error": refusal.error, "error_description": refusal.description}
    return json_response(body, refusal.status, headers)


def fdx_refused(refusal: FdxRefusal) -> Response:
    headers = dict(refusal.headers)
    if refusal.status == 401:
        headers["www-authenticate"] = 'Bearer error="invalid_token"'
    return json_response({"code": refusal.code, "message": refusal.message}, refusal.status, headers)


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are there. FDX has no null. An amount that is no number is left out as well."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (isinstance(value, Decimal) and not value.is_finite())
    }
