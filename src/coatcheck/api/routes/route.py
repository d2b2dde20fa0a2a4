"""The description of an endpoint of MX's API, with the versions that serve it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from msgspec import Struct

from coatcheck import errors
from coatcheck.api.request import ApiRequest
from coatcheck.api.routes.parameters import PATH_PARAMETERS, USER
from coatcheck.api.versions import VENDOR, Version
from coatcheck.errors import CoatcheckError
from coatcheck.http import route
from coatcheck.http.encoding import PLAIN_JSON
from coatcheck.http.route import Parameter
from coatcheck.members.oauth_windows import SignInPlace

SignsInAt: TypeAlias = Callable[[ApiRequest], Awaitable[SignInPlace | None]]
"""Where the sign-in page is that the request opens; None for none."""


@dataclass(frozen=True, slots=True)
class Route(route.Route[ApiRequest]):
    """One endpoint. `operation` is MX's, or one of Coatcheck's own."""

    versions: tuple[Version, ...] = tuple(Version)
    is_in_spec: bool = True
    """Whether MX's OpenAPI documents have this operation."""
    signs_in_at: SignsInAt | None = None
    """Runs first. The institution that it names is asked outside of any transaction, before the handler runs."""

    path_parameters: ClassVar[tuple[Parameter, ...]] = PATH_PARAMETERS

    def answer_schema(self, version: Version) -> type[Struct] | None:
        """The schema of a successful answer in a version that the route serves."""
        return self.answer[version] if isinstance(self.answer, Mapping) else self.answer

    @property
    def answer_schemas(self) -> Mapping[str, Sequence[type[Struct]]]:
        """Without `Accept-Version` the answer has the schema of v20111101, which is the first, also as plain JSON."""
        schemas = {version: schema for version in self.versions if (schema := self.answer_schema(version))}
        vendor = {VENDOR: (schemas[Version.V20111101],)} if Version.V20111101 in schemas else {}
        plain = {PLAIN_JSON: tuple(dict.fromkeys(schemas.values()))} if schemas else {}
        return vendor | plain

    @property
    def all_headers(self) -> tuple[Parameter, ...]:
        if Version.V20250224 not in self.versions:
            return self.headers
        default = self.versions[0] if Version.V20111101 in self.versions else None
        version = Parameter(
            "Accept-Version",
            "The version of MX's API. Without the header it is v20111101."
            if default
            else "The version of MX's API. Required: v20111101 does not have this operation.",
            choices=self.versions,
            default=default,
            is_required=default is None,
            example=self.versions[0],
        )
        return (*self.headers, version)

    def all_refusals(self) -> Iterator[CoatcheckError]:
        # Without super(): a dataclass with slots is a new class, which super() does not know.
        yield from route.Route.all_refusals(self)
        yield errors.UnknownVersion()
        if self.path.startswith(f"{USER}/"):
            yield errors.UserDisabled()
        if len(self.versions) < len(Version) and "{" not in self.path:
            yield errors.NotFound()
