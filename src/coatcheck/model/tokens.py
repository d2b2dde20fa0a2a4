"""Access tokens, without the secret."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A token that can read: not expired or revoked; its account exists; its client, processor and user are enabled."""

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
    """A token in the list for its client. The list includes expired and revoked tokens."""

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
