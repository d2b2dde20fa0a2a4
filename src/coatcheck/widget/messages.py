"""The messages that the server selects: for the status of a member, and for pages without the widget."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from coatcheck.http.i18n import marked as _
from coatcheck.model.statuses import ConnectionStatus as Status


class Action(StrEnum):
    """The next action of the user. The page's scripts use the same values."""

    ENTER_CREDS = "enterCreds"
    OAUTH = "oauth"
    RETRY = "retry"
    VISIT = "visitInstitution"
    SEARCH = "search"
    MICRO_DEPOSITS = "microdeposits"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class MessageText:
    """A message about a member. `{name}` is the name of its institution."""

    title: str
    text: str
    primary: Action | None
    secondary: Action | None = None
    tertiary: Action | None = None


ACTION_LABELS: Mapping[Action, str] = MappingProxyType(
    {
        Action.ENTER_CREDS: _("Sign in again"),
        Action.OAUTH: _("Sign in at {name}"),
        Action.RETRY: _("Try again"),
        Action.VISIT: _("Go to {name}"),
        Action.SEARCH: _("Choose another bank"),
        Action.MICRO_DEPOSITS: _("Use account and routing numbers"),
        Action.DONE: _("Done"),
    }
)

STATUS_MESSAGES: Mapping[Status, MessageText] = MappingProxyType(
    {
        Status.DENIED: MessageText(
            _("Check your sign-in details"),
            _("{name} did not accept them. Enter the same details that you use on its website."),
            None,
            Action.SEARCH,
        ),
        Status.PREVENTED: MessageText(
            _("Too many attempts"),
            _(
                "{name} refused your sign-in three times. We stopped trying so that your login does not get "
                "locked. Check your details and sign in again."
            ),
            Action.ENTER_CREDS,
            Action.SEARCH,
        ),
        Status.REJECTED: MessageText(
            _("Incorrect answer"),
            _("{name} did not accept your answer. Try again to get a new question."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.LOCKED: MessageText(
            _("Your login is locked"),
            _(
                "{name} has locked this login. Unlock it on the website of the bank, then come back and try "
                "again."
            ),
            Action.VISIT,
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.IMPEDED: MessageText(
            _("{name} needs you to do something"),
            _(
                "Sign in on the website of the bank and follow its instructions, then come back and try again."
            ),
            Action.VISIT,
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.DEGRADED: MessageText(
            _("{name} is having problems"),
            _("You did nothing wrong, and your details are safe. Try again in a few minutes."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.DISCONNECTED: MessageText(
            _("This connection has ended"),
            _("Access was withdrawn at {name}. Sign in again to reconnect."),
            Action.ENTER_CREDS,
            Action.SEARCH,
        ),
        Status.DISCONTINUED: MessageText(
            _("This connection is no longer available"),
            _("{name} no longer supports this kind of connection. You can connect a different bank."),
            Action.SEARCH,
        ),
        Status.CLOSED: MessageText(
            _("This login is closed"),
            _(
                "{name} reports that the login or its accounts are closed. If you think this is a mistake, "
                "contact {name}."
            ),
            Action.SEARCH,
        ),
        Status.DELAYED: MessageText(
            _("{name} is taking too long"),
            _("The bank did not respond in time. Try again in a few minutes."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.FAILED: MessageText(
            _("We could not connect to {name}"),
            _("Something went wrong at the bank. Try again now or in a few minutes."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.DISABLED: MessageText(
            _("This connection is turned off"),
            _("We no longer get updates from {name}. Try again to turn them on."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.IMPORTED: MessageText(
            _("Sign in to continue"),
            _("This connection was imported from another service. {name} needs you to sign in once."),
            Action.ENTER_CREDS,
            Action.SEARCH,
        ),
        Status.EXPIRED: MessageText(
            _("You ran out of time"),
            _("{name} did not get your answer in time. Try again to get a new question."),
            Action.RETRY,
            Action.SEARCH,
        ),
        Status.IMPAIRED: MessageText(
            _("More details are needed"),
            _("{name} needs a detail that was missing. Enter your sign-in details again."),
            Action.ENTER_CREDS,
            Action.SEARCH,
        ),
    }
)
"""The statuses that need an action of the user. The page has its own texts for the other statuses."""

OAUTH_DENIED = MessageText(
    _("Your bank is not connected"),
    _("Access was not granted at {name}. Sign in there again to connect."),
    Action.OAUTH,
    Action.SEARCH,
)
"""The message for DENIED of an OAuth member."""

NO_ELIGIBLE_ACCOUNTS = MessageText(
    _("No eligible accounts"),
    _("We found no open checking or savings account with account numbers at {name}. Try a different bank."),
    Action.SEARCH,
    Action.MICRO_DEPOSITS,
)

NO_ACCOUNTS = MessageText(
    _("No accounts found"),
    _("We signed in to {name}, but this login has no accounts. Try a different bank."),
    Action.SEARCH,
)

FIELD_LABELS = (_("Username"), _("Password"))
"""The labels that most banks use in their login form. Any other label stays in the bank's language."""

TITLE = _("Connect your bank")
NO_SCRIPT = _("This page needs JavaScript. Turn it on for this site, then open the link from the app again.")
LINK_EXPIRED = (
    _("This link no longer works"),
    _("It has expired or was already used. Go back to the app and start again."),
)
UNAVAILABLE = (
    _("Temporarily unavailable"),
    _("The service is not available right now. Try again in a few minutes."),
)
INTERNAL_ERROR = (
    _("Something went wrong"),
    _("The problem is on our side. Go back to the app and start again."),
)
CONNECTED = (_("{name} is connected"), _("You can close this window."))
CONFIRM = (
    _("Connect {name} to {client}?"),
    _(
        "{client} will be able to read your accounts at {name}. They are connected for {user}. If that is not "
        "you, or you did not start this at {client}, cancel."
    ),
)
CONFIRM_LABELS = (_("Connect"), _("Cancel"))
WRONG_BROWSER = (
    _("This sign-in was not started here"),
    _(
        "It was started in another browser or by another person. Nothing is connected. Go back to the app and "
        "start again in this browser, with cookies allowed."
    ),
)
NOT_CONNECTED = (_("{name} is not connected"), _("Close this window and try again."))


def every_text() -> Iterator[str]:
    """All texts of this module that have a translation."""
    yield from (
        TITLE,
        NO_SCRIPT,
        *LINK_EXPIRED,
        *UNAVAILABLE,
        *INTERNAL_ERROR,
        *CONNECTED,
        *NOT_CONNECTED,
        *CONFIRM,
        *CONFIRM_LABELS,
        *WRONG_BROWSER,
        *ACTION_LABELS.values(),
        *FIELD_LABELS,
    )
    for message in (*STATUS_MESSAGES.values(), OAUTH_DENIED, NO_ELIGIBLE_ACCOUNTS, NO_ACCOUNTS):
        yield from (message.title, message.text)
