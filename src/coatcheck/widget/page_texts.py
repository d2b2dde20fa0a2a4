"""The texts of the page, by the key with which its scripts look them up: `t("search.title")`.

A value replaces `{bank}` and the like. In the catalogues the key is the context, so that two texts that are equal in
English may differ in another language.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from coatcheck.widget.i18n import catalogue


def pgettext(key: str, text: str) -> tuple[str, str]:
    """Marks a text for the catalogues; it is translated later."""
    return key, text


TEXTS: Sequence[tuple[str, str]] = (
    pgettext("again", "Try again"),
    pgettext("back", "Back"),
    pgettext("cancel", "Cancel"),
    pgettext("close", "Close"),
    pgettext("continue", "Continue"),
    pgettext("done", "Done"),
    pgettext("loading", "One moment…"),
    pgettext("offline", "No connection. Retrying…"),
    pgettext("opens_window", "(opens in a new window)"),
    pgettext("remove", "Remove this connection"),
    pgettext("accounts.lead", "{client} will use the account you choose."),
    pgettext("accounts.legend", "Your accounts"),
    pgettext("accounts.title", "Choose an account"),
    pgettext("accounts.type_1", "Checking"),
    pgettext("accounts.type_2", "Savings"),
    pgettext("closed.again", "Continue here"),
    pgettext("closed.another", "Connect another bank"),
    pgettext("closed.lead", "Go back to {client} to continue."),
    pgettext("closed.title", "You can close this page"),
    pgettext("connected.lead", "{client} can now access the information you agreed to share."),
    pgettext("connected.title", "{bank} is connected"),
    pgettext("connecting.accounts", "Finding your accounts"),
    pgettext("connecting.authenticated", "Signing in"),
    pgettext("connecting.done", "(done)"),
    pgettext("connecting.identity", "Getting account owner details"),
    pgettext("connecting.lead", "This usually takes a few seconds. Keep this page open."),
    pgettext("connecting.leave", "Connect another bank while you wait"),
    pgettext("connecting.numbers", "Getting account numbers"),
    pgettext("connecting.slow", "This is taking longer than usual. You do not need to do anything."),
    pgettext("connecting.started", "Contacting {bank}"),
    pgettext("connecting.statements", "Getting statements"),
    pgettext("connecting.title", "Connecting to {bank}"),
    pgettext("connecting.transactions", "Getting transactions"),
    pgettext("connecting.very_slow", "Still connecting. You can leave this page and we will continue."),
    pgettext("consent.accept", "Agree and continue"),
    pgettext("consent.decline", "If you do not agree, close this page. Nothing will be shared."),
    pgettext("consent.how_often", "How often"),
    pgettext("consent.lead", "{client} would like to access this information at the bank you choose."),
    pgettext("consent.no_readers", "Only {client}. No other company has access."),
    pgettext("consent.privacy", "Privacy policy"),
    pgettext(
        "consent.readers",
        "{client} and the companies it works with: {readers}. Any access it gives them ends after "
        "{days} days.",
    ),
    pgettext("consent.refreshes.daily", "Now, then once a day until the connection is removed."),
    pgettext("consent.refreshes.once", "Now. Again only if {client} asks for it."),
    pgettext("consent.shares.account_numbers", "Account and routing numbers"),
    pgettext("consent.shares.accounts", "Account names, types and balances"),
    pgettext("consent.shares.identity", "Name, address, email and phone number of the account owner"),
    pgettext("consent.shares.statements", "Statements"),
    pgettext(
        "consent.shares.transaction_history", "Past transactions, as far back as your bank provides them"
    ),
    pgettext("consent.shares.transactions", "Transactions"),
    pgettext("consent.sign_in", "Your sign-in details stay private"),
    pgettext(
        "consent.sign_in_text",
        "We encrypt them, use them only to connect to your bank, and never share them with {client}.",
    ),
    pgettext("consent.title", "Connect your bank to {client}"),
    pgettext("consent.what", "What you share"),
    pgettext("consent.who", "Who has access"),
    pgettext("credentials.again", "Sign in to {bank} again"),
    pgettext("credentials.busy", "This connection is being updated. Try again in a moment."),
    pgettext("credentials.duplicate", "You have already connected this login."),
    pgettext("credentials.forgot_password", "Forgot your password?"),
    pgettext("credentials.forgot_username", "Forgot your username?"),
    pgettext("credentials.refused", "Some details are missing or not valid. Check each field."),
    pgettext(
        "credentials.security",
        "Your details are encrypted, used only to connect to {bank}, and never shared with {client}.",
    ),
    pgettext("credentials.sending", "Sending securely…"),
    pgettext("credentials.title", "Sign in to {bank}"),
    pgettext(
        "credentials.too_many",
        "You have reached the maximum number of connections. Remove one in {client}, then try again.",
    ),
    pgettext("credentials.trouble", "Trouble signing in?"),
    pgettext("existing.lead", "Use a bank you have already connected, or connect another."),
    pgettext("existing.other", "Connect another bank"),
    pgettext("existing.title", "Choose a bank"),
    pgettext(
        "expired.lead",
        "For your security, this page expires after a while. Go back to {client} and start again.",
    ),
    pgettext("expired.title", "Your session has expired"),
    pgettext(
        "failed.lead", "The problem is on our side. What you have connected is safe. Try again in a moment."
    ),
    pgettext("failed.title", "Something went wrong"),
    pgettext("form.choose", "Choose an option."),
    pgettext("form.required", "This field is required."),
    pgettext("form.reveal", "Show {label}"),
    pgettext("form.unreachable", "No connection. Your entries are still here. Try again."),
    pgettext("mfa.lead", "{bank} asks for this to confirm that it is you."),
    pgettext("mfa.picture", "Security image from your bank"),
    pgettext("mfa.refused", "Your answer is not complete. Check it and try again."),
    pgettext("mfa.sending", "Sending your answer…"),
    pgettext("mfa.title", "Verify your identity"),
    pgettext("microdeposits.account", "Account number"),
    pgettext("microdeposits.account_hint", "Enter 4 to 17 digits."),
    pgettext("microdeposits.advice", "Connect {bank} instantly"),
    pgettext(
        "microdeposits.advice_text",
        "Signing in takes a minute. Deposits take one or two days. To use deposits, select Continue.",
    ),
    pgettext("microdeposits.amount_form", "Enter only the cents, for example 07."),
    pgettext("microdeposits.amount_hint", "Cents, from 1 to 99"),
    pgettext("microdeposits.check", "Verify amounts"),
    pgettext("microdeposits.checking", "Verifying…"),
    pgettext("microdeposits.differs", "The account numbers do not match."),
    pgettext(
        "microdeposits.expected",
        "They should arrive in the account ending in {digits} by {day}. Come back then to enter the amounts.",
    ),
    pgettext(
        "microdeposits.expected_soon",
        "They usually take one or two business days. Come back then to enter the amounts.",
    ),
    pgettext("microdeposits.failed", "We could not verify this account"),
    pgettext(
        "microdeposits.failed_lead",
        "The deposits did not go through. Check the numbers and try again, or sign in to your bank instead.",
    ),
    pgettext("microdeposits.first", "First deposit"),
    pgettext("microdeposits.invalid", "These numbers are not valid. Check them and try again."),
    pgettext(
        "microdeposits.lead",
        "We will send two small deposits to your account. When they arrive, enter the amounts to "
        "confirm that the account is yours.",
    ),
    pgettext("microdeposits.one_try", "Check your account and try again. You have 1 attempt left."),
    pgettext(
        "microdeposits.prevented",
        "The amounts were wrong three times. To connect this account, sign in to your bank instead.",
    ),
    pgettext("microdeposits.repeat", "Confirm account number"),
    pgettext("microdeposits.routing", "Routing number"),
    pgettext(
        "microdeposits.routing_blocked",
        "Accounts with this routing number cannot be used here. Use a different account.",
    ),
    pgettext("microdeposits.routing_hint", "9 digits, at the bottom left of a check"),
    pgettext("microdeposits.routing_invalid", "This routing number is not valid. Check it and try again."),
    pgettext("microdeposits.second", "Second deposit"),
    pgettext("microdeposits.sent", "We are sending two deposits"),
    pgettext("microdeposits.sign_in", "Sign in to {bank}"),
    pgettext("microdeposits.title", "Enter your account details"),
    pgettext(
        "microdeposits.too_many",
        "You have reached the maximum number of accounts. Sign in to your bank instead.",
    ),
    pgettext("microdeposits.tries", "Check your account and try again. You have {left} attempts left."),
    pgettext("microdeposits.type", "Account type"),
    pgettext("microdeposits.verified", "Your account is verified"),
    pgettext("microdeposits.verified_lead", "{client} can now use the account ending in {digits}."),
    pgettext("microdeposits.verify", "Enter the deposit amounts"),
    pgettext(
        "microdeposits.verify_lead",
        "We sent two small deposits to the account ending in {digits}. Enter both amounts, in any order.",
    ),
    pgettext("microdeposits.wrong", "The amounts do not match"),
    pgettext("oauth.again", "Try again"),
    pgettext("oauth.closed", "The sign-in window seems to be closed"),
    pgettext(
        "oauth.closed_text",
        "If you finished at {bank}, this page will continue in a moment. If not, open the window again.",
    ),
    pgettext("oauth.open", "Continue to {bank}"),
    pgettext("oauth.open_here", "Open {bank} here"),
    pgettext("oauth.opening", "Opening {bank}…"),
    pgettext("oauth.refused", "Your bank is not connected"),
    pgettext(
        "oauth.refused_text", "Access was not granted at {bank}, so nothing was shared. Try again to connect."
    ),
    pgettext("oauth.step_1", "{bank} opens in a new window."),
    pgettext("oauth.step_2", "Sign in there and choose what to share."),
    pgettext("oauth.step_3", "Return to this page. We never see your password."),
    pgettext("oauth.title", "Sign in at {bank}"),
    pgettext("oauth.waiting", "Waiting for you to finish at {bank}…"),
    pgettext("removed.lead", "Your accounts there are no longer shared."),
    pgettext("removed.title", "{bank} is no longer connected"),
    pgettext("search.by_numbers", "Use account and routing numbers"),
    pgettext("search.count", "{count} banks found"),
    pgettext("search.label", "Bank name or routing number"),
    pgettext("search.many", "Many banks found. The best matches are listed first."),
    pgettext("search.more", "Show more"),
    pgettext("search.none", "No banks available"),
    pgettext(
        "search.none_text",
        "No bank here offers what {client} asks for. Go back to {client} for other options.",
    ),
    pgettext("search.nothing", "No results for “{query}”"),
    pgettext("search.nothing_text", "Check the spelling, or enter the 9-digit routing number."),
    pgettext("search.one", "{count} bank found"),
    pgettext("search.other", "Choose another bank"),
    pgettext("search.placeholder", "Bank or routing number"),
    pgettext("search.popular", "Popular"),
    pgettext("search.results", "Results"),
    pgettext("search.routing_hint", "Enter all 9 digits of the routing number."),
    pgettext("search.title", "Find your bank"),
    pgettext("unavailable.lead", "Nothing was sent to the bank. Try again later, or choose another bank."),
    pgettext("unavailable.title", "This bank is not available right now"),
)


@cache
def page_texts(locale: str) -> Mapping[str, str]:
    """Every text in this locale. A text that the catalogue lacks is English."""
    translations = catalogue(locale)
    return {key: translations.pgettext(key, text) for key, text in TEXTS}
