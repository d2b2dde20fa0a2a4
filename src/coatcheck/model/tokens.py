"""Access tokens as their readers and their clients see them: never the secret."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A token that is neither expired nor revoked, and everything it names exists and is enabled."""

    guid: str
    client_guid: str
    processor_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    owners_at_transactions: bool
    numbers_as_strings: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token in the list of its client, which includes those that no longer work."""

    guid: str
    processor_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    scope: str
    first_characters: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None
    active: bool
