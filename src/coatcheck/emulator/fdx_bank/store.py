"""What the FDX bank keeps: registered clients, pushed authorization requests, and consents with their secrets.

    client --> request (60 s, used once)
           `-> consent: code (once) --> access token (15 min) and refresh token, replaced at each use

Secrets are 256 random bits and are kept as SHA-256. A code and a token begin with the id of their consent, so that one
that was used before is recognised: it revokes the consent (RFC 6749 4.1.2, RFC 9700 4.14.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from coatcheck.db.database import Connection, columns, fetch_one, run
from coatcheck.seeding import random_bytes

REQUEST_TTL = timedelta(seconds=60)
CODE_TTL = timedelta(minutes=1)
ACCESS_TOKEN_TTL = timedelta(minutes=15)
REQUEST_URI = "urn:ietf:params:oauth:request_uri:"


@dataclass(frozen=True, slots=True)
class FdxClient:
    client_id: str
    client_name: str
    redirect_uris: Sequence[str]
    authentication: str
    """`client_secret_basic` or `private_key_jwt`."""
    secret_hash: bytes | None = field(repr=False)
    jwks: str | None
    """A JWK Set (RFC 7517), as JSON."""


@dataclass(frozen=True, slots=True)
class Consent:
    id: str
    client_id: str
    login: str = field(repr=False)
    clusters: Sequence[str]
    lookback_days: int | None
    duration_days: int
    authorization_details: str | None
    access_hash: bytes | None = field(repr=False)
    access_expires_at: datetime | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revocation_reason: str | None
    revocation_initiator: str | None
    used_refresh_hashes: Sequence[bytes] = field(repr=False)

    @property
    def was_refreshed(self) -> bool:
        return bool(self.used_refresh_hashes)

    def status(self, now: datetime) -> str:
        if self.revoked_at is not None:
            return "REVOKED"
        return "EXPIRED" if self.expires_at <= now else "ACTIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConsent:
    client_id: str
    login: str = field(repr=False)
    clusters: Sequence[str]
    lookback_days: int | None
    duration_days: int
    authorization_details: str | None
    redirect_uri: str
    code_challenge: str


@dataclass(frozen=True, slots=True)
class Tokens:
    consent: Consent
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Parameters:
    parameters: str


def new_secret() -> str:
    """256 random bits. With a seed, they follow from it."""
    return random_bytes(32, "FDX bank").hex()


def hash_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


async def add_client(connection: Connection, client: FdxClient, now: datetime) -> None:
    await run(
        connection,
        f"""INSERT INTO sandbox_fdx_client ({columns(FdxClient)}, created_at)
            VALUES (%(client_id)s, %(client_name)s, %(redirect_uris)s, %(authentication)s, %(secret_hash)s,
                    %(jwks)s, %(now)s)""",
        {
            "client_id": client.client_id,
            "client_name": client.client_name,
            "redirect_uris": list(client.redirect_uris),
            "authentication": client.authentication,
            "secret_hash": client.secret_hash,
            "jwks": client.jwks,
            "now": now,
        },
    )


async def client_or_none(connection: Connection, client_id: str) -> FdxClient | None:
    return await fetch_one(
        connection,
        FdxClient,
        f"SELECT {columns(FdxClient)} FROM sandbox_fdx_client WHERE client_id = %(client_id)s",
        {"client_id": client_id},
    )


async def push_request(connection: Connection, client_id: str, parameters: str, now: datetime) -> str:
    """Stores an authorization request and returns its `request_uri` (RFC 9126 2.2)."""
    request_uri = f"{REQUEST_URI}{new_secret()}"
    await run(connection, "DELETE FROM sandbox_fdx_request WHERE expires_at <= %(now)s", {"now": now})
    await run(
        connection,
        """INSERT INTO sandbox_fdx_request (request_uri, client_id, parameters, expires_at)
           VALUES (%(request_uri)s, %(client_id)s, %(parameters)s, %(expires_at)s)""",
        {
            "request_uri": request_uri,
            "client_id": client_id,
            "parameters": parameters,
            "expires_at": now + REQUEST_TTL,
        },
    )
    return request_uri


async def pushed_request(
    connection: Connection, client_id: str, request_uri: str, now: datetime
) -> str | None:
    """The parameters of a pushed request; None if it is unknown, expired, used or another client's."""
    found = await fetch_one(
        connection,
        _Parameters,
        """SELECT parameters FROM sandbox_fdx_request
           WHERE request_uri = %(request_uri)s AND client_id = %(client_id)s AND expires_at > %(now)s""",
        {"request_uri": request_uri, "client_id": client_id, "now": now},
    )
    return found.parameters if found else None


async def delete_request(connection: Connection, client_id: str, request_uri: str) -> bool:
    """Returns False if there is none."""
    return bool(
        await run(
            connection,
            "DELETE FROM sandbox_fdx_request WHERE request_uri = %(request_uri)s AND client_id = %(client_id)s",
            {"request_uri": request_uri, "client_id": client_id},
        )
    )


async def add_consent(connection: Connection, new: NewConsent, now: datetime) -> str:
    """Stores a consent that the user gave, and returns its authorization code."""
    consent_id = str(UUID(bytes=random_bytes(16, "FDX consent"), version=4))
    code = _secret_of(consent_id)
    await run(
        connection,
        """INSERT INTO sandbox_fdx_consent
               (id, client_id, login, clusters, lookback_days, duration_days, authorization_details, redirect_uri,
                code_challenge, code_hash, code_expires_at, created_at, expires_at)
           VALUES (%(id)s, %(client_id)s, %(login)s, %(clusters)s, %(lookback_days)s, %(duration_days)s,
                   %(authorization_details)s, %(redirect_uri)s, %(code_challenge)s, %(code_hash)s,
                   %(code_expires_at)s, %(now)s, %(expires_at)s)""",
        {
            "id": consent_id,
            "client_id": new.client_id,
            "login": new.login,
            "clusters": list(new.clusters),
            "lookback_days": new.lookback_days,
            "duration_days": new.duration_days,
            "authorization_details": new.authorization_details,
            "redirect_uri": new.redirect_uri,
            "code_challenge": new.code_challenge,
            "code_hash": hash_of(code),
            "code_expires_at": now + CODE_TTL,
            "now": now,
            "expires_at": now + timedelta(days=new.duration_days),
        },
    )
    return code


async def redeem_code(
    connection: Connection,
    *,
    client_id: str,
    code: str,
    redirect_uri: str,
    code_challenge: str,
    now: datetime,
) -> Tokens | None:
    """The tokens for a code; None if it is invalid. A code that was used before revokes its consent."""
    values = {
        "code_hash": hash_of(code),
        "redirect_uri": redirect_uri,
        "code_challenge": code_challenge,
        "now": now,
    }
    found = await _replace_tokens(
        connection,
        _consent_id_of(code),
        client_id,
        "code_is_used = true",
        """code_hash = %(code_hash)s AND NOT code_is_used AND code_expires_at > %(now)s
           AND redirect_uri = %(redirect_uri)s AND code_challenge = %(code_challenge)s""",
        values,
    )
    if found is None:
        # RFC 6749 4.1.2: a code that is presented twice is in other hands too.
        await _revoke_reused(connection, code, client_id, "code_is_used AND code_hash = %(hash)s", now)
    return found


async def rotate(
    connection: Connection, *, client_id: str, refresh_token: str, now: datetime
) -> Tokens | None:
    """New tokens for a refresh token; None if it is invalid. One that was used before revokes its consent."""
    found = await _replace_tokens(
        connection,
        _consent_id_of(refresh_token),
        client_id,
        "used_refresh_hashes = array_append(used_refresh_hashes, %(used)s)",
        "refresh_hash = %(used)s",
        {"used": hash_of(refresh_token), "now": now},
    )
    if found is None:
        # RFC 9700 4.14.2: the bank cannot tell whether the client or a thief presented it before.
        await _revoke_reused(
            connection, refresh_token, client_id, "%(hash)s = ANY (used_refresh_hashes)", now
        )
    return found


async def consent_or_none(connection: Connection, consent_id: str) -> Consent | None:
    return await fetch_one(
        connection,
        Consent,
        f"SELECT {columns(Consent)} FROM sandbox_fdx_consent WHERE id = %(id)s",
        {"id": consent_id},
    )


async def consent_of_token(connection: Connection, token: str, client_id: str) -> Consent | None:
    """The consent whose access token or refresh token this is, for its revocation."""
    return await fetch_one(
        connection,
        Consent,
        f"""SELECT {columns(Consent)} FROM sandbox_fdx_consent
            WHERE id = %(id)s AND client_id = %(client_id)s
              AND %(hash)s IN (access_hash, refresh_hash)""",
        {"id": _consent_id_of(token), "client_id": client_id, "hash": hash_of(token)},
    )


async def consent_with_access(connection: Connection, access_token: str, now: datetime) -> Consent | None:
    """The consent of an access token that has not expired; also a revoked one."""
    return await fetch_one(
        connection,
        Consent,
        f"""SELECT {columns(Consent)} FROM sandbox_fdx_consent
            WHERE id = %(id)s AND access_hash = %(hash)s AND access_expires_at > %(now)s""",
        {"id": _consent_id_of(access_token), "hash": hash_of(access_token), "now": now},
    )


async def revoke(
    connection: Connection, consent_id: str, *, reason: str, initiator: str, now: datetime
) -> bool:
    """Ends the consent and its tokens. Returns False if it had ended before."""
    return bool(
        await run(
            connection,
            """UPDATE sandbox_fdx_consent
               SET revoked_at = %(now)s, revocation_reason = %(reason)s, revocation_initiator = %(initiator)s
               WHERE id = %(id)s AND revoked_at IS NULL AND expires_at > %(now)s""",
            {"id": consent_id, "reason": reason, "initiator": initiator, "now": now},
        )
    )


async def _replace_tokens(
    connection: Connection,
    consent_id: str,
    client_id: str,
    change: str,
    condition: str,
    values: dict[str, object],
) -> Tokens | None:
    access_token, refresh_token = _secret_of(consent_id), _secret_of(consent_id)
    now = values["now"]
    assert isinstance(now, datetime)
    # One statement checks the code or token and replaces it: of two requests with it, one gets tokens.
    consent = await fetch_one(
        connection,
        Consent,
        f"""UPDATE sandbox_fdx_consent
            SET access_hash = %(access_hash)s, access_expires_at = %(access_expires_at)s,
                refresh_hash = %(refresh_hash)s, {change}
            WHERE id = %(id)s AND client_id = %(client_id)s AND revoked_at IS NULL AND expires_at > %(now)s
              AND {condition}
            RETURNING {columns(Consent)}""",
        {
            **values,
            "id": consent_id,
            "client_id": client_id,
            "access_hash": hash_of(access_token),
            "access_expires_at": now + ACCESS_TOKEN_TTL,
            "refresh_hash": hash_of(refresh_token),
        },
    )
    return Tokens(consent, access_token, refresh_token) if consent else None


async def _revoke_reused(
    connection: Connection, secret: str, client_id: str, condition: str, now: datetime
) -> None:
    await run(
        connection,
        f"""UPDATE sandbox_fdx_consent
            SET revoked_at = %(now)s, revocation_reason = 'BUSINESS_RULE', revocation_initiator = 'DATA_PROVIDER'
            WHERE id = %(id)s AND client_id = %(client_id)s AND revoked_at IS NULL AND {condition}""",
        {"id": _consent_id_of(secret), "client_id": client_id, "hash": hash_of(secret), "now": now},
    )


def _secret_of(consent_id: str) -> str:
    # With the id, by whose index the row is found: the hashes have none.
    return f"{consent_id}.{new_secret()}"


def _consent_id_of(secret: str) -> str:
    # The secret comes from a request, and PostgreSQL refuses a NUL in a text.
    return secret.partition(".")[0].replace("\0", "")
