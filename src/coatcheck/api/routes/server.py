"""Endpoints about the server itself."""

from coatcheck import errors
from coatcheck.api.handlers import server
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.server import HealthResponse, ReadinessResponse
from coatcheck.http.readiness import Check
from coatcheck.http.route import Caller, Group, Parameter

SERVER = Group(
    "Server",
    "The server itself.",
    (
        Route(
            "GET",
            "/health",
            server.health,
            "health",
            "Check that the process is alive",
            "The database is not queried: a process whose database is away must not be restarted.",
            caller=Caller.ANYONE,
            answer=HealthResponse,
            needs_connection=False,
            is_in_spec=False,
        ),
        Route(
            "GET",
            "/ready",
            server.ready,
            "ready",
            "Check that the installation can do its work",
            "Database, migrations, keys, and the heartbeat of a worker. The status is 503 unless every "
            "check is "
            "`ok`. A check is `unknown` if an earlier one failed.",
            caller=Caller.ANYONE,
            query=(
                Parameter(
                    "exclude",
                    "A check whose result does not matter, such as `worker` for a proxy. Can be repeated.",
                    is_repeated=True,
                    choices=tuple(Check),
                    example="worker",
                ),
            ),
            answer=ReadinessResponse,
            other_statuses=(503,),
            needs_connection=False,
            is_in_spec=False,
            refusals=(errors.InvalidRequest(),),
        ),
    ),
)
