"""The description of an endpoint of the management API."""

from dataclasses import dataclass
from typing import ClassVar

from coatcheck.http import route
from coatcheck.http.route import Parameter
from coatcheck.management.request import ManagementRequest
from coatcheck.management.routes.parameters import PATH_PARAMETERS

YAML = "application/yaml"
"""RFC 9512."""


@dataclass(frozen=True, slots=True)
class Route(route.Route[ManagementRequest]):
    """One endpoint."""

    path_parameters: ClassVar[tuple[Parameter, ...]] = PATH_PARAMETERS


@dataclass(frozen=True, slots=True)
class YamlRoute(Route):
    """An endpoint whose request body is YAML."""

    body_media_type: ClassVar[str] = YAML
