"""How a processor authenticates at the OAuth endpoints: by its API key, a signed assertion, or a TLS certificate.

A processor has one method. A request by another method is refused even if it would be correct: otherwise a leaked API
key would still work for a processor that was moved to a stronger method.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from joserfc.jwk import KeySet

from coatcheck.audit.entries import Entry
from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.db.database import Connection, columns, fetch_one
from coatcheck.errors import InvalidClient, InvalidDPoPProof
from coatcheck.grants.api_keys import LIVE, is_allowed
from coatcheck.grants.client_assertions import AssertionRules, verify_assertion
from coatcheck.grants.client_certificates import ClientCertificate
from coatcheck.grants.dpop import DPoPProof
from coatcheck.grants.jwt_verification import (
    ALGORITHMS,
    LENIENCY,
    InvalidJwt,
)
from coatcheck.grants.refusals import RecordingLimit
from coatcheck.grants.secrets import Kind, parse_secret
from coatcheck.grants.used_jtis import UsedJtis
from coatcheck.model.processor_authentication import ClientAuthentication
from coatcheck.model.processor_security import ProcessorSecurity
from coatcheck.request_context import current_request


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """An id and an API key (`client_secret_basic`, `client_secret_post`)."""

    processor_guid: str
    api_key: str = field(repr=False)

    method = ClientAuthentication.CLIENT_SECRET


@dataclass(frozen=True, slots=True)
class PresentedAssertion:
    """A signed assertion (`private_key_jwt`)."""

    processor_guid: str
    text: str = field(repr=False)

    method = ClientAuthentication.PRIVATE_KEY_JWT


@dataclass(frozen=True, slots=True)
class PresentedCertificate:
    """An id, and the certificate of the connection (`self_signed_tls_client_auth`)."""

    processor_guid: str
    certificate: ClientCertificate

    method = ClientAuthentication.TLS_CERTIFICATE


Presented: TypeAlias = PresentedKey | PresentedAssertion | PresentedCertificate


@dataclass(frozen=True, slots=True)
class _Found(ProcessorSecurity):
    has_key: bool
    """Whether the presented API key is a valid one of the processor."""


FIND = f"""
SELECT {columns(ProcessorSecurity, "p.")},
       EXISTS (SELECT FROM api_key k
               WHERE k.key_hash = %(key_hash)s AND k.owner_guid = p.guid AND {LIVE}) AS has_key
FROM processor p WHERE p.guid = %(guid)s AND NOT p.is_disabled AND {is_allowed("p")}
"""


class ProcessorAuthentication:
    """Authenticates processors."""

    def __init__(self, settings: Settings, clock: Clock, hash_key: bytes, journal: Journal) -> None:
        self._issuer = settings.base_url
        self._clock = clock
        self._hash_key = hash_key
        self._journal = journal
        self._used_jtis = UsedJtis(hash_key)
        self._limit = RecordingLimit(clock)

    async def authenticate(
        self, connection: Connection, presented: Presented, *, endpoint: str
    ) -> ProcessorSecurity:
        """The processor, if it is the one that it says. The audit log has each refusal of a processor that exists.

        Args:
            connection: in autocommit mode: the record of a refusal must stay.
            presented: what the request contains.
            endpoint: the address of the endpoint, which an assertion may name as its audience.

        Raises:
            InvalidClient: the processor does not exist or is disabled, authenticates by another method, comes from a
                network that is not allowed, or what it presents is wrong. The caller does not learn which.
        """
        now = self._clock.instant()
        found = await self._find(connection, presented, now)
        if found is None:
            raise InvalidClient(detail="There is no such processor, or it is not accepted from this network.")
        # A processor that does not exist is recorded as a failed authentication, without a reason.
        reason = await self._refusal(connection, found, presented, endpoint, now)
        if reason is None:
            return found
        await self._record(connection, found.guid, reason)
        raise InvalidClient(detail=reason, is_recorded=True)

    async def use_proof(
        self, connection: Connection, processor: ProcessorSecurity, proof: DPoPProof | None
    ) -> None:
        """Marks the DPoP proof of a processor's token request as used; None does nothing.

        Raises:
            InvalidDPoPProof: it was used before. The audit log has the refusal.
        """
        if proof is not None and not await self._used_jtis.use_proof(connection, proof):
            reason = "The DPoP proof was used before."
            await self._record(connection, processor.guid, reason)
            raise InvalidDPoPProof(detail=reason)

    async def _record(self, connection: Connection, guid: str, reason: str) -> None:
        detail = self._limit.admit(guid)
        if detail is None:
            return
        await self._journal.record(
            connection,
            Entry(
                client_guid=None,
                actor=guid,
                action="processor.authentication_refused",
                subject=guid,
                detail={"reason": reason, **detail},
            ),
        )

    async def _find(self, connection: Connection, presented: Presented, now: datetime) -> _Found | None:
        key = None
        if isinstance(presented, PresentedKey):
            key = parse_secret(Kind.PROCESSOR_KEY, presented.api_key, self._hash_key)
        return await fetch_one(
            connection,
            _Found,
            FIND,
            {
                "guid": presented.processor_guid,
                # A hash that no key has: every method is checked by the same statement.
                "key_hash": key.hash if key else b"",
                "now": now,
                "address": current_request.get().address,
            },
        )

    async def _refusal(
        self, connection: Connection, found: _Found, presented: Presented, endpoint: str, now: datetime
    ) -> str | None:
        """Why the processor is refused; None if it is not."""
        if found.client_authentication != presented.method:
            return f"The processor authenticates with {found.client_authentication}, not {presented.method}."
        match presented:
            case PresentedKey():
                return None if found.has_key else "The API key is wrong or has expired."
            case PresentedCertificate(certificate=certificate):
                # Thumbprints are public, so the comparison need not take constant time. That the processor has the
                # private key, the proxy has verified in the handshake.
                if certificate.thumbprint not in found.certificate_thumbprints:
                    return "The certificate is not registered."
                return (
                    None if certificate.is_valid(now) else "The certificate has expired or is not valid yet."
                )
            case PresentedAssertion():
                return await self._assertion_refusal(connection, found, presented, endpoint, now)

    async def _assertion_refusal(
        self,
        connection: Connection,
        found: _Found,
        presented: PresentedAssertion,
        endpoint: str,
        now: datetime,
    ) -> str | None:
        # FAPI 2.0 Security Profile 5.3.2.1: only the issuer, as text. An assertion for an endpoint that an attacker
        # named to the processor could be used here.
        rules = (
            AssertionRules({self._issuer}, ALGORITHMS, permits_list=False)
            if found.is_fapi2
            else AssertionRules({self._issuer, f"{self._issuer}/oauth/token", endpoint})
        )
        assert found.jwks is not None, "the method is set after the keys"
        try:
            assertion = verify_assertion(
                presented.text,
                KeySet.import_key_set(json.loads(found.jwks)),
                processor_guid=found.guid,
                now=now,
                rules=rules,
            )
        except InvalidJwt as error:
            return f"The client assertion is refused: {error}."
        # After the signature: a stranger must not use up the ids of a processor, or fill the table.
        is_new = await self._used_jtis.use(
            connection,
            signer=found.guid,
            jti=assertion.jti,
            expires_at=assertion.expires_at + LENIENCY.total_seconds(),
        )
        return None if is_new else "The client assertion was used before."
