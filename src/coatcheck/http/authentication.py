"""Parses the Authorization header: HTTP Basic of clients and processors, bearer tokens of processors."""

from base64 import b64decode
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from coatcheck.errors import InvalidClient, InvalidRequest, Unauthenticated
from coatcheck.grants.secrets import Kind
from coatcheck.http.request import BasicCredentials

API_KEYS = {f"{kind}_": kind for kind in (Kind.CLIENT_KEY, Kind.PROCESSOR_KEY)}
"""By the prefix of the key."""
TOKEN_PARAMETER = b"access_token="
"""As it stands in a query or a form (RFC 6750 2.2, 2.3)."""


def _credentials(authorization: list[str], scheme: str) -> str | None:
    """The credentials of the scheme, whose name is case-insensitive (RFC 9110 11.4); None for another scheme."""
    if len(authorization) > 1:
        raise InvalidRequest("The request has more than one Authorization header.")
    if not authorization:
        return None
    name, _, credentials = authorization[0].partition(" ")
    return credentials.strip() if name.lower() == scheme else None


def basic(authorization: list[str], *kinds: Kind) -> BasicCredentials:
    """The id and the API key of HTTP Basic (RFC 7617), not yet verified.

    OAuth clients encode both as in a form (RFC 6749 2.3.1). A guid and a key contain no character that the decoding
    changes, so that credentials without the encoding are read as they are.

    Args:
        authorization: the values of the header.
        kinds: the kinds of API key that the endpoint takes.

    Raises:
        InvalidClient: there are none, they cannot be decoded, or the key is of another kind, which is logged.
        InvalidRequest: the header is repeated.
    """
    if not authorization:
        raise InvalidClient("Send the id and the API key with HTTP Basic.")
    encoded = _credentials(authorization, "basic")
    if not encoded:
        raise InvalidClient
    try:
        name, colon, api_key = b64decode(encoded, validate=True).decode().partition(":")
        name, api_key = (unquote_plus(part, errors="strict") for part in (name, api_key))
    except ValueError as error:  # not ASCII, not base64 or not UTF-8
        raise InvalidClient from error
    if not colon or "\0" in name:  # PostgreSQL text cannot contain NUL
        raise InvalidClient
    # A key without a known prefix counts as one of the right kind: the statement refuses it as any wrong key.
    kind = API_KEYS.get(api_key[:4], kinds[0])
    if kind not in kinds:
        expected = " or ".join(f"a {each}_ key" for each in kinds)
        raise InvalidClient(detail=f"The API key is a {kind}_ key; this endpoint requires {expected}.")
    return BasicCredentials(name, api_key, kind)


def refuse_token_in_form(body: bytes) -> None:
    """Refuses an access token in the body of a form (RFC 6750 2.2), which this server does not take there.

    Raises:
        InvalidRequest: there is one.
    """
    if TOKEN_PARAMETER in body:
        raise InvalidRequest("Send the access token in the Authorization header, not in the body.")


@dataclass(frozen=True, slots=True)
class SentToken:
    secret: str = field(repr=False)
    is_dpop: bool
    """Whether it was sent with the scheme DPoP (RFC 9449 7.1) and not as a bearer token."""


def access_token(authorization: list[str], query_string: bytes) -> SentToken:
    """The access token, not yet verified. It is accepted in the header only (RFC 6750 2.1, 5.3).

    Raises:
        Unauthenticated: there is none.
        InvalidRequest: the header is repeated, or the URL contains a token.
    """
    if TOKEN_PARAMETER in query_string:
        raise InvalidRequest("Send the access token in the Authorization header, not in the URL.")
    for scheme in ("bearer", "dpop"):
        if secret := _credentials(authorization, scheme):
            return SentToken(secret, scheme == "dpop")
    raise Unauthenticated("The access token is missing.")
