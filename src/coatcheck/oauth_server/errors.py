"""Errors in the format of OAuth (RFC 6749 5.2)."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import Response

from coatcheck import errors
from coatcheck.http.encoding import JSON, encode
from coatcheck.http.errors import INTERNAL, STATUSES, headers_of, message_of, nearest
from coatcheck.http.headers import NO_STORE
from coatcheck.oauth_server.schemas import OAuthError

OAUTH_STATUSES: Mapping[type[errors.CoatcheckError], int] = MappingProxyType(
    {**STATUSES, errors.InvalidDPoPProof: 400}
)
"""RFC 9449 5: a token request with a wrong proof is 400. The reads answer 401."""
ERRORS: Mapping[type[errors.CoatcheckError], str] = MappingProxyType(
    {
        errors.InvalidClient: "invalid_client",
        errors.InvalidGrant: "invalid_grant",
        errors.UnsupportedGrantType: "unsupported_grant_type",
        errors.DPoPNonceRequired: "use_dpop_nonce",
        errors.InvalidDPoPProof: "invalid_dpop_proof",
        errors.TooManyRequests: "slow_down",
        errors.Unavailable: "temporarily_unavailable",
        errors.Refusal: "invalid_request",
    }
)
NOT_PERMITTED = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
"""Characters that a description must not contain (RFC 6749 5.2)."""


def oauth_error_of_status(status: int, message: str, headers: Mapping[str, str]) -> Response:
    """An error with any status."""
    kinds = {401: "invalid_client", 429: "slow_down", 503: "temporarily_unavailable"}
    kind = kinds.get(status, "server_error" if status >= INTERNAL else "invalid_request")
    return Response(encode(OAuthError(kind, message)), status, {**NO_STORE, **headers}, JSON)


def oauth_error(error: errors.CoatcheckError) -> Response:
    """The answer to an error."""
    status = nearest(OAUTH_STATUSES, error, INTERNAL)
    kind = nearest(ERRORS, error, "server_error")
    headers = {**NO_STORE, **headers_of(error)}
    if status == 401:
        # RFC 6749 5.2 requires the challenge for a client that used the header, and permits it for the others.
        headers["WWW-Authenticate"] = 'Basic realm="coatcheck", charset="UTF-8"'
    body = OAuthError(kind, NOT_PERMITTED.sub("?", message_of(error)))
    return Response(encode(body), status, headers, JSON)
