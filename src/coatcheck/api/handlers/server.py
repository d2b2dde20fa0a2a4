"""The server itself."""

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.server import HealthResponse, ReadinessResponse, health_body, readiness_body
from coatcheck.errors import InvalidRequest, Unavailable
from coatcheck.http.encoding import encode
from coatcheck.http.errors import headers_of
from coatcheck.http.readiness import Check, examine
from coatcheck.http.request import CompleteResponse


async def health(_request: ApiRequest) -> HealthResponse:
    return health_body()


async def ready(request: ApiRequest) -> ReadinessResponse | CompleteResponse:
    without = _excluded(request)
    readiness = await examine(request.services)
    is_ready = readiness.is_ready(without=without)
    body = readiness_body(readiness, is_ready=is_ready)
    if is_ready:
        return body
    return CompleteResponse(503, encode(body), headers=tuple(headers_of(Unavailable()).items()))


def _excluded(request: ApiRequest) -> frozenset[Check]:
    """The checks that the probe does not ask for.

    Raises:
        InvalidRequest: there is no such check.
    """
    try:
        return frozenset(Check(value) for name, value in request.query if name == "exclude")
    except ValueError as error:
        raise InvalidRequest(f"exclude must be one of {', '.join(Check)}.") from error
