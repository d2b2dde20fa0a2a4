"""Endpoints of a sandbox. A production server does not have them."""

from coatcheck import errors
from coatcheck.emulator.worlds.schema import World
from coatcheck.http import doc
from coatcheck.http.route import Group
from coatcheck.management.handlers import (
    sandbox_activity,
    sandbox_clock,
    sandbox_connections,
    sandbox_events,
    sandbox_faults,
    sandbox_worlds,
)
from coatcheck.management.routes.route import YAML, Route, YamlRoute
from coatcheck.management.schemas.sandbox_activity import ActivityResponseBody
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
from coatcheck.management.schemas.sandbox_events import BankEventRequestBody, BankEventResponseBody
from coatcheck.management.schemas.sandbox_faults import (
    FaultRequestBody,
    FaultResponseBody,
    FaultsResponseBody,
)
from coatcheck.management.schemas.sandbox_worlds import WorldResponseBody

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
            refusals=(errors.Unprocessable(),),
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
            refusals=(errors.NotFound(), errors.DuplicateMember(doc.MEMBER)),
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
            refusals=(
                errors.InvalidScope(),
                errors.NotFound(),
                errors.DuplicateMember(doc.MEMBER),
                errors.Unprocessable(),
            ),
        ),
        Route(
            "POST",
            "/coatcheck/sandbox/members/{member}/events",
            sandbox_events.create_event,
            "createSandboxEvent",
            "Let something happen at the bank",
            "Changes the bank's side of a member. The member notices it in its next job, or at once with `notice`.",
            body=BankEventRequestBody,
            answer=BankEventResponseBody,
            in_transaction=False,
            has_deadline=False,
            refusals=(errors.Conflict(), errors.Unprocessable()),
        ),
        Route(
            "POST",
            "/coatcheck/sandbox/faults",
            sandbox_faults.create_fault,
            "createSandboxFault",
            "Add a fault to a route",
            "From now on, answers of the route are errors, late or lost, for every caller. The same seed and the same "
            "order of requests hit the same ones. Routes below `/coatcheck/sandbox` have no faults.",
            body=FaultRequestBody,
            answer=FaultResponseBody,
            refusals=(errors.Conflict("There are at most 100 faults. Delete them first."),),
        ),
        Route(
            "GET",
            "/coatcheck/sandbox/faults",
            sandbox_faults.list_faults,
            "listSandboxFaults",
            "List the faults",
            "Oldest first, with how often each was applied. At most 100.",
            answer=FaultsResponseBody,
        ),
        Route(
            "DELETE",
            "/coatcheck/sandbox/faults",
            sandbox_faults.delete_faults,
            "deleteSandboxFaults",
            "Delete all faults",
            "A restart of the server deletes them too.",
            status=204,
        ),
        Route(
            "GET",
            "/coatcheck/sandbox/activity",
            sandbox_activity.read_activity,
            "readSandboxActivity",
            "Read what happened last",
            "For the page at `/` of the sandbox. The requests are in memory: a restart forgets them.",
            answer=ActivityResponseBody,
        ),
        Route(
            "GET",
            "/coatcheck/sandbox/world",
            sandbox_worlds.read_world,
            "readSandboxWorld",
            "Read the world",
            "All clients, processors, users, members and accounts of the sandbox as YAML, without keys and tokens.",
            media_types=(YAML,),
            text_example="version: 1\nclients:\n- name: Sandbox client\n",
            in_transaction=False,
            has_deadline=False,
            refusals=(errors.Conflict("Two processors have one name, by which a world refers to them."),),
        ),
        YamlRoute(
            "PUT",
            "/coatcheck/sandbox/world",
            sandbox_worlds.put_world,
            "replaceSandboxWorld",
            "Replace the world",
            "Every user of every client is deleted, and the world of the file is made: all or "
            "nothing. Clients and processors are found by their names and keep their keys; a new one has its key in "
            "this answer only. The answer comes when the jobs of the members have ended.",
            body=World,
            answer=WorldResponseBody,
            in_transaction=False,
            has_deadline=False,
        ),
        Route(
            "POST",
            "/coatcheck/sandbox/reset",
            sandbox_connections.reset_users,
            "resetSandbox",
            "Reset the world, or a user",
            "Deletes the users of every client and the faults, or the members of one of your users with their accounts "
            "and tokens. Keys, webhooks, clients, processors and the clock stay. No webhook is sent.",
            body=ResetRequestBody,
            status=204,
            in_transaction=False,
            has_deadline=False,
            refusals=(errors.NotFound(),),
        ),
    ),
)
ROUTES: tuple[Route, ...] = SANDBOX.routes
