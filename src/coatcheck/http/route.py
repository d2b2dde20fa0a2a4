"""The description of an endpoint: what the server runs and what the OpenAPI document says.

Each surface has its own table of routes, and its own request if its handlers need more than a `HandlerRequest`.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from msgspec import Struct
from starlette.responses import Response

from coatcheck import errors
from coatcheck.errors import CoatcheckError
from coatcheck.http.decoding import RequestSchema
from coatcheck.http.encoding import PLAIN_JSON
from coatcheck.http.envelope import ErrorResponseBody, response_to
from coatcheck.http.query import DEFAULT_PAGE_SIZE, MAX_PAGE, MAX_PAGE_SIZE, MIN_PAGE_SIZE
from coatcheck.http.request import CompleteResponse, HandlerRequest
from coatcheck.http.throttling import NOT_COUNTED

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
    APP = auto()
    """HTTP Basic with the user name and the password of a SimpleFIN access URL, verified by the handler."""
    ANYONE = auto()
    """No authentication."""


CHALLENGES: Mapping[Caller, str] = MappingProxyType(
    {
        Caller.CLIENT: "Basic",
        Caller.PROCESSOR: "Basic",
        Caller.CLIENT_OR_PROCESSOR: "Basic",
        Caller.TOKEN: "Bearer",
    }
)
"""The scheme of `WWW-Authenticate`."""
THROTTLED = errors.TooManyRequests(timedelta(seconds=30))
FAILURES = (errors.InvalidRequest(), errors.Unavailable())
"""Answers of every endpoint that reads from the database."""
NO_CREDENTIALS = (errors.InvalidClient(),)
REFUSED_CREDENTIALS: Mapping[Caller, tuple[CoatcheckError, ...]] = MappingProxyType(
    {
        Caller.CLIENT: NO_CREDENTIALS,
        Caller.PROCESSOR: NO_CREDENTIALS,
        Caller.CLIENT_OR_PROCESSOR: NO_CREDENTIALS,
        Caller.TOKEN: (
            errors.InvalidToken(),
            errors.TokenExpired(),
            errors.TokenRevoked(),
            errors.Unauthenticated(),
            errors.InvalidDPoPProof(),
            errors.DPoPNonceRequired("bXk..."),
            errors.InsufficientScope(),
            errors.ReadsExhausted(),
            errors.ConnectionBroken(),
        ),
        Caller.APP: (errors.InvalidToken(),),
    }
)
REFUSED_BODIES = (errors.RequestTimeout(), errors.TooLarge(), errors.EncodedBody())


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path or the query, or a header."""

    name: str
    description: str
    type: str = "string"
    is_repeated: bool = False
    choices: tuple[str, ...] = ()
    """The only values, for a parameter that has an enumeration."""
    example: str | int | bool | None = None
    minimum: int | None = None
    maximum: int | None = None
    default: str | int | bool | None = None
    is_required: bool = False
    """Of a query parameter or a header. A parameter in the path is always required."""
    format: str | None = None
    """The format of a string (JSON Schema: `date`, `date-time`, `uri`, ...)."""


PAGE = (
    Parameter(
        "page",
        "The number of the page. A number out of range means the first page.",
        "integer",
        minimum=1,
        maximum=MAX_PAGE,
        default=1,
        example=1,
    ),
    Parameter(
        "records_per_page",
        f"The size of a page. A number out of range means {DEFAULT_PAGE_SIZE}.",
        "integer",
        minimum=MIN_PAGE_SIZE,
        maximum=MAX_PAGE_SIZE,
        default=DEFAULT_PAGE_SIZE,
        example=100,
    ),
)
"""The parameters of a list."""


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
    text_example: str | None = None
    """An example of an answer that is text, but not JSON."""
    other_answers: tuple[type[Struct], ...] = ()
    """Further schemas of a successful answer, which a parameter selects."""
    answer_headers: tuple[Parameter, ...] = ()
    """Headers of a successful answer."""
    status: int = 200
    """The HTTP status of a successful answer, unless the handler returns a complete response."""
    other_statuses: tuple[int, ...] = ()
    """Further statuses that have the same body, or none if they are 204."""
    own_answers: Mapping[int, type[Struct]] = field(default_factory=dict)
    """Further statuses that have a body of their own, in plain JSON."""
    refusals: tuple[CoatcheckError, ...] = ()
    """An example of each refusal of its own. `all_refusals` adds those of every endpoint of its kind."""
    in_transaction: bool | None = None
    """Whether the handler runs in one transaction; by default every method except GET does."""

    has_deadline: bool = True
    """Whether `request_deadline` applies. Not to what takes long by its nature, such as moving a sandbox's clock."""

    needs_connection: bool = True
    """Whether the handler uses `request.connection`, which is None otherwise, and in which the caller is authenticated
    before the handler runs. Without it, the handler's own statement verifies the caller."""

    path_parameters: ClassVar[tuple[Parameter, ...]] = ()
    """The parameters in the paths of the surface."""
    body_media_type: ClassVar[str] = PLAIN_JSON
    """The media type of the request body."""
    error_body: ClassVar[type[Struct]] = ErrorResponseBody
    """The schema of an error."""

    @property
    def runs_in_transaction(self) -> bool:
        return self.method != "GET" if self.in_transaction is None else self.in_transaction

    @property
    def answer_schemas(self) -> Mapping[str, Sequence[type[Struct]]]:
        """The schemas of a successful answer in each media type; the first one is that of the default."""
        return {PLAIN_JSON: (self.answer, *self.other_answers)} if isinstance(self.answer, type) else {}

    @property
    def statuses(self) -> Sequence[int]:
        """Those of a successful answer."""
        return (self.status, *self.other_statuses, *self.own_answers)

    def schemas_of(self, status: int) -> Mapping[str, Sequence[type[Struct]]]:
        """As `answer_schemas`, of one status."""
        own = self.own_answers.get(status)
        return {PLAIN_JSON: (own,)} if own else self.answer_schemas

    @property
    def all_schemas(self) -> Sequence[type[Struct]]:
        """The schemas of the successful answers, each once."""
        return tuple(
            dict.fromkeys(
                each
                for status in self.statuses
                for types in self.schemas_of(status).values()
                for each in types
            )
        )

    @property
    def all_headers(self) -> tuple[Parameter, ...]:
        """The request headers that the document lists."""
        return self.headers

    @property
    def documented_path(self) -> str:
        """The path as the OpenAPI document lists it."""
        return self.path

    def parameters_in_path(self) -> Iterator[Parameter]:
        by_name = {each.name: each for each in self.path_parameters}
        return (by_name[name] for name in PATH_PARAMETER.findall(self.path))

    def all_refusals(self) -> Iterator[CoatcheckError]:
        """An example of each error that the endpoint answers."""
        yield CoatcheckError()
        if self.path not in NOT_COUNTED:
            yield THROTTLED
        if self.needs_connection or self.caller is not Caller.ANYONE:
            yield from FAILURES
        yield from REFUSED_CREDENTIALS.get(self.caller, ())
        if PATH_PARAMETER.search(self.path):
            yield errors.NotFound()
        if self.body or self.method != "GET":
            yield from REFUSED_BODIES
        yield from self.refusals

    def refuse(self, error: CoatcheckError) -> Response:
        """The answer to an error."""
        return response_to(error, challenges=CHALLENGES.get(self.caller))


RouteT_co = TypeVar("RouteT_co", bound=Route[Any], covariant=True)


@dataclass(frozen=True, slots=True)
class Group(Generic[RouteT_co]):
    """A section of the documentation with its endpoints. Requests match the first row that fits."""

    name: str
    description: str
    routes: tuple[RouteT_co, ...]
