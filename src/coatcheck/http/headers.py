"""Security headers. Every Content-Security-Policy that this server sends is written here.

The pages of a connector's sandbox bank are the connector's own and send their own.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Policy(StrEnum):
    """Content-Security-Policy, by kind of response."""

    DATA = "default-src 'none'; frame-ancestors 'none'"
    """JSON and other data."""
    FOREIGN_DOCUMENT = "default-src 'none'; sandbox"
    """A bank's document. A browser that opens it runs no script and loads nothing."""
    DOCUMENTATION = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    """A page without scripts."""
    MESSAGE = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    """A page with a message, and a script that posts it to another window."""
    QUESTION = (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'{targets}; "
        "frame-ancestors 'none'"
    )
    """A page with a form. Its answer may redirect to the targets."""
    WIDGET = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    )


NO_STORE: Mapping[str, str] = MappingProxyType(
    {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}
)
"""Headers of every API response. Caches do not store it (RFC 6749 5.1), and browsers do not guess its media type."""


def page_headers(
    policy: Policy, *, ancestors: str = "'none'", targets: str = "", cache: str | None = "no-store"
) -> dict[str, str]:
    """The headers of a page or file that a browser loads.

    Args:
        policy: the kind of response.
        ancestors: the origins that may frame it (CSP `frame-ancestors`).
        targets: where the answer of its form may redirect to, beside this origin (CSP `form-action`).
        cache: the value of `Cache-Control`. None: no such header.
    """
    headers = {
        "Content-Security-Policy": policy.format(
            ancestors=ancestors, targets=f" {targets}" if targets else ""
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return headers if cache is None else {"Cache-Control": cache, **headers}
