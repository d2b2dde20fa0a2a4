"""The texts that the templates do not contain: names of kinds of data and states, and pages about refusals."""

from collections.abc import Mapping
from types import MappingProxyType

from coatcheck import errors
from coatcheck.grants.access_statements import BALANCES_AND_NUMBERS, BALANCES_AND_TRANSACTIONS
from coatcheck.grants.restrictions import Permission, ReadKind
from coatcheck.http.i18n import catalogue
from coatcheck.http.i18n import marked as _
from coatcheck.model.statuses import ConnectionStatus
from coatcheck.model.tokens import GrantStatus


def translate(locale: str, text: str) -> str:
    return catalogue("portal", locale).gettext(text)


PERMISSIONS: Mapping[str, str] = MappingProxyType(
    {
        Permission.NUMBERS: _("Account and routing numbers"),
        Permission.OWNERS: _("Name and contact details of the owner"),
        Permission.TRANSACTIONS: _("Transactions"),
        Permission.BALANCES: _("Balances"),
        Permission.STATEMENTS: _("Statements"),
    }
)
READS: Mapping[str, str] = MappingProxyType(
    {
        ReadKind.NUMBERS: _("Read the account and routing numbers"),
        ReadKind.OWNERS: _("Read the name and contact details of the owner"),
        ReadKind.TRANSACTIONS: _("Read transactions"),
        ReadKind.BALANCES: _("Read the balance"),
        BALANCES_AND_NUMBERS: _("Read the balance and the account numbers"),
        BALANCES_AND_TRANSACTIONS: _("Read the balance and transactions"),
    }
)
"""By the kind of a disclosure."""
STATES: Mapping[str, str] = MappingProxyType(
    {
        GrantStatus.ACTIVE: _("Can read"),
        GrantStatus.SUSPENDED: _("Paused while the connection to the bank is interrupted"),
        GrantStatus.EXHAUSTED: _("Ended: it has read as often as it was allowed to"),
        GrantStatus.EXPIRED: _("Ended"),
        GrantStatus.REVOKED: _("Stopped"),
    }
)
CONNECTED = _("Connected")
INTERRUPTED = _("Interrupted. Sign in to this bank again in the app.")
UPDATING = _("Being updated")
CONNECTIONS: Mapping[str | None, str] = MappingProxyType(
    {
        ConnectionStatus.CONNECTED: CONNECTED,
        ConnectionStatus.CREATED: UPDATING,
        ConnectionStatus.CHALLENGED: UPDATING,
        ConnectionStatus.RECONNECTED: UPDATING,
        ConnectionStatus.UPDATED: UPDATING,
        ConnectionStatus.RESUMED: UPDATING,
        ConnectionStatus.PENDING: UPDATING,
        ConnectionStatus.IMPORTED: CONNECTED,
        None: _("Entered by you or by the app"),
    }
)
"""Every other status is an interruption."""

LINK_EXPIRED = (
    _("This link no longer works"),
    _("A link works once, for a few minutes. Go back to the app and open this page again."),
)
SESSION_OVER = (
    _("You have been signed out"),
    _("This happens after 15 minutes without activity. Go back to the app and open this page again."),
)
# Not that nothing was changed: access is stopped before the wait for reads that began earlier, which can fail.
FAILED = (
    _("Something went wrong"),
    _("Go back and reload the page in a few minutes. It shows whether your change was made."),
)
REFUSALS: Mapping[type[errors.CoatcheckError], tuple[str, str]] = MappingProxyType(
    {
        errors.WrongBrowser: (
            _("This form was not sent from this page"),
            _("Nothing was changed. Go back to the app and open this page again."),
        ),
        errors.UnknownUser: (
            _("No account was found for this sign-in"),
            _("Sign in with the account that you use for the app. If you did, ask the support of the app."),
        ),
        errors.SignInFailed: (
            _("You are not signed in"),
            _("The sign-in was not finished, took too long or was used before. Start it again."),
        ),
        errors.NotFound: (
            _("This page does not exist"),
            _("What it showed may have ended. Go back and reload the page."),
        ),
        errors.Unprocessable: (
            _("This change is not possible"),
            _(
                "Access can be reduced, not extended, and only while it lasts. Go back and check what you chose."
            ),
        ),
        errors.InvalidRequest: (
            _("This change is not possible"),
            _("A value is missing or is not valid. Go back and check what you entered."),
        ),
        errors.Unavailable: FAILED,
    }
)
