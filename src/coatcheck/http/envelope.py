"""Errors in MX's format: MX's name for each type of error, and its HTTP status."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated

import msgspec
from starlette.responses import Response

from coatcheck import errors
from coatcheck.grants.jwt_verification import ALGORITHMS
from coatcheck.http.doc import doc
from coatcheck.http.errors import INTERNAL, STATUSES, headers_of, message_of, nearest
from coatcheck.http.headers import NO_STORE

MEDIA_TYPE = "application/json; charset=utf-8"
API_STATUSES: Mapping[type[errors.CoatcheckError], int] = MappingProxyType(
    {**STATUSES, errors.ConstraintNotMet: 405}
)
"""MX answers 405 where an object's state does not allow the call."""
TYPES: Mapping[type[errors.CoatcheckError], str] = MappingProxyType(
    {
        errors.InvalidScope: "invalid_scope",
        errors.UnsupportedGrantType: "unsupported_grant_type",
        errors.InstitutionInMaintenance: "institution_maintenance_error",
        errors.InstitutionUnavailable: "institution_unavailable_error",
        errors.InstitutionPrevented: "institution_prevented_error",
        errors.InstitutionPreventsNew: "institution_prevent_new_error",
        errors.InstitutionPreventsVerification: "institution_prevent_verification_error",
        errors.InvalidRequest: "invalid_request",
        errors.InvalidGrant: "invalid_grant",
        errors.InvalidClient: "invalid_client",
        errors.DPoPNonceRequired: "use_dpop_nonce",
        errors.InvalidDPoPProof: "invalid_dpop_proof",
        errors.TokenRevoked: "token_revoked",
        errors.TokenExpired: "token_expired",
        errors.InvalidToken: "invalid_token",
        errors.Unauthenticated: "unauthorized_error",
        errors.InsufficientScope: "insufficient_scope",
        errors.ReadsExhausted: "reads_exhausted",
        errors.ConnectionBroken: "connection_broken",
        errors.Forbidden: "forbidden_error",
        errors.NotFound: "not_found_error",
        errors.MethodNotAllowed: "method_not_allowed_error",
        errors.ConstraintNotMet: "method_not_allowed_error",
        errors.UnknownVersion: "not_acceptable_error",
        errors.RequestTimeout: "request_timeout_error",
        errors.Conflict: "conflict_error",
        errors.TooLarge: "content_too_large_error",
        errors.UrlTooLong: "uri_too_long_error",
        errors.EncodedBody: "unsupported_media_type_error",
        errors.Unprocessable: "unprocessable_entity_error",
        errors.TooManyRequests: "too_many_requests_error",
        errors.HeadTooLarge: "request_header_fields_too_large_error",
        errors.NotFresh: "not_fresh",
        errors.Unavailable: "service_unavailable_error",
    }
)

INTERNAL_TYPE = "internal_server_error"

BEARER_ERRORS = {
    "invalid_token": ', error="invalid_token"',
    "token_revoked": ', error="invalid_token", error_description="token_revoked"',
    "token_expired": ', error="invalid_token", error_description="token_expired"',
    "insufficient_scope": ', error="insufficient_scope"',
}
"""The error of the `WWW-Authenticate` header (RFC 6750 3.1) by the type in the body."""

NAMES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    413: "content_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    422: "unprocessable_entity",
    429: "too_many_requests",
    431: "request_header_fields_too_large",
    500: "internal_server_error",
    503: "service_unavailable",
}


class ErrorResponse(msgspec.Struct, frozen=True):
    message: Annotated[str, doc("For people. It says what to do next.", "The object does not exist.")]
    status: Annotated[str, doc("The name of the HTTP status.", "not_found", enum=sorted(NAMES.values()))]
    type: Annotated[
        str, doc("For programs.", "not_found_error", enum=sorted({*TYPES.values(), INTERNAL_TYPE}))
    ]


class ErrorResponseBody(msgspec.Struct, frozen=True):
    """An error. Decide by the HTTP status and `type`; show or log `message`."""

    error: Annotated[ErrorResponse, doc("What happened.")]


class FileErrorResponse(ErrorResponse, frozen=True, omit_defaults=True):
    line: Annotated[int | None, doc("The line of the file with the problem, from 1.", 20)] = None
    element: Annotated[
        str | None,
        doc("The element of the file with the problem, after those around it.", "OFX/STMTTRN/TRNAMT"),
    ] = None


class FileErrorResponseBody(msgspec.Struct, frozen=True):
    """An error. For a file that cannot be read it has `line` or `element`, or both."""

    error: Annotated[FileErrorResponse, doc("What happened.")]


def refused_file(error: errors.UnreadableFile) -> Response:
    """The response to a file that cannot be read."""
    body = FileErrorResponse(
        message_of(error), NAMES[422], TYPES[errors.Unprocessable], line=error.line, element=error.element
    )
    return Response(msgspec.json.encode(FileErrorResponseBody(body)), 422, NO_STORE, MEDIA_TYPE)


def response_to(error: errors.CoatcheckError, *, challenges: str | None = None) -> Response:
    """The response a caller gets.

    Args:
        error: what happened. An error that is not a `Refusal` is a 500 that discloses nothing.
        challenges: `Basic` or `Bearer`, the scheme this route takes (RFC 9110 11.6.1).
    """
    status = nearest(API_STATUSES, error, INTERNAL)
    kind = nearest(TYPES, error, INTERNAL_TYPE)
    body = msgspec.json.encode(ErrorResponseBody(ErrorResponse(message_of(error), NAMES[status], kind)))
    needed_scope = error.needed_scope if isinstance(error, errors.InsufficientScope) else None
    headers = {**NO_STORE, **headers_of(error), **_challenge(status, kind, challenges, needed_scope)}
    return Response(body, status, headers, MEDIA_TYPE)


def error_response(status: int, message: str, headers: Mapping[str, str]) -> Response:
    """An error with any status, in MX's format."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown error"
    name = NAMES.get(status) or re.sub(r"\W+", "_", phrase.lower())
    body = ErrorResponse(message, name, f"{name.removesuffix('_error')}_error")
    return Response(msgspec.json.encode(ErrorResponseBody(body)), status, {**NO_STORE, **headers}, MEDIA_TYPE)


def _challenge(status: int, kind: str, scheme: str | None, needed_scope: str | None) -> dict[str, str]:
    if scheme == "Basic" and status == 401:
        return {"WWW-Authenticate": 'Basic realm="coatcheck", charset="UTF-8"'}
    if scheme == "Bearer" and kind in {"invalid_dpop_proof", "use_dpop_nonce"}:
        return {"WWW-Authenticate": f'DPoP error="{kind}", algs="{" ".join(ALGORITHMS)}"'}  # RFC 9449 7.1
    if scheme == "Bearer" and status in {401, 403}:
        # RFC 6750 3.1: no error code where the request has no credentials.
        scope = f', scope="{needed_scope}"' if needed_scope else ""
        return {"WWW-Authenticate": f'Bearer realm="coatcheck"{BEARER_ERRORS.get(kind, "")}{scope}'}
    return {}
