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
    DOCUMENTATION = (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    """The page of the API. Its script sends requests to this server."""
    MESSAGE = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    """A page with a message, and a script that posts it to another window."""
    # Browsers apply form-action also to the redirect that answers the form.
    QUESTION = (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'{targets}; "
        "frame-ancestors 'none'"
    )
    """A page with a form. Its answer may redirect to the targets."""
    WIDGET = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    )
    WIDGET_PREVIEW = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors {ancestors}"
    )
    """The widget without a session. It may send no request."""
    PORTAL = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
        "form-action 'self'; frame-ancestors {ancestors}"
    )
    """Pages with forms, which a client's page may frame."""
    DASHBOARD = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; frame-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    """Pages with forms of staff, which no page may frame."""


OPENED_BY_CLIENTS = frozenset({Policy.MESSAGE, Policy.PORTAL, Policy.QUESTION, Policy.WIDGET})
"""Pages in windows that a client's page opens and receives messages from, as MX's clients do. `same-origin` would cut
them off from it."""
NO_FEATURES = ", ".join(
    f"{name}=()"
    for name in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "usb",
    )
)
"""Permissions-Policy: no page uses a device, and no frame in it may."""

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
        "Cross-Origin-Opener-Policy": "unsafe-none" if policy in OPENED_BY_CLIENTS else "same-origin",
        "Permissions-Policy": NO_FEATURES,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return headers if cache is None else {"Cache-Control": cache, **headers}
