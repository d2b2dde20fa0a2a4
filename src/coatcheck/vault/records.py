"""What the vault keeps, who may ask for it, and what they are shown."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias, TypeVar

from coatcheck.model.paging import Page
from coatcheck.model.tokens import LiveToken

Item = TypeVar("Item")


class SecretKind(StrEnum):
    """What a sealed secret is; part of the place it is bound to."""

    #: What the end user signs in with at the bank.
    CREDENTIALS = "CREDENTIALS"
    #: Answers to the bank's questions, until the job has used them.
    ANSWERS = "ANSWERS"
    #: What a connector keeps between two sittings.
    STATE = "STATE"
    #: The account's numbers and the two amounts.
    MICRO_DEPOSIT = "MICRO_DEPOSIT"
    #: What a widget or OAuth link carries.
    LINK = "LINK"
    #: Signs a client's webhooks.
    WEBHOOK_SECRET = "WEBHOOK_SECRET"  # noqa: S105 (the name of a kind, not a secret)
    #: A statement's PDF.
    STATEMENT = "STATEMENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountNumbers:
    """One set of an account's payment numbers. All are text: leading zeros matter."""

    account_guid: str
    account_number: str | None = field(default=None, repr=False)
    routing_number: str | None = field(default=None, repr=False)
    institution_number: str | None = field(default=None, repr=False)
    transit_number: str | None = field(default=None, repr=False)
    loan_guarantor: str | None = field(default=None, repr=False)
    loan_reference_number: str | None = field(default=None, repr=False)
    sequence_number: str | None = field(default=None, repr=False)
    passed_validation: bool = True
    guid: str = ""
    """This and the next two are given by the vault: leave them empty when keeping."""
    user_guid: str = ""
    member_guid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOwner:
    """One holder of an account."""

    account_guid: str
    owner_name: str | None = field(default=None, repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)
    city: str | None = field(default=None, repr=False)
    state: str | None = field(default=None, repr=False)
    postal_code: str | None = field(default=None, repr=False)
    country: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    guid: str = ""
    """This and the next two are given by the vault: leave them empty when keeping."""
    user_guid: str = ""
    member_guid: str = ""


@dataclass(frozen=True, slots=True)
class TokenReader:
    """A processor with an access token: it reads the one account the token names."""

    expires_week: int
    token_hash: bytes = field(repr=False)
    now: datetime


@dataclass(frozen=True, slots=True)
class ClientReader:
    """A client: it reads below one of its users, as far down as is given."""

    client_guid: str
    user_guid: str
    member_guid: str | None = None
    account_guid: str | None = None
    reader_guid: str | None = None
    """Who is told to have read, where it is not the client itself: a link, say."""


@dataclass(frozen=True, slots=True)
class WorkerReader:
    """A job of the house itself, for the bank's or the webhook's sake: it reads any secret of any owner."""

    job_guid: str
    client_guid: str | None = None


Reader: TypeAlias = TokenReader | ClientReader | WorkerReader


@dataclass(frozen=True, slots=True)
class Disclosed(Page[Item]):
    """What a token was shown, and that token."""

    token: LiveToken
