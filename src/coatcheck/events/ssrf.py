"""Where webhooks may go. A URL is the client's word, so it is never trusted to lead outside (ASVS 13.2.4).

Every address the name resolves to must be public, and the connection is made to one that was checked, at each
delivery anew: a name that turns inwards later is refused then.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx
from httpx_secure import httpx_ssrf_protection

from coatcheck.errors import InvalidRequest

PORTS = frozenset({443, 8443})

# `is_global` alone lets these through.
INWARD = tuple(
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
    """Whether packets to it leave for the internet; an IPv4 address inside an IPv6 one is judged itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
    return address.is_global and not any(address in network for network in INWARD)


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
    """Looks the host up, before any connection is tried.

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
    """The client, connecting to checked addresses alone: the look-up may answer differently a second time."""
    return httpx_ssrf_protection(client, custom_validator=lambda _host, address, _port: is_public(address))
