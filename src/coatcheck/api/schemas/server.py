"""The state of the server."""

from typing import Literal, TypeAlias

from msgspec import Struct

from coatcheck.http.readiness import Readiness

CheckState: TypeAlias = Literal["ok", "failed", "unknown"]


class HealthResponse(Struct, frozen=True):
    status: Literal["ok"] = "ok"


class ReadinessChecks(Struct, frozen=True):
    database: CheckState
    migrations: CheckState
    keys: CheckState
    worker: CheckState


class ReadinessResponse(Struct, frozen=True):
    status: Literal["ready", "not_ready"]
    checks: ReadinessChecks


def health_body() -> HealthResponse:
    return HealthResponse()


def readiness_body(readiness: Readiness, *, is_ready: bool) -> ReadinessResponse:
    return ReadinessResponse(
        status="ready" if is_ready else "not_ready",
        checks=ReadinessChecks(
            database=readiness.database.value,
            migrations=readiness.migrations.value,
            keys=readiness.keys.value,
            worker=readiness.worker.value,
        ),
    )
