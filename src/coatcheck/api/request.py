"""One request on its way through a handler, and the reply it comes back with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl

from coatcheck.api.presenter import Presenter
from coatcheck.app import Services
from coatcheck.audit.entries import Entry
from coatcheck.db.database import Connection
from coatcheck.errors import InvalidRequest, UserDisabled
from coatcheck.events.catalogue import Event
from coatcheck.grants.secrets import PresentedSecret
from coatcheck.model.clients import Client
from coatcheck.model.users import User, find_user

MAX_CALLBACK_PAYLOAD = 1024
"""Characters of base64 (MX docs: X-CALLBACK-PAYLOAD)."""


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """An id and an API key as they were sent; nothing is said yet of whether they are good."""

    id: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    status: int
    body: bytes = b""
    media_type: str | None = None
    """Where it is not the dialect's own."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ApiRequest:
    """Everything a handler needs. `client`, `bearer` or `basic` is there as the route table says."""

    services: Services
    presenter: Presenter
    connection: Connection
    path: Mapping[str, str]
    query_string: bytes = field(repr=False)
    """May hold a code."""
    headers: Mapping[str, str] = field(repr=False)
    """Hold the credentials."""
    body: bytes = field(repr=False)
    client_or_none: Client | None = None
    bearer_or_none: PresentedSecret | None = None
    basic_or_none: BasicCredentials | None = field(default=None, repr=False)

    @property
    def client(self) -> Client:
        assert self.client_or_none is not None
        return self.client_or_none

    @property
    def bearer(self) -> PresentedSecret:
        assert self.bearer_or_none is not None
        return self.bearer_or_none

    @property
    def basic(self) -> BasicCredentials:
        assert self.basic_or_none is not None
        return self.basic_or_none

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """Every parameter of the query string, in order; repeated names stay repeated.

        Raises:
            InvalidRequest: it is not UTF-8, or absurdly long.
        """
        try:
            return parse_qsl(
                self.query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError as error:
            raise InvalidRequest("The query string cannot be read.") from error

    @property
    def callback_payload(self) -> str | None:
        """What the client wants echoed on the webhooks this call leads to.

        Raises:
            InvalidRequest: it is longer than 1,024 characters.
        """
        payload = self.headers.get("x-callback-payload")
        if payload is not None and len(payload) > MAX_CALLBACK_PAYLOAD:
            raise InvalidRequest("X-CALLBACK-PAYLOAD is at most 1024 characters.")
        return payload

    @property
    def skips_webhook(self) -> bool:
        return self.headers.get("mx-skip-webhook", "").lower() in {"true", "1"}

    async def user(self, *, lock: bool = False) -> User:
        """The client's user that the path names; held until the call's transaction ends, if that is asked for.

        Raises:
            NotFound: not there, or another client's.
        """
        return await find_user(self.connection, self.client.guid, self.path["user"], lock=lock)

    async def readable_user(self, *, lock: bool = False) -> User:
        """The user, whose data may be read: a disabled one's may not (MX docs: users).

        Raises:
            NotFound: not there, or another client's.
            UserDisabled: the client disabled the user.
        """
        user = await self.user(lock=lock)
        if user.is_disabled:
            raise UserDisabled
        return user

    async def record(
        self, action: str, subject: str, event: Event | None = None, *, notify: bool = True
    ) -> None:
        """Records in the request's transaction what the client changed, and publishes the event.

        Nothing is delivered where `notify` is False or the request has MX-Skip-Webhook.
        """
        await self.services.journal.record(
            self.connection,
            Entry(client_guid=self.client.guid, actor=self.client.guid, action=action, subject=subject),
            event,
            notify=notify and not self.skips_webhook,
        )
