"""What the vault stores, and who may read it."""

from dataclasses import dataclass, field
from enum import StrEnum


class SecretKind(StrEnum):
    """The kind of a sealed secret. It is part of the context that the secret is bound to."""

    #: The credentials of the end user at the bank.
    CREDENTIALS = "CREDENTIALS"
    #: Answers to the bank's questions, until the job has used them.
    ANSWERS = "ANSWERS"
    #: What a connector stores between two syncs.
    STATE = "STATE"
    #: The account's numbers and the two amounts.
    MICRO_DEPOSIT = "MICRO_DEPOSIT"
    #: The options of a widget or OAuth link.
    LINK = "LINK"
    #: Signs a client's webhooks.
    WEBHOOK_SECRET = "WEBHOOK_SECRET"  # noqa: S105 (the name of a kind, not a secret)
    #: Signs the webhooks of an endpoint, and the credentials that its receiver asks for.
    WEBHOOK_ENDPOINT = "WEBHOOK_ENDPOINT"
    #: A statement's PDF.
    STATEMENT = "STATEMENT"
    #: How the columns of a CSV file are read.
    CSV_MAPPING = "CSV_MAPPING"


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
    is_tokenized: bool | None = None
    """Whether the account number stands for the real one, which the bank does not give. None: not known."""
    guid: str = ""
    """Assigned by the vault, as are the next two fields. Leave them empty when storing."""
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
    """Assigned by the vault, as are the next two fields. Leave them empty when storing."""
    user_guid: str = ""
    member_guid: str = ""


@dataclass(frozen=True, slots=True)
class ClientReader:
    """A client that reads the data of one of its users, limited to a member or an account where one is given."""

    client_guid: str
    user_guid: str
    member_guid: str | None = None
    account_guid: str | None = None
    reader_guid: str | None = None
    """The reader that the disclosure names, if it is not the client itself: a link, for example."""


@dataclass(frozen=True, slots=True)
class WorkerReader:
    """A job of this server that calls a bank or sends a webhook. It can read any secret of any owner."""

    job_guid: str
    client_guid: str | None = None
