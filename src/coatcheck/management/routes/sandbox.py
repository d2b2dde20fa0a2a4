"""Endpoints of a sandbox. A production server does not have them."""

from coatcheck.http.route import Group
from coatcheck.management.handlers import sandbox_clock
from coatcheck.management.routes.route import Route
from coatcheck.management.schemas.sandbox_clock import (
    ClockMoveRequestBody,
    ClockResponseBody,
    MovedClockResponseBody,
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
            "Runs everything that falls due on the way, once and in the order of the due times, and answers when it is "
            "done. The clock never moves back (422). It survives a restart, and every process follows it.",
            body=ClockMoveRequestBody,
            answer=MovedClockResponseBody,
            in_transaction=False,
            has_deadline=False,
        ),
    ),
)
ROUTES: tuple[Route, ...] = SANDBOX.routes
