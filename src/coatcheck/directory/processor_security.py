"""The operator's choices of how a processor authenticates and what its tokens are bound to."""

import json
from typing import Any

from cryptography import x509

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.db.database import Connection
from coatcheck.directory.processor_rows import set_processor_security
from coatcheck.errors import ConstraintNotMet, InvalidRequest
from coatcheck.grants.client_certificates import UNREADABLE, thumbprint
from coatcheck.grants.jwt_verification import InvalidJwt, read_public_key
from coatcheck.model.processor_authentication import ClientAuthentication, Profile, SenderConstraint
from coatcheck.model.processor_security import ProcessorSecurity, find_processor_security

MAX_KEYS = 20
STORED_PARAMETERS = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "alg")
"""Of a public key (RFC 7517 4, RFC 7518 6, RFC 8037 2)."""
MAX_JWKS_CHARACTERS = 64 * 1024


class ProcessorSecuritySettings:
    """Each method writes in the caller's transaction, with its audit entry, and returns the settings afterwards.

    The settings depend on each other, so each change that is checked against them locks them first: two changes at once
    could otherwise leave a shared secret under the profile `fapi2`.

    `actor` is the guid of who makes the change, or `operator`. Each method raises NotFound for an unknown processor.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def set_client_authentication(
        self, connection: Connection, guid: str, method: ClientAuthentication, *, actor: str
    ) -> ProcessorSecurity:
        """Changes how the processor authenticates. The previous method is refused at once.

        Raises:
            ConstraintNotMet: the method needs keys or certificates that are not registered, or the profile forbids it.
        """
        current = await find_processor_security(connection, guid, lock=True)
        if method == ClientAuthentication.PRIVATE_KEY_JWT and not current.jwks:
            raise ConstraintNotMet(
                f"The processor has no keys. Register them first: coatcheck processor set-jwks {guid} FILE"
            )
        if method == ClientAuthentication.TLS_CERTIFICATE and not current.certificate_thumbprints:
            raise ConstraintNotMet(
                "The processor has no certificates. Register them first: "
                f"coatcheck processor set-certificates {guid} FILE"
            )
        if current.is_fapi2 and method == ClientAuthentication.CLIENT_SECRET:
            raise ConstraintNotMet(
                "The profile fapi2 permits no shared secret. Set the profile to default first."
            )
        return await self._set(connection, guid, "client_authentication", method, actor)

    async def set_sender_constraint(
        self, connection: Connection, guid: str, constraint: SenderConstraint, *, actor: str
    ) -> ProcessorSecurity:
        """Changes what the processor's tokens must be bound to. Its tokens that are not bound end at once.

        Raises:
            ConstraintNotMet: the profile requires a constraint.
        """
        current = await find_processor_security(connection, guid, lock=True)
        if current.is_fapi2 and constraint == SenderConstraint.NONE:
            raise ConstraintNotMet(
                "The profile fapi2 requires bound tokens. Set the profile to default first."
            )
        return await self._set(connection, guid, "sender_constraint", constraint, actor)

    async def set_profile(
        self, connection: Connection, guid: str, profile: Profile, *, actor: str
    ) -> ProcessorSecurity:
        """Switches a security profile on or off.

        Raises:
            ConstraintNotMet: the processor still uses a shared secret, or its tokens are not bound.
        """
        current = await find_processor_security(connection, guid, lock=True)
        if profile == Profile.FAPI2 and current.client_authentication == ClientAuthentication.CLIENT_SECRET:
            raise ConstraintNotMet(
                "The profile fapi2 permits no shared secret. First: "
                f"coatcheck processor set-authentication {guid} private_key_jwt"
            )
        if profile == Profile.FAPI2 and current.sender_constraint == SenderConstraint.NONE:
            raise ConstraintNotMet(
                "The profile fapi2 requires bound tokens. First: "
                f"coatcheck processor set-sender-constraint {guid} dpop"
            )
        return await self._set(connection, guid, "profile", profile, actor)

    async def set_jwks(
        self, connection: Connection, guid: str, text: str, *, actor: str
    ) -> ProcessorSecurity:
        """Replaces the processor's public keys by those of a JWK set. The previous keys are refused at once.

        Raises:
            InvalidRequest: it is no JWK set, or a key is private, of another kind, or not named.
        """
        # Without the lock: no other setting depends on which keys they are, and they are never taken away.
        jwks = canonical_jwks(text)
        thumbprints = " ".join(read_public_key(key).thumbprint() for key in json.loads(jwks)["keys"])
        return await self._set(connection, guid, "jwks", jwks, actor, recorded=thumbprints)

    async def set_certificates(
        self, connection: Connection, guid: str, pem: bytes, *, actor: str
    ) -> ProcessorSecurity:
        """Replaces the processor's certificates by those of a PEM file. The previous ones are refused at once.

        Raises:
            InvalidRequest: it contains no certificate.
        """
        registered = thumbprints_of(pem)
        return await self._set(
            connection, guid, "certificate_thumbprints", registered, actor, recorded=" ".join(registered)
        )

    async def _set(
        self,
        connection: Connection,
        guid: str,
        column: str,
        value: str | list[str],
        actor: str,
        *,
        recorded: str | None = None,
    ) -> ProcessorSecurity:
        """Stores the value; the audit log gets `recorded` in its place, if it is given."""
        await set_processor_security(connection, guid, column, value)
        detail = {column: str(value) if recorded is None else recorded}
        await self._journal.record(
            connection,
            Entry(
                client_guid=None,
                actor=actor,
                action="processor.security_changed",
                subject=guid,
                detail=detail,
            ),
        )
        return await find_processor_security(connection, guid)


def canonical_jwks(text: str) -> str:
    """A JWK set as it is stored: only the parameters of the public keys.

    Raises:
        InvalidRequest: it is no JWK set, a key is private or of another kind, or one of several keys has no own `kid`.
    """
    keys = _keys_of(text)
    if not 1 <= len(keys) <= MAX_KEYS:
        raise InvalidRequest(f"The JWK set must have 1 to {MAX_KEYS} keys.")
    for number, key in enumerate(keys, 1):
        try:
            read_public_key(key)
        except InvalidJwt as error:
            raise InvalidRequest(f"Key {number} of the JWK set cannot be used: {error}.") from None
    names = {name for key in keys if isinstance(name := key.get("kid"), str)}
    if len(keys) > 1 and len(names) < len(keys):
        raise InvalidRequest("Each key of a JWK set with several keys must have its own kid.")
    # Only what the verification needs: members such as `x5u` name addresses that a library might fetch.
    stored = [{name: key[name] for name in STORED_PARAMETERS if name in key} for key in keys]
    return json.dumps({"keys": stored}, separators=(",", ":"))


def _keys_of(text: str) -> list[dict[str, Any]]:
    try:
        # Too long a text becomes one that is refused, before it is decoded.
        keys = json.loads(text if len(text) <= MAX_JWKS_CHARACTERS else "")["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise InvalidRequest(
            'The file must be a JWK set such as {"keys": [...]} (RFC 7517), of at most 64 kB.'
        )
    return keys


def thumbprints_of(pem: bytes) -> list[str]:
    """The thumbprint of each certificate in a PEM file.

    Raises:
        InvalidRequest: there is none, or more than 20.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except UNREADABLE:
        raise InvalidRequest("The file must contain certificates in PEM.") from None
    if len(certificates) > MAX_KEYS:
        raise InvalidRequest(f"The file must have at most {MAX_KEYS} certificates.")
    return [thumbprint(each) for each in certificates]
