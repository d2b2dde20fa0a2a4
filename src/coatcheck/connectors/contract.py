"""What a connector is: a class that reads one kind of institution. docs/reference/connectors.md explains it.

    run(session) --> add_accounts, add_transactions, ... --> Finished      everything becomes visible at once
                 --> NeedsAnswers        the end user answers, and `run` is called again with the answers
                 --> raises a BankError  the class says which connection status the member gets
    disconnect(disconnection)            after the member was deleted, where something is left at the upstream

A connector keeps nothing about a member between two runs except the state that it saved. From this program it imports
only `coatcheck.connectors.contract`, `coatcheck.errors` and `coatcheck.clock`.
"""
# ruff: noqa: ARG002 (a default implementation uses no argument; the names are the contract)

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from coatcheck.clock import Clock
from coatcheck.connectors.http_clients import HttpClients
from coatcheck.connectors.records import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankStatement,
    BankTransaction,
    ChallengeType,
    CredentialField,
    Deposits,
    Institution,
    JobKind,
    Merchant,
    Option,
    Question,
)
from coatcheck.connectors.session import (
    DisconnectedMember,
    Disconnection,
    Finished,
    MemberSecrets,
    NeedsAnswers,
    Session,
    SessionEnded,
    Task,
)
from coatcheck.errors import JobNotSupported

__all__ = [
    "ASGIApp",
    "AuthorizationRequest",
    "AuthorizationResponse",
    "BankAccount",
    "BankNumbers",
    "BankOwner",
    "BankStatement",
    "BankTransaction",
    "ChallengeType",
    "Connector",
    "ConnectorContext",
    "CredentialField",
    "Deposits",
    "DisconnectedMember",
    "Disconnection",
    "Finished",
    "HttpClients",
    "Institution",
    "JobKind",
    "MemberSecrets",
    "Merchant",
    "NeedsAnswers",
    "NoSettings",
    "Option",
    "Question",
    "RecordReader",
    "Secret",
    "Session",
    "SessionEnded",
    "SignInPage",
    "Task",
]

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

RecordReader = Callable[[str], Awaitable[bytes | None]]
"""Reads what is recorded of a member, by its guid."""

SettingsT = TypeVar("SettingsT")


class Secret:
    """A secret setting. Neither `str` nor `repr` shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of a connector that has none."""


async def no_record(_member_guid: str) -> bytes | None:
    """Nothing is recorded."""
    return None


@dataclass(frozen=True, slots=True)
class ConnectorContext(Generic[SettingsT]):
    """What a connector is built with."""

    name: str
    """The name of its entry point, which is unique in the installation."""
    settings: SettingsT
    """An instance of `Connector.settings_type`."""
    clock: Clock
    base_url: str
    """The URL of this server, without a slash at the end."""
    http: HttpClients
    read_record: RecordReader = no_record
    """What the emulator recorded of a member, for a connector that simulates a bank. Any other connector keeps what it
    knows of a member in its state."""

    @property
    def redirect_uri(self) -> str:
        """Where institutions send the user back to after an OAuth sign-in."""
        return f"{self.base_url}/oauth/callback"

    @property
    def pages_url(self) -> str:
        """Where `Connector.pages` is served."""
        return f"{self.base_url}/banks/{self.name}"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An OAuth sign-in that begins (RFC 6749 4.1.1, RFC 7636 with S256)."""

    institution_code: str
    redirect_uri: str
    state: str = field(repr=False)
    code_challenge: str
    user_guid: str = ""
    """The end user who signs in."""
    member_guid: str | None = None
    """The member whose user signs in again; None for a new member."""
    client_name: str = ""
    """Who will read, for an institution that names it; empty if it is not known."""
    kinds: Sequence[JobKind] = ()
    """What was asked for; empty if it is not known."""
    language: str = ""
    """The user's, for the institution's page (OpenID Connect Core 3.1.2.1: `ui_locales`); empty if it is not known."""


@dataclass(frozen=True, slots=True)
class SignInPage:
    """An institution's sign-in page, and what the connector needs when the user returns from it."""

    url: str = field(repr=False)
    """Contains `AuthorizationRequest.state`, so that the institution returns it."""
    resume: str = field(default="", repr=False)
    """`AuthorizationResponse.resume` of the same sign-in. It is sealed, and the browser does not see it."""


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """An OAuth sign-in that the institution answered with a code (RFC 6749 4.1.2)."""

    institution_code: str
    redirect_uri: str
    code: str = field(repr=False)
    code_verifier: str = field(repr=False)
    resume: str = field(default="", repr=False)
    """`SignInPage.resume`; empty if `authorize` returned a URL alone."""
    issuer: str | None = None
    """Which server says that it answered (RFC 9207). A connector that knows the issuer of its own refuses another's."""


class Connector(ABC):
    """Reads one kind of institution. Each process builds one instance."""

    settings_type: ClassVar[type] = NoSettings
    """A dataclass or msgspec struct. A field of type `Secret` is never shown."""
    sends_deposits: ClassVar[bool] = False
    """Whether `send_deposits` works for an account at any institution."""
    overlap: ClassVar[timedelta] = timedelta(days=14)
    """How long before its last run a daily aggregation reads the transactions of an account again: the institution can
    book one with the date of an earlier day."""
    overlap_of_pending: ClassVar[timedelta] = timedelta(days=2)
    """How long before the oldest pending transaction. The institution filters by its own days, and can know the
    transaction under an earlier date than the one that it shows. One that it does not list is deleted."""
    has_disconnect: ClassVar[bool] = False
    """Whether a member leaves something at the upstream that `disconnect` ends. Without it, the secrets of a deleted
    member are destroyed at once."""

    def __init__(self, context: ConnectorContext[Any]) -> None:
        self.name = context.name
        self._http = context.http

    @abstractmethod
    def institutions(self) -> Sequence[Institution]:
        """The institutions that it reads. The list is read once. `supports` contains the jobs of an institution."""

    @property
    def institutions_file(self) -> Path | None:
        """The file from which `institutions` reads its list. None: the connector needs no file."""
        return None

    async def fetch_institutions(self, name: str | None = None) -> Sequence[Institution]:
        """The institutions that the upstream offers now, for `institutions_file`.

        Args:
            name: a part of the name; None for all.

        Raises:
            BankError: the upstream refused or failed.
        """
        return self.institutions()

    def merchants(self) -> Sequence[Merchant]:
        """The merchants that its transactions name."""
        return ()

    @property
    def pages(self) -> ASGIApp | None:
        """Web pages of the connector's own, served below `/banks/<name>`."""
        return None

    @abstractmethod
    async def run(self, session: Session) -> Finished | NeedsAnswers:
        """Reads the data that `session.task` requests and adds it to the session.

        Raises:
            BankError: the institution refused or failed; the class says which connection status that means.
                Any other exception ends the job as FAILED, and only its type is logged.
        """

    def translate(self, text: str, language: str) -> str:
        """A text of this connector that end users read, in their language: of a question, an option or an institution.

        Args:
            text: as the connector returned it.
            language: `en`, `es` or `fr-CA`.
        """
        return text

    async def authorize(self, request: AuthorizationRequest) -> str | SignInPage:
        """The URL of the institution's sign-in page for this request, with what `complete` needs besides the code.

        Raises:
            JobNotSupported: the institution takes credentials, not OAuth.
            BankError: the institution refused or failed.
        """
        raise JobNotSupported

    async def complete(self, response: AuthorizationResponse) -> Mapping[str, str]:
        """Exchanges the code for what later runs get as `Session.credentials`; the member's state is deleted.

        Raises:
            BankError: the institution refused or failed.
        """
        raise JobNotSupported

    async def disconnect(self, disconnection: Disconnection) -> None:
        """Deletes or revokes what a deleted member has at the upstream: a consent, a session, a login.

        It is called again until it succeeds, at most for some days. Access that has ended already is no error.

        Raises:
            BankError: the upstream refused or failed. One that says that the access has ended counts as success
                (`ConsentRevoked`, `LoginClosed`, `ConnectionDiscontinued`).
        """
        raise JobNotSupported

    async def send_deposits(self, *, routing_number: str, account_number: str, now: datetime) -> Deposits:
        """Sends two micro-deposits.

        Raises:
            JobNotSupported: this connector cannot send money.
            BankError: the institution refused or failed.
        """
        raise JobNotSupported

    async def close(self) -> None:
        """Releases the connector's resources. It is called when the process stops."""
        await self._http.close()
