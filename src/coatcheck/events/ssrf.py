"""Keeps requests to URLs that others chose from private addresses (ASVS 13.2.4): webhooks, and servers of end users.

A webhook URL with an address for a host is refused when it is registered, by `check_url`. Before each request every
address that the host resolves to must be public, and the connection goes to an address that was checked, because a name
may resolve to a private address later.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx
from httpx_secure import httpx_ssrf_protection

from coatcheck.errors import InvalidRequest

PORTS = frozenset({443, 8443})
LONGEST_LOOK_UP = 10
"""Seconds."""
LOCAL_NAMES = ("localhost", "localdomain", "local", "internal", "home.arpa")
"""Names below these are never on the internet (RFC 6761, 6762, 8375; ICANN: internal)."""
NOT_ON_THE_INTERNET = "The webhook's host is not on the internet."

# Ranges that `is_global` does not exclude. Some contain an IPv4 address, to which a gateway would forward. A cloud's
# own service is at 168.63.129.16.
NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.175.48.0/24",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
GLOBAL_UNICAST = ip_network("2000::/3")
"""The only part of IPv6 that is routed on the internet (IANA)."""
NAT64 = ip_network("64:ff9b::/96")
ISATAP = frozenset({b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe"})
"""An interface identifier that begins so ends in an IPv4 address (RFC 5214 6.1)."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is on the internet. Of an IPv6 address that contains an IPv4 address, that one is checked."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
        if address not in GLOBAL_UNICAST or address.packed[8:12] in ISATAP:
            return False
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
    # Port 0 is false: `parsed.port or 443` would accept it, and the system would choose another.
    if (443 if parsed.port is None else parsed.port) not in PORTS:
        raise InvalidRequest("The webhook URL must be on port 443 or 8443.")
    _check_host(parsed.raw_host.decode().lower().rstrip("."))
    return parsed


def _check_host(host: str) -> None:
    address = _literal_address(host)
    if address is not None and not is_public(address):
        raise InvalidRequest(NOT_ON_THE_INTERNET)
    is_local = any(host == name or host.endswith(f".{name}") for name in LOCAL_NAMES)
    if not host.isascii() or "%" in host or is_local or ("." not in host and ":" not in host):
        raise InvalidRequest("The webhook URL must name a host on the internet.")


def _literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that the host is, in every spelling that a resolver accepts, such as `127.1` or `0x7f.1`."""
    if ":" in host:
        try:
            return ip_address(host.partition("%")[0])
        except ValueError:
            # Not an address, but it has the form of one: `::`, which is not public, stands for it.
            return IPv6Address(0)
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


class PrivateAddress(httpx.ConnectError):
    """The host is unknown, or one of its addresses is not public. No connection was made."""


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
        raise InvalidRequest(NOT_ON_THE_INTERNET)


def public_only(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client, made to connect to public addresses only.

    A request to another address raises `PrivateAddress` before any connection. If a second look-up of the name answers
    differently, a connection is opened and `SSRFProtectionError` is raised before anything is sent.
    """
    # Of a name, the guard checks the address that it has connected to. Whoever chose the name could tell from the
    # failure whether a port of a private host is open.
    client.event_hooks["request"].append(_refuse_private)
    return httpx_ssrf_protection(client, custom_validator=lambda _host, address, _port: is_public(address))


async def _refuse_private(request: httpx.Request) -> None:
    try:
        async with asyncio.timeout(LONGEST_LOOK_UP):
            await resolve(request.url)
    except TimeoutError:
        raise httpx.ConnectTimeout("The look-up took too long.", request=request) from None
    except InvalidRequest as refusal:
        raise PrivateAddress(refusal.problem, request=request) from None
