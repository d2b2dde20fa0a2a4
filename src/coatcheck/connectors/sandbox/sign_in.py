"""What the bank remembers of a sign-in, as the member's state: new credentials delete it."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from coatcheck.connectors.sandbox.bank_side import BankEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    since: datetime | None = None
    """When the first run with these credentials ended."""
    has_aggregated: bool = False
    has_refused_answer: bool = False
    """With `wrong_then_right`: the next right answer is accepted."""
    ended: BankEvent | None = None
    """What made the bank refuse these credentials. One of `ENDS_SIGN_IN`."""

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def decode_sign_in(state: bytes | None) -> SignIn:
    return msgspec.json.decode(state, type=SignIn) if state else SignIn()
