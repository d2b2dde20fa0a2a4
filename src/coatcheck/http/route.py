"""The description of an endpoint: what the server runs and what the OpenAPI document says.

Each surface has its own table of routes, and its own request if its handlers need more than a `HandlerRequest`.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from msgspec import Struct

from coatcheck.http.decoding import RequestSchema
from coatcheck.http.encoding import PLAIN_JSON
from coatcheck.http.request import CompleteResponse, HandlerRequest

RequestT = TypeVar("RequestT", bound=HandlerRequest)

Handler: TypeAlias = Callable[[RequestT], Awaitable[Struct | CompleteResponse | None]]
"""Returns the schema of the answer, None for status 204, or a complete response."""

PATH_PARAMETER = re.compile(r"{(\w+)}")


class Caller(Enum):
    """How the caller of an endpoint authenticates."""

    CLIENT = auto()
    """HTTP Basic with a client's API key, verified before the handler runs."""
    PROCESSOR = auto()
    """HTTP Basic with a processor's API key, verified in the statement that exchanges the code."""
    CLIENT_OR_PROCESSOR = auto()
    """HTTP Basic with an API key of either, verified before the handler runs. The handler shows each its own."""
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
    choices: tuple[str, ...] = ()
    """The only values, for a parameter that has an enumeration."""


PAGE = (
    Parameter("page", "The number of the page, from 1.", "integer"),
    Parameter("records_per_page", "10 to 1000 (institutions: 100). Any other value means 25.", "integer"),
)


@dataclass(frozen=True, slots=True)
class Route(Generic[RequestT]):
    """One endpoint. `operation` is its name in the OpenAPI document and in the log."""

    method: str
    path: str
    handler: Handler[RequestT]
    operation: str
    summary: str
    description: str = ""
    caller: Caller = Caller.CLIENT
    body: type[RequestSchema] | None = None
    """The schema of the request body."""
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    answer: type[Struct] | Mapping[Any, type[Struct]] | None = None
    """The schema of a successful answer, or one for each version; None if it has no JSON body."""
    media_types: tuple[str, ...] = ()
    """The media types of an answer that is not JSON."""
    other_answers: tuple[type[Struct], ...] = ()
    """Further schemas of a successful answer, which a parameter selects."""
    answer_headers: tuple[Parameter, ...] = ()
    """Headers of a successful answer."""
    status: int = 200
    """The HTTP status of a successful answer, unless the handler returns a complete response."""
    other_statuses: tuple[int, ...] = ()
    """Further successful statuses."""
    in_transaction: bool | None = None
    """Whether the handler runs in one transaction; by default every method except GET does."""

    has_deadline: bool = True
    """Whether `request_deadline` applies. Not to what takes long by its nature, such as moving a sandbox's clock."""

    needs_connection: bool = True
    """Whether the handler uses `request.connection`, which is None otherwise. Only for callers that are anyone."""

    path_parameters: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The description of each parameter in the paths of the surface."""
    body_media_type: ClassVar[str] = PLAIN_JSON
    """The media type of the request body."""
    error_body: ClassVar[type[Struct] | None] = None
    """The schema of an error; None for that of MX's API."""

    @property
    def runs_in_transaction(self) -> bool:
        return self.method != "GET" if self.in_transaction is None else self.in_transaction

    @property
    def answer_schemas(self) -> Mapping[str, type[Struct]]:
        """The schema of a successful answer in each media type."""
        return {PLAIN_JSON: self.answer} if isinstance(self.answer, type) else {}

    @property
    def all_headers(self) -> tuple[Parameter, ...]:
        """The request headers that the document lists."""
        return self.headers

    def parameters_in_path(self) -> Iterator[Parameter]:
        for name in PATH_PARAMETER.findall(self.path):
            yield Parameter(name, self.path_parameters[name])


RouteT_co = TypeVar("RouteT_co", bound=Route[Any], covariant=True)


@dataclass(frozen=True, slots=True)
class Group(Generic[RouteT_co]):
    """A section of the documentation with its endpoints. Requests match the first row that fits."""

    name: str
    description: str
    routes: tuple[RouteT_co, ...]
