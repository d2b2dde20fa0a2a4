"""The window in which an end user signs in at the bank itself, and the way back from it.

    open_window -> the bank's own page -> GET /oauth/callback -> claim -> the client's app, or a page of ours

The `state` the bank brings back is a link's secret, so it opens once and expires (RFC 9700 4.7). What belongs to
this attempt, the PKCE verifier above all, is sealed under the link's guid and gone once claimed.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import msgspec

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.errors import ConstraintNotMet, InvalidRequest, NotFound
from coatcheck.grants.links import LinkKind
from coatcheck.model.clients import find_client
from coatcheck.model.members import Member, find_member
from coatcheck.model.oauth_states import find_oauth_state, put_oauth_state
from coatcheck.model.users import find_user
from coatcheck.model.widgets import widget_look
from coatcheck.vault.vault import SecretKind, WorkerReader

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,63}")
"""RFC 3986 3.1."""
NOT_AN_APP = frozenset({"about", "blob", "data", "file", "ftp", "http", "https", "javascript", "vbscript"})
"""Schemes that a browser answers itself."""
MAX_URL_CHARACTERS = 1000
VERIFIER_BYTES = 32
"""43 characters, RFC 7636 4.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnTarget:
    """Where the end user goes from our callback; what nobody said is None.

    Raises:
        InvalidRequest: a part of it could not be followed, or must not.
    """

    referral_source: str | None = None
    """`APP` is sent back by a redirect, `BROWSER` is told by a message to the window that opened this one."""
    client_redirect_url: str | None = None
    ui_message_webview_url_scheme: str | None = None

    def __post_init__(self) -> None:
        if self.referral_source not in {None, "APP", "BROWSER"}:
            raise InvalidRequest("referral_source is APP or BROWSER.")
        scheme = self.ui_message_webview_url_scheme
        if scheme is not None and (not SCHEME.fullmatch(scheme) or scheme.lower() in NOT_AN_APP):
            raise InvalidRequest("ui_message_webview_url_scheme is not the scheme of an app.")
        if self.client_redirect_url is not None and not _is_web_address(self.client_redirect_url):
            raise InvalidRequest("client_redirect_url is not an http or https URL.")

    @property
    def origin(self) -> str | None:
        """The client's own origin, where it named one."""
        if self.client_redirect_url is None:
            return None
        parts = urlsplit(self.client_redirect_url)
        return f"{parts.scheme}://{parts.netloc}"

    def redirect(self, answer: dict[str, str]) -> str | None:
        """The URL that carries the answer back to an app; None for a browser window."""
        if self.referral_source != "APP":
            return None
        if self.client_redirect_url is None:
            return f"{self.ui_message_webview_url_scheme or 'mx'}://oauth_complete?{urlencode(answer)}"
        parts = urlsplit(self.client_redirect_url)
        return parts._replace(query="&".join(filter(None, (parts.query, urlencode(answer))))).geturl()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What is kept of one opened window until the end user returns."""

    return_target: ReturnTarget
    code_verifier: str = field(repr=False)
    skip_aggregation: bool = False
    """Nothing is read from the bank on returning."""
    include_transactions: bool = True
    callback_payload: str | None = None
    oauth_state_guid: str | None = None
    """What the page that opened it looks at meanwhile, where that is the widget."""
    locale: str | None = None
    """The language that page speaks."""


@dataclass(frozen=True, slots=True)
class Claimed:
    member: Member
    attempt: Attempt
    listeners: Sequence[str]
    """Origins whose page, beside our own, is told how it went, should it have opened the window."""


async def open_window(
    services: Services,
    connection: Connection,
    member: Member,
    return_target: ReturnTarget,
    *,
    skip_aggregation: bool = False,
    include_transactions: bool = True,
    callback_payload: str | None = None,
    session_guid: str | None = None,
    locale: str | None = None,
) -> str:
    """The bank's authorization page for the member; it can be come back from once, within `link_ttl`.

    Args:
        services: the house.
        connection: the caller's transaction.
        member: who signs in.
        return_target: where the end user goes from there.
        skip_aggregation: read nothing on returning.
        include_transactions: an aggregation on returning reads those too.
        callback_payload: echoed on the webhooks that follow.
        session_guid: the widget's session that opens it. It learns how the window ended, and without it nothing
            comes of it any more.
        locale: the language in which the end user is told how it went; without it, the browser's.

    Raises:
        ConstraintNotMet: the member signs in with credentials.
        JobNotSupported: its institution has no such page.
    """
    if not member.is_oauth:
        raise ConstraintNotMet("The member does not sign in at the institution's own site.")
    link, state = await services.links.issue(
        connection,
        LinkKind.OAUTH,
        client_guid=member.client_guid,
        user_guid=member.user_guid,
        member_guid=member.guid,
    )
    attempt = Attempt(
        return_target=return_target,
        code_verifier=secrets.token_urlsafe(VERIFIER_BYTES),
        skip_aggregation=skip_aggregation,
        include_transactions=include_transactions,
        callback_payload=callback_payload,
        oauth_state_guid=(
            None
            if session_guid is None
            else await put_oauth_state(connection, member, session_guid, services.clock.now())
        ),
        locale=locale,
    )
    await services.vault.store_secret(
        connection,
        owner_guid=member.user_guid,
        record_guid=link.guid,
        kind=SecretKind.LINK,
        value=msgspec.json.encode(attempt),
    )
    return services.consent.authorize(member, state=state, code_verifier=attempt.code_verifier)


async def claim(services: Services, connection: Connection, state: str) -> Claimed:
    """Whose window it was, and what was kept of it; this once.

    Raises:
        NotFound: unknown, expired, used, or what it belongs to is gone, disabled or over.
    """
    link = await services.links.open(connection, LinkKind.OAUTH, state)
    client = await find_client(connection, link.client_guid)
    user = await find_user(connection, link.client_guid, link.user_guid)
    kept = await services.vault.disclose_secret(
        connection,
        owner_guid=link.user_guid,
        record_guid=link.guid,
        kind=SecretKind.LINK,
        reader=WorkerReader(link.guid, link.client_guid),
    )
    if kept is None or link.member_guid is None or client.is_disabled or user.is_disabled:
        raise NotFound
    await services.vault.delete(connection, owner_guid=link.user_guid, record_guid=link.guid)
    attempt = msgspec.json.decode(kept, type=Attempt)
    if attempt.oauth_state_guid:
        window = await find_oauth_state(connection, link.user_guid, attempt.oauth_state_guid)
        if not await services.widget_sessions.is_live(connection, window.session_guid):
            raise NotFound
    member = await find_member(connection, link.user_guid, link.member_guid)
    return Claimed(member, attempt, await _listeners(connection, member, attempt.return_target))


async def _listeners(connection: Connection, member: Member, return_target: ReturnTarget) -> Sequence[str]:
    """The one that the client named for this window, else those that may embed its widget; never just anybody.

    An entry for any port is not there: a browser delivers to a whole origin only.
    """
    if return_target.origin:
        return [return_target.origin]
    look = await widget_look(connection, member.client_guid)
    return [origin for origin in look.origins if not origin.endswith(":*")]


def _is_web_address(url: str) -> bool:
    """Absolute, with a host, and with nothing in it that could end a header or hide the host."""
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        has_sane_port = parts.port != 0
    except ValueError:
        return False
    is_web = parts.scheme in {"http", "https"} and bool(parts.hostname)
    return is_web and has_sane_port and "@" not in parts.netloc and "\\" not in url
