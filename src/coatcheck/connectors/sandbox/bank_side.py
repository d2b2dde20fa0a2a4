"""The bank's side of one member: what a tester set up, and what has happened at the bank since.

The emulator records it for a member, and the connector reads it in every run (`ConnectorContext.read_record`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

import msgspec


class BankEvent(StrEnum):
    """What can happen on the bank's side of a member."""

    #: The bank gave every account another number.
    NUMBERS_CHANGED = "numbers_changed"
    #: The first checking account was closed.
    ACCOUNT_CLOSED = "account_closed"
    #: The user withdrew the consent.
    CONSENT_REVOKED = "consent_revoked"
    #: The user has another password.
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 (the name of an event)
    #: The bank locked the login.
    LOCKED = "locked"
    #: The accounts belong to somebody else.
    OWNER_CHANGED = "owner_changed"
    #: There were purchases and a refund in the first checking account.
    NEW_TRANSACTIONS = "new_transactions"
    #: The bank cannot be reached.
    BANK_DOWN = "bank_down"
    #: The bank can be reached again.
    BANK_UP = "bank_up"


ENDS_SIGN_IN = frozenset({BankEvent.CONSENT_REVOKED, BankEvent.PASSWORD_CHANGED, BankEvent.LOCKED})
"""Events after which the bank refuses the member's credentials until there are new ones. `SignIn.ended` has them."""
DOWN = "http_503"
"""The control of a bank that cannot be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankSide:
    controls: tuple[str, ...] = ()
    """In addition to those of the login, each with its argument: `slow=5s`."""
    accounts: tuple[str, ...] | None = None
    """The labels of the persona's accounts that the login has; None for all."""
    numbers_changed: int = 0
    """How often."""
    owner_changed: int = 0
    new_transactions: tuple[datetime, ...] = field(default=())

    def after(self, event: BankEvent, at: datetime) -> "BankSide":
        """The bank's side after an event that does not end the sign-in."""
        match event:
            case BankEvent.NUMBERS_CHANGED:
                return replace(self, numbers_changed=self.numbers_changed + 1)
            case BankEvent.OWNER_CHANGED:
                return replace(self, owner_changed=self.owner_changed + 1)
            case BankEvent.NEW_TRANSACTIONS:
                return replace(self, new_transactions=(*self.new_transactions, at))
            case BankEvent.ACCOUNT_CLOSED:
                return replace(self, controls=_with(self.controls, "closed_account"))
            case BankEvent.BANK_DOWN:
                return replace(self, controls=_with(self.controls, DOWN))
            case BankEvent.BANK_UP:
                return replace(self, controls=tuple(each for each in self.controls if each != DOWN))
        raise ValueError(f"{event} ends the sign-in")

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def decode_bank_side(record: bytes | None) -> BankSide:
    return msgspec.json.decode(record, type=BankSide) if record else BankSide()


def _with(controls: Iterable[str], control: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*controls, control]))
