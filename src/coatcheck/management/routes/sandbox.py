"""Endpoints of a sandbox. A production server does not have them."""

from coatcheck import errors
from coatcheck.http.route import Group
from coatcheck.management.handlers import sandbox_clock, sandbox_connections
from coatcheck.management.routes.route import Route
from coatcheck.management.schemas.sandbox_clock import (
    ClockMoveRequestBody,
    ClockResponseBody,
    MovedClockResponseBody,
)
from coatcheck.management.schemas.sandbox_connections import (
    ConnectionRequestBody,
    ConnectionResponseBody,
    ResetRequestBody,
    SandboxTokenRequestBody,
    SandboxTokenResponseBody,
)

SANDBOX = Group(
    "Sandbox",
    "Controls of a sandbox, for tests. On a production server these paths are 404.",
    (
        Route(
            "GET",
            "/coatcheck/sandbox/clock",
            sandbox_clock.read_clock,
            "readSandboxClock",
            "Read the clock",
            "Everything expires and falls due by this clock.",
            answer=ClockResponseBody,
        ),
        Route(
            "POST",
            "/coatcheck/sandbox/clock",
            sandbox_clock.move_clock,
            "moveSandboxClock",
            "Move the clock forward",
            "Runs everything that falls due on the way, once and in the order of the due times, and "
            "answers when it is "
            "done. The clock never moves back (422). It survives a restart, and every process follows it.",
            body=ClockMoveRequestBody,
            answer=MovedClockResponseBody,
            in_transaction=False,
            has_deadline=False,
            refusals=(errors.Unprocessable("The clock only moves forward."),),
        ),
        Route(
            "POST",
            "/coatcheck/sandbox/connections",
            sandbox_connections.create_connection,
            "createSandboxConnection",
            "Connect a member in one call",
            "Creates a user unless one is given, connects a member at the sandbox bank, and answers when "
            "its jobs have "
            "ended. The controls are those of the sandbox bank's logins.",
            body=ConnectionRequestBody,
            answer=ConnectionResponseBody,
            in_transaction=False,
            has_deadline=False,
            refusals=(errors.NotFound(), errors.Unprocessable()),
        ),
        Route(
            "POST",
            "/coatcheck/sandbox/tokens",
            sandbox_connections.create_token,
            "createSandboxToken",
            "Issue a token in one call",
            "For an existing account, or for the first account with numbers of a new connection. The key is "
            "not needed.",
            body=SandboxTokenRequestBody,
            answer=SandboxTokenResponseBody,
            in_transaction=False,
            has_deadline=False,
            refusals=(errors.InvalidScope(), errors.NotFound(), errors.Unprocessable()),
        ),
        Route(
            "POST",
            "/coatcheck/sandbox/reset",
            sandbox_connections.reset_users,
            "resetSandbox",
            "Reset users",
            "Deletes all of your users, or the members of one with their accounts and tokens. Keys, processors "
            "and the clock stay. No webhook is sent.",
            body=ResetRequestBody,
            status=204,
            in_transaction=False,
            has_deadline=False,
            refusals=(errors.NotFound(),),
        ),
    ),
)
ROUTES: tuple[Route, ...] = SANDBOX.routes
