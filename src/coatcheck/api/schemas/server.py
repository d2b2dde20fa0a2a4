"""The state of the server."""

from msgspec import Struct


class HealthResponse(Struct, frozen=True):
    status: str = "ok"


def health_body() -> HealthResponse:
    return HealthResponse()
