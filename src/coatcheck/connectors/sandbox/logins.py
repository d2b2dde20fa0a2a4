"""Logins of the sandbox bank, and the controls in them.

A login is a name and any number of controls: `alice`, `alice+joint`, `alice+slow=5+no_tx`. The name (and
`persona=`) determines the household; the other controls change the bank's behaviour. A name has the same
accounts with and without controls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from coatcheck.errors import CredentialsDenied

CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "persona": "`persona=<name>` selects the household: salaried, gig, student, retired, business, "
        "thin_file, overdrawn or affluent.",
        "empty": "The login has no accounts.",
        "closed_account": "The first checking account is closed, at 0.00 and without transactions.",
        "nsf": "The balance of checking and savings is always 7.31: every movement is offset immediately.",
        "no_tx": "The bank returns no transactions.",
        "many_tx": "The first account has 10,000 more transactions in 24 months; `many_tx=<n>` for n more.",
        "unusable_rows": "Some transactions have a NUL or 5,000 characters in a text, one is repeated, and three "
        "cannot be stored and are skipped.",
        "pending_only": "Transactions of the last five days are pending, and older ones are not returned.",
        "joint": "Every account has a second owner.",
        "no_owner": "The bank returns no owners.",
        "name_mismatch": "The owner is not the login's usual owner.",
        "business": "Accounts are business accounts, owned by a company.",
        "leading_zeros": "Account numbers begin with two zeros, routing numbers with one.",
        "seventeen_digits": "Account numbers have 17 digits, the longest that ACH carries.",
        "canadian": "Institution and transit numbers instead of a routing number, and Canadian dollars.",
        "tokenized": "Account numbers are valid only for this member and do not match the mask.",
        "wrong_number": "The routing number has a wrong check digit: `passed_validation` is false.",
        "mfa_twice": "The bank asks two security questions, one after the other.",
        "slow": "The bank takes 3 seconds; `slow=<seconds>` for another time.",
        "hang": "The bank never answers.",
        "flaky": "Half of all attempts fail with 503; `flaky=0.3` for another share.",
        "http_500": "The bank fails with 500.",
        "http_503": "The bank is unavailable, 503.",
        "timed_out": "The bank times out (DELAYED).",
        "locked": "The login is locked (LOCKED).",
        "impeded": "The user must act on the bank's own site first (IMPEDED).",
        "consent_revoked": "The user withdrew the consent at the bank (DISCONNECTED).",
        "login_closed": "The user is no longer a customer (CLOSED).",
        "discontinued": "The bank no longer offers this connection (DISCONTINUED).",
    }
)
"""Every control and its effect, as the documentation and the authorization page list them."""

_ALIASES = {"test_atrium": "mxuser"}
"""Names of MX's older sandbox."""


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    name: str
    controls: Mapping[str, str]
    """By name. The value is the text after `=`, or empty."""

    def has(self, word: str) -> bool:
        return word in self.controls

    def number(self, word: str, default: float) -> float:
        """The number after `word=`.

        Raises:
            CredentialsDenied: it is not a number of at least 0.
        """
        value = self.controls.get(word) or default
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e6:
            raise CredentialsDenied(f"`{word}=` at the sandbox bank takes a number from 0 up.")
        return number


def parse_login(text: str) -> Login:
    """The name and the controls of a login. An e-mail address has no controls.

    Raises:
        CredentialsDenied: a word after `+` is not a control.
    """
    if "@" in text:
        return Login(text, {})
    name, *words = text.split("+")
    pairs = (word.partition("=") for word in words)
    controls = {word: value for word, _, value in pairs}
    if not controls.keys() <= CONTROLS.keys():
        raise CredentialsDenied("The login has a control that the sandbox bank does not know.")
    return Login(_ALIASES.get(name, name), controls)
