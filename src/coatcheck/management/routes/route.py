"""The description of an endpoint of the management API."""

from dataclasses import dataclass
from typing import ClassVar

from coatcheck.http import route
from coatcheck.http.route import Parameter
from coatcheck.management.request import ManagementRequest
from coatcheck.management.routes.parameters import PATH_PARAMETERS


@dataclass(frozen=True, slots=True)
class Route(route.Route[ManagementRequest]):
    """One endpoint."""

    path_parameters: ClassVar[tuple[Parameter, ...]] = PATH_PARAMETERS
