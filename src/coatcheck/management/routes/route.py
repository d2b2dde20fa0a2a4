"""The description of an endpoint of the management API."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from msgspec import Struct
from starlette.responses import Response

from coatcheck.errors import CoatcheckError, UnreadableFile
from coatcheck.http import route
from coatcheck.http.envelope import FileErrorResponseBody, refused_file
from coatcheck.http.multipart import MAX_FIELD_BYTES, MULTIPART
from coatcheck.http.route import PATH_PARAMETER, Parameter
from coatcheck.imports.imports import MAX_FILE_BYTES
from coatcheck.management.request import ManagementRequest
from coatcheck.management.routes.parameters import PATH_PARAMETERS

GUID = "guid"
"""The name that the documents have for the parameter in every path."""
YAML = "application/yaml"
"""RFC 9512."""


@dataclass(frozen=True, slots=True)
class Route(route.Route[ManagementRequest]):
    """One endpoint."""

    path_parameters: ClassVar[tuple[Parameter, ...]] = PATH_PARAMETERS
    max_body_bytes: ClassVar[int] = 256 * 1024
    body_deadline: ClassVar[float | None] = None
    """The seconds in which the body must arrive. None: the setting `body_deadline`."""

    # Every path names one object, by its guid. The handlers name it by its kind, as those of MX's API do.
    @property
    def documented_path(self) -> str:
        return PATH_PARAMETER.sub(f"{{{GUID}}}", self.path)

    def parameters_in_path(self) -> Iterator[Parameter]:
        # With its arguments: see `UploadRoute.refuse`.
        return (replace(each, name=GUID) for each in super(Route, self).parameters_in_path())


@dataclass(frozen=True, slots=True)
class YamlRoute(Route):
    """An endpoint whose request body is YAML."""

    body_media_type: ClassVar[str] = YAML


@dataclass(frozen=True, slots=True)
class UploadRoute(Route):
    """An endpoint that takes a file and fields (RFC 7578)."""

    body_media_type: ClassVar[str] = MULTIPART
    max_body_bytes: ClassVar[int] = MAX_FILE_BYTES + 2 * MAX_FIELD_BYTES
    body_deadline: ClassVar[float | None] = 120.0
    error_body: ClassVar[type[Struct]] = FileErrorResponseBody

    def refuse(self, error: CoatcheckError) -> Response:
        # With its arguments: `slots=True` makes another class, which a bare super() does not know
        # (python/cpython#90562).
        return (
            refused_file(error)
            if isinstance(error, UnreadableFile)
            else super(UploadRoute, self).refuse(error)
        )
