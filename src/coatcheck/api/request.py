"""The request that a handler gets, and the response of a handler that returns more than a schema."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl

from coatcheck.api.versions import Version
from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.errors import InvalidRequest, UserDisabled
from coatcheck.grants.secrets import PresentedSecret
from coatcheck.members.oauth import PreparedWindow
from coatcheck.model.clients import Client
from coatcheck.model.users import User, find_user

MAX_CALLBACK_PAYLOAD_LENGTH = 1024
"""Characters of base64 (MX docs: X-CALLBACK-PAYLOAD)."""


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """The id and the API key of HTTP Basic, not yet verified."""

    id: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    status: int
    body: bytes = field(default=b"", repr=False)
    media_type: str | None = None
    """None: the JSON media type of the request's version."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ApiRequest:
    """The arguments of a handler. `client`, `bearer` or `basic` is set according to the route's caller."""

    services: Services
    version: Version
    connection: Connection
    path: Mapping[str, str]
    query_string: bytes = field(repr=False)
    """May contain a code."""
    headers: Mapping[str, str] = field(repr=False)
    """Contain credentials."""
    body: bytes = field(repr=False)
    client_or_none: Client | None = None
    bearer_or_none: PresentedSecret | None = None
    basic_or_none: BasicCredentials | None = field(default=None, repr=False)
    prepared_window: PreparedWindow | None = None
    """The sign-in page of the institution that the route's `signs_in_at` named."""

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
        """All parameters of the query string, in order.

        Raises:
            InvalidRequest: it is not UTF-8 or has more than 100 parameters.
        """
        try:
            return parse_qsl(
                self.query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError as error:
            raise InvalidRequest("The query string cannot be parsed.") from error

    @property
    def callback_payload(self) -> str | None:
        """The payload that the webhooks of this request repeat.

        Raises:
            InvalidRequest: it has more than 1,024 characters.
        """
        payload = self.headers.get("x-callback-payload")
        if payload is not None and len(payload) > MAX_CALLBACK_PAYLOAD_LENGTH:
            raise InvalidRequest("X-CALLBACK-PAYLOAD must have at most 1024 characters.")
        return payload

    @property
    def skips_webhook(self) -> bool:
        return self.headers.get("mx-skip-webhook", "").lower() in {"true", "1"}

    async def user(self, *, lock: bool = False) -> User:
        """The user in the path.

        Args:
            lock: locks the row until the transaction ends.

        Raises:
            NotFound: the client has no such user.
        """
        return await find_user(self.connection, self.client.guid, self.path["user"], lock=lock)

    async def readable_user(self, *, lock: bool = False) -> User:
        """The user in the path, unless it is disabled: its data cannot be read then (MX docs: users).

        Raises:
            NotFound: the client has no such user.
            UserDisabled: the client disabled the user.
        """
        user = await self.user(lock=lock)
        if user.is_disabled:
            raise UserDisabled
        return user
