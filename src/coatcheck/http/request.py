"""The request that a handler gets, and the response of a handler that returns more than a schema."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl

from coatcheck.app import Services
from coatcheck.db.database import Connection
from coatcheck.errors import InvalidRequest
from coatcheck.grants.confirmations import PresentedToken
from coatcheck.grants.secrets import Kind
from coatcheck.model.clients import Client


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """The id and the API key of HTTP Basic, not yet verified."""

    id: str
    api_key: str = field(repr=False)
    kind: Kind
    """The kind of caller that the key's prefix names."""


@dataclass(frozen=True, slots=True)
class CompleteResponse:
    """The response of a handler that returns more than a schema."""

    status: int
    body: bytes = field(default=b"", repr=False)
    media_type: str | None = None
    """None: the JSON media type of the surface, or of the request's version."""
    headers: tuple[tuple[str, str], ...] = ()
    chunks: AsyncIterator[bytes] | None = field(default=None, repr=False)
    """The body, produced while it is sent, so that it is never all in memory. An error can only break it off."""


@dataclass
class HandlerRequest:
    """The arguments of a handler. `client`, `bearer` or `basic` is set according to the route's caller."""

    services: Services
    connection: Connection
    path: Mapping[str, str]
    query_string: bytes = field(repr=False)
    """May contain a code."""
    headers: Mapping[str, str] = field(repr=False)
    """Contain credentials."""
    body: bytes = field(repr=False)
    client_or_none: Client | None = None
    bearer_or_none: PresentedToken | None = None
    basic_or_none: BasicCredentials | None = field(default=None, repr=False)

    @property
    def client(self) -> Client:
        assert self.client_or_none is not None
        return self.client_or_none

    @property
    def bearer(self) -> PresentedToken:
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
            # The limit holds before the caller is authenticated: each parameter costs memory.
            return parse_qsl(
                self.query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError as error:
            raise InvalidRequest("The query string cannot be parsed.") from error
