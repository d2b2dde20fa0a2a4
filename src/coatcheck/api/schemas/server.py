"""The state of the server."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Struct

from coatcheck.http.doc import doc
from coatcheck.http.readiness import Readiness

CheckState: TypeAlias = Literal["ok", "failed", "unknown"]


class HealthResponse(Struct, frozen=True):
    status: Annotated[Literal["ok"], doc("Always `ok`.", "ok")] = "ok"


class ReadinessChecks(Struct, frozen=True):
    database: Annotated[CheckState, doc("The database answers and accepts writes.", "ok")]
    migrations: Annotated[CheckState, doc("The schema is that of this version.", "ok")]
    keys: Annotated[CheckState, doc("The master keys that the database needs are configured.", "ok")]
    worker: Annotated[CheckState, doc("A worker gave a sign of life.", "ok")]


class ReadinessResponse(Struct, frozen=True):
    status: Annotated[Literal["ready", "not_ready"], doc("Whether every check is `ok`.", "ready")]
    checks: Annotated[ReadinessChecks, doc("The result of each check.")]


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
