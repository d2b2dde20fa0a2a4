"""Clients of the FDX bank: registration (RFC 7591) and authentication (RFC 6749 2.3.1, RFC 7523)."""

import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from joserfc.jwk import KeySet

from coatcheck import ids
from coatcheck.db.database import Connection
from coatcheck.emulator.fdx_bank.answers import OAuthRefusal
from coatcheck.emulator.fdx_bank.store import FdxClient, add_client, client_or_none, hash_of, new_secret
from coatcheck.errors import CoatcheckError
from coatcheck.grants.client_assertions import TYPE, AssertionRules, claimed_issuer, verify_assertion
from coatcheck.grants.jwt_verification import InvalidJwt, read_public_key
from coatcheck.grants.secrets import Kind
from coatcheck.http.authentication import basic

BASIC, PRIVATE_KEY_JWT = "client_secret_basic", "private_key_jwt"
AUTHENTICATIONS = (BASIC, PRIVATE_KEY_JWT)

RedirectUri = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s#]+$", max_length=1000)]


class _Keys(msgspec.Struct):
    keys: list[dict[str, object]]


class _Metadata(msgspec.Struct):
    """Client metadata (RFC 7591 2). Other fields are ignored."""

    redirect_uris: Annotated[list[RedirectUri], msgspec.Meta(min_length=1, max_length=20)]
    client_name: Annotated[str, msgspec.Meta(max_length=200)] = "An app"
    token_endpoint_auth_method: str = BASIC
    jwks: _Keys | None = None


async def register(connection: Connection, body: bytes, now: datetime) -> Mapping[str, object]:
    """Registers a client and returns its information response (RFC 7591 3.2.1).

    Raises:
        OAuthRefusal: the metadata is unusable.
    """
    try:
        metadata = msgspec.json.decode(body, type=_Metadata)
    except msgspec.DecodeError as error:
        raise OAuthRefusal("invalid_client_metadata", str(error)) from error
    method = metadata.token_endpoint_auth_method
    if method not in AUTHENTICATIONS:
        raise OAuthRefusal(
            "invalid_client_metadata", f"token_endpoint_auth_method must be {' or '.join(AUTHENTICATIONS)}."
        )
    keys = _public_keys(metadata.jwks) if method == PRIVATE_KEY_JWT else None
    secret = new_secret() if method == BASIC else None
    client = FdxClient(
        client_id=ids.new("fdx"),
        client_name=metadata.client_name,
        redirect_uris=metadata.redirect_uris,
        authentication=method,
        secret_hash=hash_of(secret) if secret else None,
        jwks=json.dumps({"keys": keys}) if keys else None,
    )
    await add_client(connection, client, now)
    return {
        "client_id": client.client_id,
        "client_id_issued_at": int(now.timestamp()),
        **({"client_secret": secret, "client_secret_expires_at": 0} if secret else {}),
        **({"jwks": {"keys": keys}} if keys else {}),
        "client_name": client.client_name,
        "redirect_uris": list(client.redirect_uris),
        "token_endpoint_auth_method": method,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }


async def authenticate(
    connection: Connection,
    authorization: list[str],
    form: Mapping[str, str],
    *,
    audiences: Collection[str],
    now: datetime,
) -> FdxClient:
    """The client of a request, which must authenticate as it was registered.

    An assertion may be used again until it expires, unlike at a real provider.

    Args:
        connection: the caller's connection.
        authorization: the values of the Authorization header.
        form: the parameters of the body.
        audiences: the names of this server.
        now: the current time.

    Raises:
        OAuthRefusal: it does not, or its credentials are wrong.
    """
    try:
        if authorization:
            credentials = basic(authorization, Kind.PROCESSOR_KEY)
            client = await client_or_none(connection, credentials.id)
            is_authentic = _has_secret(client, credentials.api_key)
        else:
            assertion = form.get("client_assertion", "")
            if form.get("client_assertion_type") != TYPE:
                raise OAuthRefusal(
                    "invalid_client", "Authenticate with HTTP Basic or with a client assertion.", 401
                )
            client = await client_or_none(connection, claimed_issuer(assertion))
            is_authentic = _has_signed(client, assertion, audiences, now)
    except (CoatcheckError, InvalidJwt) as error:
        raise OAuthRefusal("invalid_client", "The credentials of the client cannot be read.", 401) from error
    if client is None or not is_authentic or form.get("client_id", client.client_id) != client.client_id:
        raise OAuthRefusal(
            "invalid_client", "The client is unknown, or does not authenticate as it was registered.", 401
        )
    return client


def _has_secret(client: FdxClient | None, secret: str) -> bool:
    return (
        client is not None
        and client.secret_hash is not None
        and hmac.compare_digest(client.secret_hash, hash_of(secret))
    )


def _has_signed(client: FdxClient | None, assertion: str, audiences: Collection[str], now: datetime) -> bool:
    """Whether the client signed the assertion for this server.

    Raises:
        InvalidJwt: it did not.
    """
    if client is None or client.jwks is None:
        return False
    keys = KeySet([read_public_key(key) for key in json.loads(client.jwks)["keys"]])
    verify_assertion(
        assertion, keys, processor_guid=client.client_id, now=now, rules=AssertionRules(audiences)
    )
    return True


def _public_keys(jwks: _Keys | None) -> Sequence[Mapping[str, object]]:
    if jwks is None or not jwks.keys:
        raise OAuthRefusal("invalid_client_metadata", "private_key_jwt needs jwks with a public key.")
    try:
        for key in jwks.keys:
            read_public_key(key)
    except InvalidJwt as error:
        raise OAuthRefusal("invalid_client_metadata", f"jwks: {error}.") from error
    return jwks.keys
