"""`coatcheck staff`: who signs in to the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from coatcheck import app
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli.console import AsJson, print_done, print_facts, print_rows
from coatcheck.cli.runtime import change, read
from coatcheck.db import database
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.staff import people, roles

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Staff: who signs in to the dashboard."
)

StaffGuid = Annotated[str, typer.Argument(metavar="PERSON", help="The id of the person, STF-...")]
SHOWN_ONCE = "Send the link to this person only. It works once, and is not shown again."


@command_group.command("invite")
def invite(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the person.")],
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Their e-mail address.")],
    role: Annotated[str, typer.Option("--role", help="What they may do, such as operator or client_admin.")],
    organisation: Annotated[
        str | None,
        typer.Option(
            "--of", metavar="CLIENT|PROCESSOR", help="Whose staff they are. By default the operator's."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Invites a person to the dashboard, and prints the link with which they join, once.

    Example: coatcheck staff invite "Ann Lee" ann@example.com --role operator
    """
    new = people.NewStaff(name, email, _role(role), organisation)

    async def act(services: app.Services, connection: database.Connection) -> people.Invitation:
        try:
            return await services.staff.people.invite(connection, new, actor=OPERATOR)
        except NotFound:
            raise NotFound(
                f"There is no client or processor {organisation}. `coatcheck client list` and"
                " `coatcheck processor list` show all."
            ) from None

    _print_invitation(change(act), as_json=as_json)


@command_group.command("list")
def list_(as_json: AsJson = False) -> None:
    """Lists the staff of the operator, of the clients and of the processors.

    Example: coatcheck staff list --json
    """
    rows = [
        {
            "staff_id": person.guid,
            "name": person.name,
            "email": person.email,
            "role": str(person.role),
            "organisation_id": person.organisation_guid,
            "joined_at": person.joined_at,
        }
        for person in read(lambda services, connection: services.staff.people.list(connection))
    ]
    print_rows(
        rows,
        as_json=as_json,
        empty='Nobody is invited. Invite yourself: coatcheck staff invite "Ann Lee" ann@example.com --role operator',
    )


@command_group.command("reset")
def reset(person: StaffGuid, as_json: AsJson = False) -> None:
    """Removes a person's passkeys, signs them out, and prints a new link with which they join again, once.

    Example: coatcheck staff reset STF-...
    """

    async def act(services: app.Services, connection: database.Connection) -> people.Invitation:
        await _named(services, connection, person)
        return await services.staff.people.reset(connection, person, actor=OPERATOR)

    _print_invitation(change(act), as_json=as_json)


@command_group.command("remove")
def remove(person: StaffGuid, as_json: AsJson = False) -> None:
    """Removes a person. They are signed out at once.

    Example: coatcheck staff remove STF-...
    """

    async def act(services: app.Services, connection: database.Connection) -> None:
        await _named(services, connection, person)
        await services.staff.people.remove(connection, person, actor=OPERATOR)

    change(act)
    print_done({"staff_id": person, "is_removed": True}, "Removed.", as_json=as_json)


def _print_invitation(invitation: people.Invitation, *, as_json: bool) -> None:
    facts = {
        "staff_id": invitation.staff.guid,
        "name": invitation.staff.name,
        "role": str(invitation.staff.role),
        "invitation_url": invitation.url,
        "expires_at": invitation.expires_at,
    }
    print_facts(facts, as_json=as_json, note=SHOWN_ONCE)


def _role(text: str) -> roles.Role:
    try:
        return roles.Role(text)
    except ValueError:
        raise InvalidRequest(f"There is no role {text}. Roles are {', '.join(roles.Role)}.") from None


async def _named(services: app.Services, connection: database.Connection, guid: str) -> None:
    """Raises NotFound with the command that lists the staff."""
    try:
        await services.staff.people.find(connection, guid)
    except NotFound:
        raise NotFound(f"There is no person {guid}. `coatcheck staff list` shows all staff.") from None
