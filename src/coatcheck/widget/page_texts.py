"""What the page says by itself, by the key its scripts ask with: `t("search.title")`.

The English stands here, with `{bank}` where a value goes. In the catalogues the key is the context, so two texts that
are the same in English may differ in another language.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from coatcheck.widget.messages import catalogue


def pgettext(key: str, text: str) -> tuple[str, str]:
    """Marks a text for the catalogues, and translates nothing yet."""
    return key, text


TEXTS: Sequence[tuple[str, str]] = (
    pgettext("again", "Try again"),
    pgettext("back", "Back"),
    pgettext("cancel", "Cancel"),
    pgettext("continue", "Continue"),
    pgettext("cut_off", "No connection. Trying again…"),
    pgettext("done", "Done"),
    pgettext("loading", "One moment…"),
    pgettext("opens_window", "(opens in a new window)"),
    pgettext("remove", "Remove this connection"),
    pgettext("accounts.lead", "{client} will use the one you choose."),
    pgettext("accounts.legend", "Your accounts"),
    pgettext("accounts.title", "Choose an account"),
    pgettext("accounts.type_1", "Checking"),
    pgettext("accounts.type_2", "Savings"),
    pgettext("connected.lead", "{client} can now read what you agreed to."),
    pgettext("connected.title", "{bank} is connected"),
    pgettext("connecting.accounts", "Finding your accounts"),
    pgettext("connecting.authenticated", "Signing in"),
    pgettext("connecting.done", "(done)"),
    pgettext("connecting.identity", "Reading the owner’s name and address"),  # noqa: RUF001 (an apostrophe)
    pgettext("connecting.lead", "This usually takes a few seconds. Keep this page open."),
    pgettext("connecting.leave", "Choose another bank meanwhile"),
    pgettext("connecting.numbers", "Reading account numbers"),
    pgettext("connecting.slow", "The bank is taking its time. There is nothing you need to do."),
    pgettext("connecting.started", "Calling {bank}"),
    pgettext("connecting.statements", "Reading statements"),
    pgettext("connecting.title", "Connecting {bank}"),
    pgettext("connecting.transactions", "Reading transactions"),
    pgettext("connecting.very_slow", "Still working. It goes on even if you leave this page."),
    pgettext("consent.accept", "Agree and continue"),
    pgettext("consent.decline", "If you do not agree, just close this page: nothing is read."),
    pgettext("consent.how_long", "For how long"),
    pgettext("consent.lead", "{client} asks to read from the bank that you choose next."),
    pgettext("consent.never", "Your sign-in stays sealed"),
    pgettext(
        "consent.never_text",
        "It is kept encrypted, used only to read from your bank, and never shown to {client}.",
    ),
    pgettext("consent.no_readers", "{client}. No other company is set up to read it."),
    pgettext("consent.privacy", "Privacy policy"),
    pgettext(
        "consent.readers",
        "{client}, and the companies it works with: {readers}. Each permission it gives them ends after "
        "{days} days.",
    ),
    pgettext("consent.refreshes.daily", "Read now and then once a day, until the connection is removed."),
    pgettext("consent.refreshes.once", "Read now. After that, only when {client} asks again."),
    pgettext("consent.shares.account_numbers", "Account and routing numbers"),
    pgettext("consent.shares.accounts", "Account names, types and balances"),
    pgettext("consent.shares.identity", "The owner’s name, address, e-mail and phone"),  # noqa: RUF001 (an apostrophe)
    pgettext("consent.shares.statements", "Statements"),
    pgettext("consent.shares.transaction_history", "Older transactions, as far back as the bank keeps them"),
    pgettext("consent.shares.transactions", "Transactions"),
    pgettext("consent.title", "Connect your bank to {client}"),
    pgettext("consent.what", "What is read"),
    pgettext("consent.who", "Who may read it"),
    pgettext("credentials.again", "Sign in to {bank} again"),
    pgettext("credentials.busy", "This connection is being read right now. Try again in a moment."),
    pgettext("credentials.duplicate", "You connected this login before."),
    pgettext("credentials.forgot_password", "Forgot your password?"),
    pgettext("credentials.forgot_username", "Forgot your username?"),
    pgettext(
        "credentials.promise",
        "Sent and kept encrypted, used only to read from {bank}, and never shown to {client}.",
    ),
    pgettext("credentials.refused", "Something in this form is not complete. Check each field."),
    pgettext("credentials.sending", "Sending securely…"),
    pgettext("credentials.title", "Sign in to {bank}"),
    pgettext(
        "credentials.too_many",
        "You have as many connections as are allowed. Remove one in {client} first.",
    ),
    pgettext("credentials.trouble", "Trouble signing in?"),
    pgettext("existing.lead", "Use a bank that is connected already, or add another."),
    pgettext("existing.other", "Connect another bank"),
    pgettext("existing.title", "Which bank?"),
    pgettext("failed.lead", "It is our fault, not yours. What you connected so far is safe."),
    pgettext("failed.title", "Something went wrong"),
    pgettext("form.choose", "Choose one."),
    pgettext("form.required", "This is needed."),
    pgettext("form.reveal", "Show what is typed: {label}"),
    pgettext("form.unreachable", "No connection at the moment. What you entered is still here: try again."),
    pgettext("mfa.lead", "{bank} wants to make sure that it is you."),
    pgettext("mfa.picture", "A picture from your bank, to answer the question"),
    pgettext("mfa.refused", "The answer is not complete. Check it."),
    pgettext("mfa.sending", "Sending your answer…"),
    pgettext("mfa.title", "One more question"),
    pgettext("microdeposits.account", "Account number"),
    pgettext("microdeposits.account_hint", "An account number has 4 to 17 digits."),
    pgettext("microdeposits.advice", "{bank} can be connected at once"),
    pgettext(
        "microdeposits.advice_text",
        "Signing in takes a minute, deposits a day or two. Press Continue to use deposits anyway.",
    ),
    pgettext("microdeposits.amount_form", "Enter the cents, such as 07."),
    pgettext("microdeposits.amount_hint", "In cents, between 1 and 99"),
    pgettext("microdeposits.check", "Check the amounts"),
    pgettext("microdeposits.checking", "Checking…"),
    pgettext("microdeposits.differs", "The two account numbers differ."),
    pgettext(
        "microdeposits.expected",
        "They should arrive in the account ending in {digits} by {day}. Come back then and enter their "
        "amounts.",
    ),
    pgettext("microdeposits.failed", "This account could not be verified"),
    pgettext(
        "microdeposits.failed_lead",
        "The deposits could not be made. Check the numbers, or choose your bank from the list.",
    ),
    pgettext("microdeposits.first", "First deposit"),
    pgettext("microdeposits.invalid", "These numbers cannot be right. Check them."),
    pgettext(
        "microdeposits.lead",
        "We send two small deposits. Tell us their amounts when they arrive, and the account is yours beyond "
        "doubt.",
    ),
    pgettext("microdeposits.one_try", "Look once more at your account. One try is left."),
    pgettext(
        "microdeposits.prevented",
        "The amounts were wrong three times. Connect the account by signing in to your bank instead.",
    ),
    pgettext("microdeposits.repeat", "Account number, once more"),
    pgettext("microdeposits.routing", "Routing number"),
    pgettext("microdeposits.routing_blocked", "Accounts with this routing number cannot be used here."),
    pgettext("microdeposits.routing_hint", "9 digits, at the bottom left of a check"),
    pgettext("microdeposits.routing_invalid", "No bank has this routing number. Check it."),
    pgettext("microdeposits.second", "Second deposit"),
    pgettext("microdeposits.sent", "Two deposits are on their way"),
    pgettext(
        "microdeposits.soon",
        "They usually take one or two business days. Come back then and enter their amounts.",
    ),
    pgettext("microdeposits.sooner", "Sign in to {bank}"),
    pgettext("microdeposits.title", "Use your account numbers"),
    pgettext("microdeposits.too_many", "You have used as many accounts as are allowed."),
    pgettext("microdeposits.tries", "Look once more at your account. {left} tries are left."),
    pgettext("microdeposits.type", "Kind of account"),
    pgettext("microdeposits.verified", "Your account is verified"),
    pgettext("microdeposits.verified_lead", "{client} can now use the account ending in {digits}."),
    pgettext("microdeposits.verify", "How much arrived?"),
    pgettext(
        "microdeposits.verify_lead",
        "Two small deposits arrived in the account ending in {digits}. Enter both, in any order.",
    ),
    pgettext("microdeposits.wrong", "Those were not the amounts"),
    pgettext("oauth.again", "Try again"),
    pgettext("oauth.closed", "The window seems to be closed"),
    pgettext(
        "oauth.closed_text",
        "If you have finished at {bank}, this page goes on by itself in a moment. If not, open it again.",
    ),
    pgettext("oauth.open", "Continue to {bank}"),
    pgettext("oauth.open_here", "Open {bank} here"),
    pgettext("oauth.opening", "Opening {bank}…"),
    pgettext("oauth.refused", "You are not connected yet"),
    pgettext("oauth.refused_text", "Access was not granted at {bank}. Nothing was read."),
    pgettext("oauth.title", "Sign in at {bank}"),
    pgettext("oauth.waiting", "Waiting for you to finish at {bank}…"),
    pgettext("oauth.way_1", "{bank} opens in a new window."),
    pgettext("oauth.way_2", "You sign in there and choose what to share."),
    pgettext("oauth.way_3", "You come back here. Your password stays with {bank}."),
    pgettext(
        "over.lead",
        "For your safety this page ends after a while. Go back to {client} and start again.",
    ),
    pgettext("over.title", "This page has expired"),
    pgettext("removed.lead", "Nothing more is read from it."),
    pgettext("removed.title", "{bank} is no longer connected"),
    pgettext("search.by_numbers", "Use account numbers instead"),
    pgettext("search.count", "{count} banks found"),
    pgettext("search.label", "Name of your bank, or its routing number"),
    pgettext("search.many", "Many banks found. The best matches come first."),
    pgettext("search.more", "Show more"),
    pgettext("search.none", "No bank to choose from"),
    pgettext("search.none_text", "{client} asks for banks of a kind that is not offered here."),
    pgettext("search.nothing", "Nothing found for “{query}”"),
    pgettext("search.nothing_text", "Check the spelling, or enter the 9-digit routing number."),
    pgettext("search.one", "{count} bank found"),
    pgettext("search.other", "Choose another bank"),
    pgettext("search.placeholder", "Bank or routing number"),
    pgettext("search.popular", "Popular"),
    pgettext("search.results", "Results"),
    pgettext("search.routing_hint", "A routing number has 9 digits."),
    pgettext("search.title", "Find your bank"),
)


@cache
def page_texts(locale: str) -> Mapping[str, str]:
    """All of them in this language; what it lacks is English."""
    translations = catalogue(locale)
    return {key: translations.pgettext(key, text) for key, text in TEXTS}
