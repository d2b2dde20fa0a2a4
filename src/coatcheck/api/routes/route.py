"""The description of an endpoint: what the server runs and what the OpenAPI document says."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from msgspec import Struct

from coatcheck.api.request import ApiRequest, ApiResponse
from coatcheck.api.schemas.decoding import RequestSchema
from coatcheck.api.versions import ByVersion, Version

Handler: TypeAlias = Callable[[ApiRequest], Awaitable[Struct | ApiResponse | None]]
"""Returns the schema of the answer, None for status 204, or a complete response."""

SignsInAt: TypeAlias = Callable[[ApiRequest], Awaitable[str | None]]
"""The code of the institution whose sign-in page the request opens; None for none."""


class Caller(Enum):
    """How the caller of an endpoint authenticates."""

    CLIENT = auto()
    """HTTP Basic with a client's API key, verified before the handler runs."""
    PROCESSOR = auto()
    """HTTP Basic with a processor's API key, verified in the statement that exchanges the code."""
    TOKEN = auto()
    """A bearer token, verified in the statement that reads with it."""
    ANYONE = auto()
    """No authentication."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header."""

    name: str
    description: str
    type: str = "string"
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `operation` is MX's, or one of Coatcheck's own."""

    method: str
    path: str
    handler: Handler
    operation: str
    summary: str
    description: str = ""
    caller: Caller = Caller.CLIENT
    versions: tuple[Version, ...] = tuple(Version)
    body: type[RequestSchema] | None = None
    """The schema of the request body."""
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    answer: type[Struct] | ByVersion | None = None
    """The schema of a successful answer; None if it has no JSON body."""
    media_types: tuple[str, ...] = ()
    """The media types of an answer that is not JSON."""
    status: int = 200
    """The HTTP status of a successful answer, unless the handler returns a complete response."""
    other_statuses: tuple[int, ...] = ()
    """Further successful statuses."""
    is_in_spec: bool = True
    """Whether MX's OpenAPI documents have this operation."""
    in_transaction: bool | None = None
    """Whether the handler runs in one transaction; by default every method except GET does."""

    signs_in_at: SignsInAt | None = None
    """Runs first. The institution that it names is asked outside of any transaction, before the handler runs."""

    @property
    def runs_in_transaction(self) -> bool:
        return self.method != "GET" if self.in_transaction is None else self.in_transaction

    def answer_schema(self, version: Version) -> type[Struct] | None:
        """The schema of a successful answer in a version that the route serves."""
        return self.answer[version] if isinstance(self.answer, Mapping) else self.answer


@dataclass(frozen=True, slots=True)
class Group:
    """A section of the documentation with its endpoints. Requests match the first row that fits."""

    name: str
    description: str
    routes: tuple[Route, ...]
