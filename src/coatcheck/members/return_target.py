"""Where the end user is sent from the OAuth callback."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from coatcheck.db.database import Connection
from coatcheck.errors import InvalidRequest
from coatcheck.model.clients import redirect_urls

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,63}")
"""RFC 3986 3.1."""
BROWSER_SCHEMES = frozenset(
    {"about", "blob", "data", "file", "ftp", "http", "https", "javascript", "vbscript"}
)
"""Schemes that a browser handles itself. An app cannot register them, and some of them run scripts."""
MAX_URL_CHARACTERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnTarget:
    """The client's options for the return from the OAuth sign-in. None: not set.

    Raises:
        InvalidRequest: a value is malformed, or a redirect to it would be unsafe.
    """

    referral_source: str | None = None
    """`APP`: the callback redirects. `BROWSER`: its page posts a message to the window that opened it."""
    client_redirect_url: str | None = None
    ui_message_webview_url_scheme: str | None = None

    def __post_init__(self) -> None:
        if self.referral_source not in {None, "APP", "BROWSER"}:
            raise InvalidRequest("referral_source must be APP or BROWSER.")
        scheme = self.ui_message_webview_url_scheme
        if scheme is not None and (not SCHEME.fullmatch(scheme) or scheme.lower() in BROWSER_SCHEMES):
            raise InvalidRequest("ui_message_webview_url_scheme must be the URL scheme of an app.")
        if self.client_redirect_url is not None and not _is_web_url(self.client_redirect_url):
            raise InvalidRequest("client_redirect_url must be an absolute http or https URL.")

    @property
    def origin(self) -> str | None:
        """The origin of `client_redirect_url`."""
        if self.client_redirect_url is None:
            return None
        parts = urlsplit(self.client_redirect_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def redirect_source(self) -> str:
        """What `redirect_url` leads to, as a source of a Content-Security-Policy; empty for a browser window."""
        if self.referral_source != "APP":
            return ""
        return self.origin or f"{self.ui_message_webview_url_scheme or 'mx'}:"

    def redirect_url(self, parameters: Mapping[str, str]) -> str | None:
        """The URL that returns these parameters to an app; None for a browser window."""
        if self.referral_source != "APP":
            return None
        if self.client_redirect_url is None:
            return f"{self.ui_message_webview_url_scheme or 'mx'}://oauth_complete?{urlencode(parameters)}"
        parts = urlsplit(self.client_redirect_url)
        query = "&".join(filter(None, (parts.query, urlencode(parameters))))
        return parts._replace(query=query).geturl()


async def check_redirect(connection: Connection, client_guid: str, return_target: ReturnTarget) -> None:
    """Checks that the client's end users may be sent to the URL, compared as text (RFC 9700 4.1.3).

    Raises:
        InvalidRequest: the operator listed URLs of the client, and this is none of them.
    """
    url = return_target.client_redirect_url
    allowed = await redirect_urls(connection, client_guid) if url is not None else None
    if allowed is not None and url not in allowed:
        raise InvalidRequest(
            "client_redirect_url is not one of the URLs that your operator allowed for you. The comparison is exact."
        )


def _is_web_url(url: str) -> bool:
    """Whether the URL is absolute, without characters that could end a header or hide the host."""
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        has_valid_port = parts.port != 0
    except ValueError:
        return False
    # An @ and a backslash, which browsers read as a slash, can hide the host: https://bank.example@evil.example.
    is_web = parts.scheme in {"http", "https"} and bool(parts.hostname)
    return is_web and has_valid_port and "@" not in parts.netloc and "\\" not in url
