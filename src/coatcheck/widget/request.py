"""A request to the widget's API, for handlers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import msgspec

from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.connectors.contract import JobKind
from coatcheck.connectors.statement_files.csv_mapping import CsvMapping
from coatcheck.connectors.statement_files.reading import ReadFile
from coatcheck.db.database import Connection
from coatcheck.errors import ConsentRequired, InvalidRequest
from coatcheck.grants.widget_sessions import WidgetSession
from coatcheck.http.decoding import refuse_repeated_keys
from coatcheck.members.member_rows import prevent_deletion
from coatcheck.members.oauth_windows import PreparedWindow
from coatcheck.members.widget_links import WidgetOptions
from coatcheck.model.clients import Client, find_client
from coatcheck.model.members import Member, find_member
from coatcheck.model.users import User, find_user

Body = TypeVar("Body", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class SentFile:
    """A statement file, and whose it is."""

    user: User
    data: bytes = field(repr=False)
    mapping: CsvMapping | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was read outside of any transaction, before the handler."""

    window: PreparedWindow | None = None
    """The sign-in page of the institution that the route's `signs_in_at` named."""
    file: ReadFile | None = field(default=None, repr=False)
    """The file that the route's `file_of` returned."""


@dataclass(frozen=True)
class WidgetRequest:
    """The input of a handler. Every query starts at the session's user."""

    services: Services
    connection: Connection
    session: WidgetSession
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = field(repr=False)
    content_type: str = ""
    prepared: Prepared = field(default_factory=Prepared)

    @cached_property
    def options(self) -> WidgetOptions:
        return WidgetOptions.decode(self.session.options)

    @property
    def is_for_verification(self) -> bool:
        return JobKind.VERIFICATION in self.options.kinds

    @property
    def has_micro_deposits(self) -> bool:
        """Whether the user may enter account numbers instead of signing in."""
        return self.is_for_verification and self.services.registry.depositor() is not None

    @property
    def has_statement_files(self) -> bool:
        """Whether the user may give the bank's files instead of signing in. They contain no verified numbers."""
        # The accounts of a file are not selected.
        return not self.options.select_several_accounts and not {
            JobKind.AGGREGATION,
            JobKind.HISTORY,
        }.isdisjoint(self.options.kinds)

    @property
    def locale(self) -> str:
        return self.session.locale

    async def client(self) -> Client:
        return await find_client(self.connection, self.session.client_guid)

    async def user(self) -> User:
        return await find_user(self.connection, self.session.client_guid, self.session.user_guid)

    async def member(self) -> Member:
        """The user's member with the guid in the path.

        Raises:
            NotFound: it does not exist, or is another user's.
        """
        return await find_member(self.connection, self.session.user_guid, self.path["member"])

    async def record(self, action: str, subject: str, **detail: str) -> None:
        """Writes an event of the session's user to the client's audit log."""
        await self.services.journal.record(
            self.connection,
            Entry(
                client_guid=self.session.client_guid,
                actor=self.session.user_guid,
                action=action,
                subject=subject,
                detail={"session_guid": self.session.guid, **detail},
            ),
        )

    def require_consent(self, member: Member | None = None) -> None:
        """Checks that the user agreed, or that the client opened the widget for this member.

        Raises:
            ConsentRequired: neither is true.
        """
        # A member that the client names was connected with consent before.
        is_known = member is not None and member.guid == self.options.current_member_guid
        if self.session.consented_at is None and not is_known:
            raise ConsentRequired

    async def bind_consent(self, member: Member, *, is_new: bool = False) -> None:
        """Makes what the user agreed to in this session the authorization disclosure of a member.

        If the user selects the accounts, a new member has none yet, and another one keeps what it has until then.

        Raises:
            NotFound: the member was deleted meanwhile.
        """
        is_selected_later = self.options.select_several_accounts
        if self.session.consented_at is not None and (is_new or not is_selected_later):
            await prevent_deletion(self.connection, member.user_guid, member.guid)
            await self.services.authorization_disclosures.bind(
                self.connection, self.session, member.guid, [] if is_selected_later else None
            )

    def parse(self, kind: type[Body]) -> Body:
        """The body as `kind`.

        Raises:
            InvalidRequest: the body is not valid. The message does not quote it.
        """
        try:
            decoded = msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidRequest("The body is not valid for this route.") from None
        refuse_repeated_keys(self.body)
        return decoded
