"""Staff: the list, invitations, roles and removal. An operator sees everyone, an administrator their organisation."""

from starlette.responses import Response

from coatcheck.dashboard.lists import found_in, list_page
from coatcheck.dashboard.permissions import Permission
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import ROLES, translate
from coatcheck.errors import InvalidRequest
from coatcheck.model.clients import list_clients, list_processors
from coatcheck.staff.people import NewStaff
from coatcheck.staff.roles import Role, roles_of


async def show_staff(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        people = await request.services.staff.people.list(connection, request.session.organisation_guid)
        names = {each.guid: each.name for each in await list_clients(connection)}
        names |= {each.guid: each.name for each in await list_processors(connection)}
    found = [
        each
        for each in people
        if found_in(request, each.name, each.email, names.get(each.organisation_guid or ""))
    ]
    return request.page(
        "staff",
        people=list_page(request, found),
        names=names,
        role_name=lambda role: _role_name(request, role),
    )


async def show_invitation_form(request: DashboardRequest) -> Response:
    return request.page("invite", organisations=await _organisations(request))


async def invite(request: DashboardRequest) -> Response:
    """Invites a person, and shows the link, this once.

    Raises:
        InvalidRequest: a field is not valid.
        Conflict: a person has this e-mail address.
    """
    organisation, _, role = request.field("role").rpartition(":")
    own = request.session.organisation_guid
    # The form offers the own organisation only, and a sender can write another.
    if own is not None and organisation != own:
        raise InvalidRequest
    new = NewStaff(request.field("name"), request.field("email"), _role(role), organisation or None)
    async with request.services.db.transaction() as connection:
        invitation = await request.services.staff.people.invite(connection, new, actor=request.actor)
    return request.page("invited", invitation=invitation)


async def show_person(request: DashboardRequest) -> Response:
    """One person: their role, and what may be changed."""
    async with request.services.db.connection() as connection:
        person = await request.services.staff.people.find(
            connection, request.path["person"], request.session.organisation_guid
        )
    return request.page(
        "person",
        person=person,
        roles={role: _role_name(request, role) for role in roles_of(person.organisation_guid)},
        role=_role_name(request, person.role),
        is_self=person.guid == request.actor,
        can_manage=request.may(Permission.MANAGE_STAFF),
    )


async def set_role(request: DashboardRequest) -> Response:
    async with request.services.db.transaction() as connection:
        await request.services.staff.people.set_role(
            connection,
            request.path["person"],
            _role(request.field("role")),
            actor=request.actor,
            organisation_guid=request.session.organisation_guid,
        )
    return request.redirect(f"/staff/{request.path['person']}")


async def confirm_removal(request: DashboardRequest) -> Response:
    return await _ask(request, "remove_person")


async def remove(request: DashboardRequest) -> Response:
    async with request.services.db.transaction() as connection:
        await request.services.staff.people.remove(
            connection,
            request.path["person"],
            actor=request.actor,
            organisation_guid=request.session.organisation_guid,
        )
    return request.redirect("/staff")


async def confirm_reset(request: DashboardRequest) -> Response:
    return await _ask(request, "reset_person")


async def reset(request: DashboardRequest) -> Response:
    """Removes how a person signs in, and shows a new invitation, this once."""
    async with request.services.db.transaction() as connection:
        invitation = await request.services.staff.people.reset(
            connection,
            request.path["person"],
            actor=request.actor,
            organisation_guid=request.session.organisation_guid,
        )
    return request.page("invited", invitation=invitation)


async def _ask(request: DashboardRequest, page: str) -> Response:
    async with request.services.db.connection() as connection:
        person = await request.services.staff.people.find(
            connection, request.path["person"], request.session.organisation_guid
        )
    return request.page(page, person=person)


async def _organisations(request: DashboardRequest) -> list[tuple[str, str, list[tuple[Role, str]]]]:
    """The organisations to which one may invite: guid (empty: the operator), name, and their roles."""
    own = request.session.organisation_guid
    if own is not None:
        organisations = [(own, request.session.organisation_name or "")]
    else:
        async with request.services.db.connection() as connection:
            clients = await list_clients(connection)
            processors = await list_processors(connection)
        organisations = [
            ("", translate(request.locale, ROLES[Role.OPERATOR])),
            *((client.guid, client.name) for client in clients),
            *((processor.guid, processor.name) for processor in processors),
        ]
    return [
        (guid, name, [(role, _role_name(request, role)) for role in roles_of(guid or None)])
        for guid, name in organisations
    ]


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise InvalidRequest from None


def _role_name(request: DashboardRequest, role: str) -> str:
    return translate(request.locale, ROLES[Role(role)])
