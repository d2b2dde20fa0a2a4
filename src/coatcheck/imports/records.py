"""What an import brought."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class ImportedAccount:
    account_guid: str | None
    """None in a preview, for an account that does not exist yet."""
    name: str | None
    added: int
    """How many transactions the file added to the account."""
    already_known: int
    balance: Decimal | None
    """The closing balance of the file."""
    available_balance: Decimal | None
    balance_on: date | None
    account_hash: bytes | None = field(default=None, repr=False)
    """The hash of the account's numbers, as micro-deposits use it."""


@dataclass(frozen=True, slots=True)
class Import:
    guid: str | None
    """None in a preview."""
    user_guid: str
    member_guid: str | None
    format: str
    warnings: Sequence[str]
    accounts: Sequence[ImportedAccount]
    created_at: datetime
