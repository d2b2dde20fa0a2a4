"""Access tokens, without the secret. A grant is one access token and what it may read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


class GrantStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"
    """`max_reads` is used up."""
    SUSPENDED = "suspended"
    """The connection is broken, or the user, the processor or the client is disabled. It reads again when that ends."""
    REVOKED = "revoked"
    """It was revoked, or its account was deleted."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A token as its client and its processor see it."""

    guid: str
    status: str
    """A `GrantStatus`."""
    processor_guid: str
    processor_name: str
    client_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    scope: str
    permissions: Sequence[str]
    created_at: datetime
    expires_at: datetime
    max_reads: int | None
    reads: int
    lookback_days: int | None
    last_read_at: datetime | None
    version: int
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_because: str | None
    disclosure_text: str | None
    """What the end user agreed to in the widget, if that names the processor."""
    disclosed_at: datetime | None
    simplefin_access_guid: str | None
    """The grants of one SimpleFIN access URL have the same; None for every other grant."""
