"""Certificates with which a processor opens TLS connections, for tests."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    pem: bytes
    der: bytes

    @property
    def thumbprint_bytes(self) -> bytes:
        return sha256(self.der).digest()

    @property
    def header(self) -> str:
        """The value of `Client-Cert` (RFC 9440 2.1)."""
        return f":{b64encode(self.der).decode()}:"


def make_certificate(
    *, start: datetime | None = None, lifetime: timedelta = timedelta(days=365)
) -> Certificate:
    """A self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "processor.example")])
    start = start or datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .sign(key, SHA256())
    )
    return Certificate(certificate.public_bytes(Encoding.PEM), certificate.public_bytes(Encoding.DER))
