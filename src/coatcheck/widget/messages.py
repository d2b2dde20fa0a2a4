"""What the end user is told about a connection, in one table; and in which language.

The English stands here and in `texts.py`. The other languages are gettext catalogues below `locales/`, which
`make words` brings up to date and compiles; a test refuses one that misses a text or is not compiled.
"""

import gettext
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from coatcheck.http.negotiation import accepted
from coatcheck.model.statuses import ConnectionStatus as Status

LOCALES: Mapping[str, str | None] = MappingProxyType({"en": None, "es": "es", "fr-CA": "fr_CA"})
"""The names on the wire, and of the catalogues."""
BY_LANGUAGE: Mapping[str, str] = MappingProxyType({"en": "en", "es": "es", "fr": "fr-CA"})
DEFAULT = "en"


class Action(StrEnum):
    """What the user can do next. The values are the page's."""

    ENTER_CREDS = "enterCreds"
    OAUTH = "oauth"
    RETRY = "retry"
    VISIT = "visitInstitution"
    SEARCH = "search"
    MICRO_DEPOSITS = "microdeposits"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Words:
    """About one member. `{name}` is its institution's."""

    title: str
    text: str
    primary: Action | None
    secondary: Action | None = None


def _(text: str) -> str:
    """Marks words for the catalogues."""
    return text


LABELS: Mapping[Action, str] = MappingProxyType(
    {
        Action.ENTER_CREDS: _("Enter your details again"),
        Action.OAUTH: _("Sign in at {name}"),
        Action.RETRY: _("Try again"),
        Action.VISIT: _("Go to {name}"),
        Action.SEARCH: _("Choose another bank"),
        Action.MICRO_DEPOSITS: _("Use account numbers instead"),
        Action.DONE: _("Done"),
    }
)

WORDS: Mapping[Status, Words] = MappingProxyType(
    {
        Status.DENIED: Words(
            _("Check your details"),
            _("{name} did not accept what you entered. Check it and try again."),
            None,
            Action.SEARCH,
        ),
        Status.PREVENTED: Words(
            _("Too many tries"),
            _(
                "{name} refused the sign-in three times. So that it does not lock your login, nothing is tried "
                "until you enter your details again."
            ),
            Action.ENTER_CREDS,
            Action.SEARCH,
        ),
        Status.REJECTED: Words(
            _("That answer was not right"),
            _("{name} did not accept the answer. Try again, and it will ask you anew."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.LOCKED: Words(
            _("Your login is locked"),
            _("{name} has locked this login. Unlock it on its own site, then come back and try again."),
            Action.VISIT,
            Action.RETRY,
        ),
        Status.IMPEDED: Words(
            _("{name} needs you first"),
            _("Sign in on its own site and do what it asks for there, then come back and try again."),
            Action.VISIT,
            Action.RETRY,
        ),
        Status.DEGRADED: Words(
            _("{name} has trouble at the moment"),
            _("It is nothing you did, and what you entered is safe. Try again a little later."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.DISCONNECTED: Words(
            _("The connection has ended"),
            _("The access was withdrawn at {name}. Sign in again to renew it."),
            Action.ENTER_CREDS,
            Action.SEARCH,
        ),
        Status.DISCONTINUED: Words(
            _("This connection is no longer offered"),
            _("{name} cannot be connected in this way any more."),
            Action.SEARCH,
        ),
        Status.CLOSED: Words(
            _("This login is closed"),
            _("{name} says that the customer or the account is no longer there."),
            Action.SEARCH,
        ),
        Status.DELAYED: Words(
            _("{name} takes longer than usual"),
            _("It did not answer in time. Try again in a few minutes."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.FAILED: Words(
            _("{name} could not be read"),
            _("Something went wrong on its side. Try again now or a little later."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.DISABLED: Words(
            _("This connection is switched off"),
            _("{name} is not being read. Try again to switch it on."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.IMPORTED: Words(
            _("Sign in once more"),
            _("This connection came from elsewhere. {name} needs your details to go on."),
            Action.ENTER_CREDS,
            Action.SEARCH,
        ),
        Status.EXPIRED: Words(
            _("Time ran out"),
            _("{name} asked something and got no answer in time. Try again, and it will ask you anew."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.IMPAIRED: Words(
            _("Something is missing"),
            _("{name} needs a detail that it did not get. Enter your details again."),
            Action.ENTER_CREDS,
            Action.SEARCH,
        ),
    }
)
"""For every status that stops; the others need no words but the page's own."""

REFUSED = Words(
    _("You are not connected yet"),
    _("Access was not granted at {name}. You can sign in there again."),
    Action.OAUTH,
    Action.SEARCH,
)
"""DENIED on the bank's own page."""

NO_ELIGIBLE_ACCOUNTS = Words(
    _("No account can be used"),
    _("{name} showed no open checking or savings account with its numbers."),
    Action.SEARCH,
    Action.MICRO_DEPOSITS,
)

NO_ACCOUNTS = Words(_("No accounts there"), _("{name} let us in, and showed no account."), Action.SEARCH)


FIELDS = (_("Username"), _("Password"))
"""What most banks call the boxes of their login form. What another calls its own stays as it says it."""

TITLE = _("Connect your bank")
NO_SCRIPT = _("This page needs JavaScript. Allow it for this site, then open the link from the app again.")
LINK_OVER = (
    _("This link no longer works"),
    _("It was opened before, or it is too old. Go back to the app and start again."),
)
LATER = (_("Just a moment"), _("The service is not available right now. Try again shortly."))
OUR_FAULT = (_("Something went wrong"), _("It is our fault. Go back to the app and start again."))
SIGNED_IN = (_("{name} is connected"), _("You can close this window."))
NOT_SIGNED_IN = (_("{name} is not connected"), _("Close this window to try again."))


def every_text() -> Iterator[str]:
    """All that stands here to be translated."""
    yield from (
        TITLE,
        NO_SCRIPT,
        *LINK_OVER,
        *LATER,
        *OUR_FAULT,
        *SIGNED_IN,
        *NOT_SIGNED_IN,
        *LABELS.values(),
        *FIELDS,
    )
    for words in (*WORDS.values(), REFUSED, NO_ELIGIBLE_ACCOUNTS, NO_ACCOUNTS):
        yield from (words.title, words.text)


def say(locale: str, text: str, name: str = "") -> str:
    """The words in this language; about the institution of this name, where they are about one."""
    return catalogue(locale).gettext(text).replace("{name}", name)


@cache
def catalogue(locale: str) -> gettext.NullTranslations:
    """All translations into this language. What it does not hold it gives back as it is: in English."""
    name = LOCALES[locale]
    if name is None:
        return gettext.NullTranslations()
    with (files("coatcheck.widget") / "locales" / name / "LC_MESSAGES" / "widget.mo").open("rb") as file:
        return gettext.GNUTranslations(file)


def choose_locale(*wishes: str | None) -> str:
    """The first supported language of the wishes; each is a tag or an Accept-Language (RFC 9110 12.5.4)."""
    for wish in wishes:
        for tag in accepted(wish):
            if found := BY_LANGUAGE.get(tag.replace("_", "-").partition("-")[0]):
                return found
    return DEFAULT
