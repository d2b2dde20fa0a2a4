"""Our errors as MX's statuses and bodies. The only place that knows both."""

import msgspec

from coatcheck import errors
from coatcheck.api.request import ApiResponse

ERRORS: dict[type[errors.CoatcheckError], tuple[int, str]] = {
    errors.InvalidScope: (400, "invalid_scope"),
    errors.UnsupportedGrantType: (400, "unsupported_grant_type"),
    errors.InvalidRequest: (400, "invalid_request"),
    errors.InvalidGrant: (400, "invalid_grant"),
    errors.InvalidClient: (401, "invalid_client"),
    errors.InvalidToken: (401, "invalid_token"),
    errors.Unauthenticated: (401, "unauthorized_error"),
    errors.InsufficientScope: (403, "insufficient_scope"),
    errors.Forbidden: (403, "forbidden_error"),
    errors.NotFound: (404, "not_found_error"),
    errors.MethodNotAllowed: (405, "method_not_allowed_error"),
    errors.ConstraintNotMet: (405, "method_not_allowed_error"),
    errors.UnknownVersion: (406, "not_acceptable_error"),
    errors.Conflict: (409, "conflict_error"),
    errors.TooLarge: (413, "content_too_large_error"),
    errors.Unprocessable: (422, "unprocessable_entity_error"),
    errors.TooManyRequests: (429, "too_many_requests_error"),
    errors.Unavailable: (503, "service_unavailable_error"),
}

NAMES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "content_too_large",
    422: "unprocessable_entity",
    429: "too_many_requests",
    500: "internal_server_error",
    503: "service_unavailable",
}


class Problem(msgspec.Struct, frozen=True):
    message: str
    status: str
    type: str


class Envelope(msgspec.Struct, frozen=True):
    error: Problem


def response_to(error: errors.CoatcheckError, *, challenges: str | None = None) -> ApiResponse:
    """The reply a caller gets.

    Args:
        error: what happened; anything that is not a `Refusal` is a plain 500 that says nothing.
        challenges: `Basic` or `Bearer`, the scheme this route takes (RFC 9110 11.6.1).
    """
    status, kind = next(
        (ERRORS[cls] for cls in type(error).__mro__ if cls in ERRORS), (500, "internal_server_error")
    )
    if isinstance(error, errors.InstitutionBlocked):
        kind = error.kind
    message = error.problem if status != 500 else "Something went wrong on our side."
    body = msgspec.json.encode(Envelope(Problem(message, NAMES[status], kind)))
    return ApiResponse(
        status, body, "application/json; charset=utf-8", _headers(error, status, kind, challenges)
    )


def _headers(
    error: errors.CoatcheckError, status: int, kind: str, challenges: str | None
) -> tuple[tuple[str, str], ...]:
    match error:
        case errors.TooManyRequests() | errors.Unavailable():
            return (("Retry-After", str(max(1, int(error.retry_after.total_seconds())))),)
        case errors.MethodNotAllowed():
            return (("Allow", ", ".join(error.allowed)),)
    if challenges == "Basic" and status == 401:
        return (("WWW-Authenticate", 'Basic realm="coatcheck", charset="UTF-8"'),)
    if challenges == "Bearer" and status in {401, 403}:
        # RFC 6750 3.1: no error code where no credentials came.
        suffix = f', error="{kind}"' if kind in {"invalid_token", "insufficient_scope"} else ""
        return (("WWW-Authenticate", f'Bearer realm="coatcheck"{suffix}'),)
    return ()
