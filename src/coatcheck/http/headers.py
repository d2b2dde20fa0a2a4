"""Security headers. Every Content-Security-Policy that this server sends is written here.

The pages of a connector's sandbox bank are the connector's own and send their own.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Policy(StrEnum):
    """Content-Security-Policy, by what is answered."""

    DATA = "default-src 'none'; frame-ancestors 'none'"
    """JSON and other data."""
    FOREIGN_DOCUMENT = "default-src 'none'; sandbox"
    """A bank's document: opened in a browser, it runs nothing and loads nothing."""
    DOCUMENTATION = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    """A page without scripts."""
    MESSAGE = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    """A page with a message, and a script that passes it on."""
    WIDGET = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    )


NO_STORE: Mapping[str, str] = MappingProxyType(
    {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}
)
"""An answer of the API: what it holds belongs in no cache (RFC 6749 5.1), under its own media type alone."""


def page_headers(
    policy: Policy, *, ancestors: str = "'none'", cache: str | None = "no-store"
) -> dict[str, str]:
    """The headers of what a browser opens.

    Args:
        policy: by what is answered.
        ancestors: the origins that may frame it (CSP `frame-ancestors`).
        cache: `Cache-Control`, where there is one.
    """
    headers = {
        "Content-Security-Policy": policy.format(ancestors=ancestors),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return headers if cache is None else {"Cache-Control": cache, **headers}
