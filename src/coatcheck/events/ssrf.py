"""Keeps webhooks from private addresses (ASVS 13.2.4). The URL comes from the client and is not trusted.

Every address that the host resolves to must be public, and the connection goes to an address that was checked. This is
repeated at each delivery, because a name may resolve to a private address later.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx
from httpx_secure import httpx_ssrf_protection

from coatcheck.errors import InvalidRequest

PORTS = frozenset({443, 8443})

# Ranges that `is_global` does not exclude. Some contain an IPv4 address, to which a gateway would forward.
NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "224.0.0.0/3",
        "::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "fec0::/10",
        "ff00::/8",
    )
)
NAT64 = ip_network("64:ff9b::/96")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is on the internet. Of an IPv6 address that contains an IPv4 address, that one is checked."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
    return address.is_global and not any(address in network for network in NOT_PUBLIC)


def check_url(url: str, *, allow_private: bool = False) -> httpx.URL:
    """Parses the URL and checks everything but the addresses of its host.

    Args:
        url: where a webhook is to be sent.
        allow_private: the setting `webhook_allow_private`: also accepts http, every port and local names.

    Raises:
        InvalidRequest: webhooks must not be sent there.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise InvalidRequest("The webhook URL cannot be parsed.") from None
    if parsed.scheme != "https" and not (allow_private and parsed.scheme == "http"):
        raise InvalidRequest("The webhook URL must start with https://.")
    if parsed.userinfo:
        raise InvalidRequest("The webhook URL must not contain a user name or a password.")
    if allow_private and parsed.raw_host:
        return parsed
    if (parsed.port or 443) not in PORTS:
        raise InvalidRequest("The webhook URL must be on port 443 or 8443.")
    host = parsed.raw_host.decode()
    if not host.isascii() or ("." not in host.rstrip(".") and ":" not in host):
        raise InvalidRequest("The webhook URL must name a host on the internet.")
    return parsed


async def resolve(url: httpx.URL) -> None:
    """Looks the host up and checks its addresses, before any connection is made.

    Raises:
        InvalidRequest: it is unknown, or one of its addresses is not public.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.raw_host.decode(), url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise InvalidRequest("The webhook's host is unknown.") from None
    addresses = {str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found}
    if not addresses or not all(is_public(ip_address(address)) for address in addresses):
        raise InvalidRequest("The webhook's host is not on the internet.")


def public_only(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client, made to connect to checked addresses only, because a second look-up may answer differently."""
    return httpx_ssrf_protection(client, custom_validator=lambda _host, address, _port: is_public(address))
