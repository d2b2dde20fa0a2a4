"""What an access token is bound to, and what a processor shows when it presents one (RFC 7800, `cnf`). No I/O.

A confirmation is stored with the token as text: `jkt:` and the thumbprint of a key, or `x5t#S256:` and that of a
certificate; NULL for a bearer token. A read accepts a token whose confirmation is among those that the request shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coatcheck.errors import InvalidDPoPProof, InvalidRequest
from coatcheck.grants.client_certificates import ClientCertificate
from coatcheck.grants.dpop import DPoPProof
from coatcheck.grants.secrets import PresentedSecret
from coatcheck.model.processor_authentication import SenderConstraint
from coatcheck.model.processor_security import ProcessorSecurity

KEY = "jkt"
CERTIFICATE = "x5t#S256"
UNBOUND = "none"
"""Shown with every bearer token: it accepts a token that is bound to nothing."""


def of_key(thumbprint: str) -> str:
    """Of a token that is bound to a DPoP key (RFC 9449 6.1)."""
    return f"{KEY}:{thumbprint}"


def of_certificate(thumbprint: str) -> str:
    """Of a token that is bound to a TLS certificate (RFC 8705 3.1)."""
    return f"{CERTIFICATE}:{thumbprint}"


def claim(confirmation: str) -> Mapping[str, str]:
    """The claim `cnf` of a stored confirmation."""
    name, _, thumbprint = confirmation.partition(":")
    return {name: thumbprint}


def is_key(confirmation: str | None) -> bool:
    """Whether the token is bound to a DPoP key, so that its type is `DPoP`."""
    return confirmation is not None and confirmation.startswith(f"{KEY}:")


def confirmation_for(
    processor: ProcessorSecurity, proof: DPoPProof | None, certificate: ClientCertificate | None
) -> str | None:
    """What a new token of the processor is bound to; None for a bearer token.

    Raises:
        InvalidDPoPProof: its tokens must be bound to a key, and the request has no proof.
        InvalidRequest: its tokens must be bound to a certificate, and the connection has none.
    """
    # A token is bound to one thing. With a certificate, a proof that the request has too binds nothing.
    if processor.sender_constraint == SenderConstraint.MTLS:
        if certificate is None:
            raise InvalidRequest(
                "The tokens of this processor are bound to a TLS client certificate. Present one."
            )
        return of_certificate(certificate.thumbprint)
    if processor.sender_constraint == SenderConstraint.DPOP and proof is None:
        raise InvalidDPoPProof("The tokens of this processor are bound to a key. Send a DPoP proof.")
    # A processor whose tokens need not be bound can bind one all the same, by sending a proof.
    return of_key(proof.key_thumbprint) if proof else None


@dataclass(slots=True)
class ProofUse:
    """The proof of a request. It is marked as used before anything is read or changed for the request."""

    proof: DPoPProof
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class PresentedToken(PresentedSecret):
    """A well-formed access token, with what the request shows beside it. It is not authenticated yet."""

    confirmations: list[str] = field(default_factory=lambda: [UNBOUND])
    """The stored confirmations that the request satisfies."""
    proof_use: ProofUse | None = None
    """The proof, if the token is presented with DPoP."""
