"""What a statement file contains, whatever its format. Frozen records without behaviour but for sums."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

NO_CURRENCY = "XXX"
"""ISO 4217: no currency is stated."""
MAX_ACCOUNTS = 1_000
MAX_TRANSACTIONS = 100_000
"""Of one file."""
TOO_MANY = f"The file has more than {MAX_TRANSACTIONS:,} transactions. Split it."


class FileFormat(StrEnum):
    OFX = "OFX"
    CAMT = "CAMT"
    MT940 = "MT940"
    BAI2 = "BAI2"
    CSV = "CSV"


@dataclass(frozen=True, slots=True)
class FileBalance:
    amount: Decimal
    """As the bank writes it: negative is a debt of the account's holder."""
    on: date


@dataclass(frozen=True, slots=True)
class FileTransaction:
    date: date
    """The day on which the bank booked it, in the bank's time zone."""
    amount: Decimal
    """Signed: negative is money out of the account."""
    description: str
    currency_code: str
    bank_id: str | None = None
    """The bank's own id, where the format says that it is unique in the account."""
    reference: str | None = None
    """A reference of the bank or the customer that need not be unique."""
    is_pending: bool = False
    transacted_at: datetime | None = None
    posted_at: datetime | None = None
    memo: str | None = None
    check_number: str | None = None
    kind: str | None = None
    """The bank's code for the kind of transaction, unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccount:
    """An account with what one file says of it."""

    currency_code: str
    number: str | None = field(default=None, repr=False)
    iban: str | None = field(default=None, repr=False)
    routing_number: str | None = None
    bank: str | None = None
    """The bank's own identifier in the file: a BIC, a bank code or a name."""
    owner_name: str | None = field(default=None, repr=False)
    name: str | None = None
    type: str = "CHECKING"
    """MX's account type."""
    subtype: str | None = None
    opening: FileBalance | None = None
    closing: FileBalance | None = None
    available: FileBalance | None = None
    transactions: Sequence[FileTransaction] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """What tells the account from others, however it is spelled, and its currency."""
        number = (self.iban or self.number or "").replace(" ", "").upper()
        # With the currency: banks give the accounts in several currencies one number.
        return number or self.name or "", self.currency_code

    @property
    def difference(self) -> Decimal:
        """By how much the booked transactions and the opening balance miss the closing balance."""
        if self.opening is None or self.closing is None:
            return Decimal(0)
        booked = sum((each.amount for each in self.transactions if not each.is_pending), Decimal(0))
        return self.closing.amount - self.opening.amount - booked


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement file that was read to its end."""

    format: FileFormat
    accounts: Sequence[FileAccount]
    warnings: Sequence[str] = ()
    """Messages for the user. They contain no account number."""
