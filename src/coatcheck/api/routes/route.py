"""The description of an endpoint of MX's API, with the versions that serve it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from msgspec import Struct

from coatcheck.api.request import ApiRequest
from coatcheck.api.routes.parameters import PATH_PARAMETERS
from coatcheck.api.versions import VENDOR, Version
from coatcheck.http import route
from coatcheck.http.encoding import PLAIN_JSON
from coatcheck.http.route import Parameter

SignsInAt: TypeAlias = Callable[[ApiRequest], Awaitable[str | None]]
"""The code of the institution whose sign-in page the request opens; None for none."""


@dataclass(frozen=True, slots=True)
class Route(route.Route[ApiRequest]):
    """One endpoint. `operation` is MX's, or one of Coatcheck's own."""

    versions: tuple[Version, ...] = tuple(Version)
    is_in_spec: bool = True
    """Whether MX's OpenAPI documents have this operation."""
    signs_in_at: SignsInAt | None = None
    """Runs first. The institution that it names is asked outside of any transaction, before the handler runs."""

    path_parameters: ClassVar[Mapping[str, str]] = PATH_PARAMETERS

    def answer_schema(self, version: Version) -> type[Struct] | None:
        """The schema of a successful answer in a version that the route serves."""
        return self.answer[version] if isinstance(self.answer, Mapping) else self.answer

    @property
    def answer_schemas(self) -> Mapping[str, type[Struct]]:
        schemas = {PLAIN_JSON: self.answer_schema(self.versions[-1])}
        if Version.V20111101 in self.versions:
            schemas[VENDOR] = self.answer_schema(Version.V20111101)
        return {media_type: schema for media_type, schema in schemas.items() if schema}

    @property
    def all_headers(self) -> tuple[Parameter, ...]:
        if Version.V20250224 not in self.versions:
            return self.headers
        description = "The version of the answer. The default is v20111101."
        return (*self.headers, Parameter("Accept-Version", description, choices=self.versions))
