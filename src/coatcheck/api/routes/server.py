"""Endpoints about the server itself."""

from coatcheck.api.handlers import server
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.server import HealthResponse
from coatcheck.http.route import Caller, Group

SERVER = Group(
    "Server",
    "The server itself.",
    (
        Route(
            "GET",
            "/health",
            server.health,
            "health",
            "Check that the server can answer requests",
            "The database is queried.",
            caller=Caller.ANYONE,
            answer=HealthResponse,
            is_in_spec=False,
        ),
    ),
)
