"""The windows in which end users sign in at an institution: their options, and what is kept until the user returns."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from hashlib import sha256

from coatcheck.connectors.contract import JobKind, SignInPage
from coatcheck.grants.links import NewLink
from coatcheck.members.return_target import ReturnTarget
from coatcheck.model.members import Member


@dataclass(frozen=True, slots=True)
class SignInPlace:
    """An institution at whose own page a user signs in."""

    institution_code: str
    user_guid: str
    member_guid: str | None = None
    """The member whose user signs in again; None for a new member."""
    client_name: str = ""
    """Who will read, as the user knows it."""
    kinds: tuple[JobKind, ...] = ()
    """What was asked for; empty if the caller does not know yet."""
    language: str = ""
    """The user's, if it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthWindow:
    """The options of a sign-in window."""

    return_target: ReturnTarget = field(default_factory=ReturnTarget)
    skip_aggregation: bool = False
    """Start no job when the user returns."""
    include_transactions: bool = True
    callback_payload: str | None = None
    """Returned in the webhooks of the jobs that follow."""
    session_guid: str | None = None
    """The widget session that opens the window. It can read the result, and the window ends with it."""
    locale: str | None = None
    """The language of the page that the callback returns. None: the language of the browser."""
    is_opened_by_widget: bool = False
    """Only the widget's own page may open the window, in the browser in which the widget runs."""


@dataclass(frozen=True, slots=True)
class OAuthAttempt:
    """One opened window, as it is sealed until the user returns."""

    window: OAuthWindow
    code_verifier: str = field(repr=False)
    oauth_state_guid: str | None = None
    """The OAuth state of the widget session that opened the window."""
    url: str = field(default="", repr=False)
    """The institution's sign-in page. Contains the secret of the link."""
    browser_hash: str | None = None
    """The hash of the cookie of the browser in which the window was opened; None until it is opened."""
    resume: str = field(default="", repr=False)
    """What the connector needs when the user returns (`SignInPage.resume`)."""

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def is_opened_in(self, browser: str | None) -> bool:
        """Whether the window was opened in the browser that has this cookie."""
        # Of hashes, so that the time of the comparison tells nothing about the cookie.
        return bool(browser and self.browser_hash) and hash_of_browser(browser or "") == self.browser_hash

    @classmethod
    def decode(cls, encoded: bytes) -> "OAuthAttempt":
        attempt = json.loads(encoded)
        window = attempt["window"]
        return_target = ReturnTarget(**window.pop("return_target"))
        return cls(
            OAuthWindow(return_target=return_target, **window),
            attempt["code_verifier"],
            attempt["oauth_state_guid"],
            # Absent from windows that an earlier version opened.
            attempt.get("url", ""),
            attempt.get("browser_hash"),
            attempt.get("resume", ""),
        )


@dataclass(frozen=True, slots=True)
class PreparedWindow:
    """The sign-in page that an institution gave, before anything is written about it."""

    link: NewLink
    page: SignInPage
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClaimedWindow:
    member: Member
    attempt: OAuthAttempt
    origins: Sequence[str]
    """Origins whose page may receive the result as a message if it opened the window. Our own origin always may."""


@dataclass(frozen=True, slots=True)
class StartedWindow:
    url: str = field(repr=False)
    """The institution's sign-in page. Contains the secret of the link."""
    browser: str = field(repr=False)
    """The cookie that the browser gets."""
    lifetime: timedelta
    """How long the user has to return."""


@dataclass(frozen=True, slots=True)
class ReturnedWindow:
    """A window to which the institution returned a code, for the question whether to connect."""

    member: Member
    attempt: OAuthAttempt
    client_name: str
    user_name: str
    """The user's e-mail address, else the id that the client gave it, else its guid."""


def hash_of_browser(browser: str) -> str:
    """A plain hash is enough: the cookie has 256 random bits."""
    return sha256(browser.encode()).hexdigest()
