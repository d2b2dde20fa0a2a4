"""Who is calling: Basic names a client or a processor, Bearer shows a token."""

import binascii
from base64 import b64decode

from coatcheck.api.request import BasicCredentials
from coatcheck.errors import InvalidClient, InvalidRequest, Unauthenticated
from coatcheck.grants.secrets import Kind

OTHER_SIDE = {Kind.CLIENT_KEY: Kind.PROCESSOR_KEY, Kind.PROCESSOR_KEY: Kind.CLIENT_KEY}


def _credentials(authorization: list[str], scheme: str) -> str | None:
    """What stands behind the scheme's name (RFC 9110 11.4: compared without case)."""
    if len(authorization) > 1:
        raise InvalidRequest("There is more than one Authorization header.")
    if not authorization:
        return None
    given, _, credentials = authorization[0].partition(" ")
    return credentials.strip() if given.lower() == scheme else None


def basic(authorization: list[str], kind: Kind) -> BasicCredentials:
    """The id and key of HTTP Basic (RFC 7617), unchecked.

    Raises:
        InvalidClient: there are none, they cannot be read, or the key is the other side's, which the log says.
        InvalidRequest: the header stands twice.
    """
    if not authorization:
        raise InvalidClient("The id and the API key are missing: send them with HTTP Basic.")
    encoded = _credentials(authorization, "basic")
    if not encoded:
        raise InvalidClient
    try:
        name, colon, api_key = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidClient from error
    if not colon or "\0" in name:
        raise InvalidClient
    if api_key.startswith(f"{OTHER_SIDE[kind]}_"):
        raise InvalidClient(detail=f"The API key is a {OTHER_SIDE[kind]}_ key where a {kind}_ key belongs.")
    return BasicCredentials(name, api_key)


def bearer(authorization: list[str], query_string: bytes) -> str:
    """The token of HTTP Bearer, unchecked. The header is the only place for it (RFC 6750 2.1, 5.3).

    Raises:
        Unauthenticated: there is none.
        InvalidRequest: the header stands twice, or a token stands in the URL.
    """
    if b"access_token=" in query_string:
        raise InvalidRequest("The access token belongs into the Authorization header, never into the URL.")
    secret = _credentials(authorization, "bearer")
    if not secret:
        raise Unauthenticated("The access token is missing.")
    return secret
