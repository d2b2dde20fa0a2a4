"""Logins of the sandbox bank.

A login is a name and any number of controls: `alice`, `alice+joint`, `alice+slow=5s+no_tx`. The name (and
`persona=`) determines the household; the other controls change the bank's behaviour. A name has the same
accounts with and without controls.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from coatcheck.connectors.sandbox.bank_side import BankSide
from coatcheck.connectors.sandbox.controls import InvalidControl, argument_of, parse_controls
from coatcheck.errors import CredentialsDenied

_KEPT_LOGINS = 256
_ALIASES = {"test_atrium": "mxuser"}
"""Names of MX's older sandbox."""


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    name: str
    controls: Mapping[str, str]
    """By name. The value is the text after `=`, or empty."""
    side: BankSide = field(default_factory=BankSide)

    def __hash__(self) -> int:
        # A login is a key of caches, and its controls have no hash. Logins with one name are compared.
        return hash(self.name)

    def has(self, control: str) -> bool:
        return control in self.controls

    def argument(self, control: str) -> Any:
        """The value of the control's argument, of the type that `controls` gives it."""
        return argument_of(control, self.controls[control])

    def with_side(self, side: BankSide) -> "Login":
        """The login with the controls that were set up at the bank, which precede its own."""
        if side == self.side:
            return self
        return replace(self, controls={**self.controls, **parse_controls(side.controls)}, side=side)


@lru_cache(maxsize=_KEPT_LOGINS)
def parse_login(text: str) -> Login:
    """The name and the controls of a login. An e-mail address has no controls.

    Raises:
        CredentialsDenied: a word after `+` is not a control, or its argument is not usable.
    """
    if "@" in text:
        return Login(text, {})
    name, *words = text.split("+")
    try:
        controls = parse_controls(words)
    except InvalidControl:
        # The message does not quote the login: it is a credential.
        raise CredentialsDenied(
            "The login has a control that the sandbox bank does not know, or one with a wrong argument."
        ) from None
    return Login(_ALIASES.get(name, name), controls)
