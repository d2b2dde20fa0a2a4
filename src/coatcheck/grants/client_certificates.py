"""The certificates with which processors open TLS connections (RFC 8705). No I/O.

The proxy that terminates TLS verifies that the processor has the private key. It need not verify who issued the
certificate: the operator registers the certificates themselves.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from coatcheck.crypto import base64url_sha256

UNREADABLE = (ValueError, x509.InvalidVersion)
"""What the library raises for text that anyone can send."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    thumbprint: str
    valid_from: datetime
    valid_until: datetime

    def is_valid(self, now: datetime) -> bool:
        return self.valid_from <= now <= self.valid_until


def read_certificate(pem: str) -> ClientCertificate | None:
    """The certificate of the connection; None if the text is none."""
    try:
        # In a chain the certificate of the client comes first (RFC 8446 4.4.2).
        certificate = x509.load_pem_x509_certificate(pem.encode())
        return ClientCertificate(
            thumbprint(certificate), certificate.not_valid_before_utc, certificate.not_valid_after_utc
        )
    except UNREADABLE:
        return None


def thumbprint(certificate: x509.Certificate) -> str:
    """`x5t#S256` (RFC 8705 3.1)."""
    return base64url_sha256(certificate.public_bytes(Encoding.DER))
