"""The client certificate of a TLS connection that a proxy terminated.

A trusted proxy sends it in `Client-Cert` (RFC 9440). This middleware moves it to the place in the ASGI scope that
servers use which terminate TLS themselves (ASGI TLS extension, `client_cert_chain`), and discards the header of
everyone else. It must see the address of the connection, so it is outside of the middleware that reads X-Forwarded-For.
"""

from base64 import b64decode
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from coatcheck.errors import ConfigurationError

HEADER = b"client-cert"
MAX_CHARACTERS = 32 * 1024
PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"

Networks = Sequence[IPv4Network | IPv6Network]


class ClientCertificates:
    def __init__(self, app: ASGIApp, trusted: Networks) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        values = [value for name, value in scope["headers"] if name == HEADER]
        if values:
            scope = {**scope, "headers": [each for each in scope["headers"] if each[0] != HEADER]}
            # With two headers, a proxy has added its own to one that the caller sent: neither is believed.
            pem = _pem(values[0].decode("latin-1")) if len(values) == 1 else None
            if pem and self._is_trusted(scope):
                tls = {"client_cert_chain": [pem]}
                scope["extensions"] = {**scope.get("extensions", {}), "tls": tls}
        await self._app(scope, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        try:
            # A Unix socket has no address. Its peer is not known, so it is not trusted.
            address = ip_address(scope["client"][0])
        except (TypeError, ValueError):
            return False
        return any(address in network for network in self._trusted)


def client_certificate(scope: Scope) -> str | None:
    """The certificate of the client in PEM; None if there is none. It is not read yet."""
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain") or ()
    return next((str(each) for each in chain), None)


def parse_networks(text: str) -> Networks:
    """Addresses and networks, separated by commas.

    Raises:
        ConfigurationError: one of them is neither.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if parts == ["*"]:
        parts = ["0.0.0.0/0", "::/0"]
    try:
        return [ip_network(part, strict=False) for part in parts]
    except ValueError:
        raise ConfigurationError(
            "--trusted-proxies must be addresses or networks separated by commas, such as 10.0.0.5,10.1.0.0/16."
        ) from None


def _pem(value: str) -> str | None:
    """The certificate in the header: DER in base64 between colons (RFC 9440 2.1), or percent-encoded PEM, as nginx."""
    value = value.strip()
    if len(value) > MAX_CHARACTERS:
        return None
    if value.startswith("-----BEGIN%20CERTIFICATE-----"):
        return unquote(value)
    if len(value) > 2 and value[0] == value[-1] == ":":
        try:
            b64decode(value[1:-1], validate=True)
        except ValueError:
            return None
        return PEM.format(value[1:-1])
    return None
