"""The request that the current task answers, for what is written on its behalf: disclosures, audit entries, logs."""

from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

__all__ = ["NO_REQUEST", "Person", "RequestContext", "canonical_address", "current_request"]


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in to the dashboard."""

    guid: str
    name: str


@dataclass(frozen=True, slots=True)
class RequestContext:
    request_id: str
    """A guid that the caller gets in `X-Request-Id`. Disclosures, audit entries and logs name it."""
    address: str | None
    """The address of the caller: of the connection, or what a trusted proxy forwarded."""
    person: Person | None = None
    """Set by the dashboard. Audit entries of what the person does have their name."""


NO_REQUEST = RequestContext("", None)
"""In jobs and commands."""

current_request: ContextVar[RequestContext] = ContextVar("current_request", default=NO_REQUEST)
"""Set by `http.endpoint` for each request. A task keeps its own value."""


@lru_cache(maxsize=4096)
def canonical_address(text: str) -> str | None:
    """The address in canonical form; None for text that is none, such as a host name that a proxy forwarded.

    An IPv4 address that an IPv6 socket reports (`::ffff:192.0.2.1`) becomes the IPv4 address. The zone of an IPv6
    address (`fe80::1%eth0`) is dropped.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # Without the zone, which can be any text: it would go into the audit log, and PostgreSQL has no such address.
        address = address.ipv4_mapped or IPv6Address(int(address))
    return str(address)
