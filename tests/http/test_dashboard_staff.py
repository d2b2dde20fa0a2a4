"""The pages about staff, and the command `coatcheck staff`: invitations, roles, removal, within an organisation."""

import json
import re
from html import unescape

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.errors import InvalidRequest, NotFound
from coatcheck.staff.people import NewStaff
from coatcheck.staff.roles import Role
from tests.factories import Keyed, make_client
from tests.portal_client import text_of
from tests.staff import Authenticator, invite, join, signed_in

STAFF = "/dashboard/staff"


def link_of(page: httpx.Response) -> str:
    found = re.search(r'id="invitation"[^>]*>([^<]+)<', page.text)
    assert found, page.text
    return "/dashboard" + unescape(found[1]).partition("/dashboard")[2]


async def test_an_operator_invites_a_person_who_joins(services: Services, http: httpx.AsyncClient) -> None:
    window = await signed_in(services, http)
    page = await window.post(f"{STAFF}/invite", name="Bo Diaz", email="bo@example.com", role=":operator")
    joined = await join(http, link_of(page), Authenticator())
    assert "Bo Diaz" in text_of(await joined.get("/dashboard"))
    again = await window.post(f"{STAFF}/invite", name="Bo", email="BO@example.com", role=":operator")
    assert again.status_code == 409
    assert "already invited" in text_of(again)


async def test_an_administrator_invites_staff_of_their_own_organisation_only(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    window = await signed_in(services, http, Role.CLIENT_ADMIN, client)
    other = await make_client(services)
    fields = {"name": "Bo", "email": "bo2@example.com"}
    for role in (":operator", f"{other.guid}:client_admin", "client_admin", "x"):
        answer = await window.post(f"{STAFF}/invite", role=role, **fields)
        assert answer.status_code == 400, role
    assert (
        await window.post(f"{STAFF}/invite", role=f"{client.guid}:client_support", **fields)
    ).status_code == 200


async def test_an_administrator_sees_and_changes_the_staff_of_their_own_organisation_only(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    window = await signed_in(services, http, Role.CLIENT_ADMIN, client)
    other, _ = await invite(services, Role.CLIENT_ADMIN, await make_client(services), name="Elsewhere")
    operator, _ = await invite(services, name="Somebody Else")
    listed = text_of(await window.get(STAFF))
    assert "Elsewhere" not in listed
    assert "Somebody Else" not in listed
    for person in (other, operator):
        page = f"{STAFF}/{person.guid}"
        assert (await window.get(page)).status_code == 404
        for path, fields in ((page, {"role": "client_admin"}), (f"{page}/remove", {}), (f"{page}/reset", {})):
            token = services.staff.sessions.form_token(window.cookies["coatcheck_staff"])
            assert (await window.send(path, form_token=token, **fields)).status_code == 404, path
        async with services.db.connection() as connection:
            assert await services.staff.people.find(connection, person.guid) == person


async def test_a_role_is_changed_and_holds_from_the_next_request_on(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    admin = await signed_in(services, http, Role.CLIENT_ADMIN, client)
    staff, invitation = await invite(services, Role.CLIENT_ADMIN, client)
    window = await join(http, invitation, Authenticator())
    assert (await window.get(STAFF)).status_code == 200
    page = f"{STAFF}/{staff.guid}"
    assert (await admin.post(page, role="client_support")).status_code == 303
    assert (await window.get(STAFF)).status_code == 403
    assert (await admin.post(page, role="operator")).status_code == 400


async def test_nobody_changes_their_own_role_or_removes_themselves(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    staff, invitation = await invite(services, Role.CLIENT_ADMIN, client)
    window = await join(http, invitation, Authenticator())
    token = services.staff.sessions.form_token(window.cookies["coatcheck_staff"])
    page = f"{STAFF}/{staff.guid}"
    for path, fields in ((page, {"role": "client_support"}), (f"{page}/remove", {})):
        answer = await window.send(path, form_token=token, **fields)
        assert answer.status_code == 409
        assert "Ask another administrator" in text_of(answer)


async def test_an_administrator_removes_and_invites_again(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    admin = await signed_in(services, http, Role.CLIENT_ADMIN, client, name="Root Admin")
    staff, invitation = await invite(services, Role.CLIENT_SUPPORT, client)
    window = await join(http, invitation, Authenticator())
    renewed = await admin.post(f"{STAFF}/{staff.guid}/reset")
    assert (await window.get("/dashboard")).status_code == 303
    window = await join(http, link_of(renewed), Authenticator())
    assert (await admin.post(f"{STAFF}/{staff.guid}/remove")).status_code == 303
    assert (await window.get("/dashboard")).status_code == 303
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::json -> 'detail' FROM audit_entry
               WHERE body::json ->> 'action' = 'staff.removed' AND body::json ->> 'subject' = %s""",
            (staff.guid,),
        )
        (detail,) = [row[0] for row in await cursor.fetchall()]
    assert detail == {"actor_name": "Root Admin", "name": "Ann Lee"}


async def test_the_list_is_searched_and_paged_by_its_url(
    services: Services, http: httpx.AsyncClient, client: Keyed
) -> None:
    window = await signed_in(services, http, Role.CLIENT_ADMIN, client, name="Zoe Admin")
    for number in range(30):
        await invite(services, Role.CLIENT_SUPPORT, client, name=f"Person {number:02}")
    first = await window.get(f"{STAFF}?search=person")
    assert first.text.count("<tr>") == 26
    assert 'href="?search=person&amp;page=2" rel="next"' in first.text
    second = await window.get(f"{STAFF}?search=person&page=2")
    assert [number for number in range(30) if f"Person {number:02}" in second.text] == [25, 26, 27, 28, 29]
    assert 'rel="next"' not in second.text
    assert "Nobody is found" in text_of(await window.get(f"{STAFF}?search=nobody"))


@pytest.mark.parametrize(("language", "title"), [("es", "Personal"), ("fr-CA", "Personnel"), ("en", "Staff")])
async def test_the_pages_are_in_the_language_of_the_browser(
    services: Services, http: httpx.AsyncClient, language: str, title: str
) -> None:
    window = await signed_in(services, http)
    page = await window.get(STAFF, **{"Accept-Language": language})
    assert f'<html lang="{language}">' in page.text
    assert f"<h1>{title}</h1>" in page.text


async def test_an_invitation_needs_a_name_an_address_and_a_role_of_the_organisation(
    services: Services, client: Keyed
) -> None:
    wrong = [
        NewStaff("", "a@example.com", Role.OPERATOR),
        NewStaff("Ann", "nobody", Role.OPERATOR),
        NewStaff("Ann", "@example.com", Role.OPERATOR),
        NewStaff("Ann", "a@example.com", Role.CLIENT_ADMIN),
        NewStaff("Ann", "a@example.com", Role.OPERATOR, client.guid),
        NewStaff("Ann", "a@example.com", Role.PROCESSOR_ADMIN, client.guid),
    ]
    for new in wrong:
        async with services.db.connection() as connection:
            with pytest.raises(InvalidRequest):
                await services.staff.people.invite(connection, new, actor="operator")
    async with services.db.connection() as connection:
        new = NewStaff("Ann", "a@example.com", Role.CLIENT_ADMIN, "CLT-unknown")
        with pytest.raises(NotFound):
            await services.staff.people.invite(connection, new, actor="operator")


def test_the_command_invites_lists_resets_and_removes(own_operator) -> None:
    client = json.loads(own_operator("client", "add", "Acme", "--json").out)["client_id"]
    arguments = ["Bo Diaz", "bo@acme.example", "--role", "client_admin", "--of", client, "--json"]
    invited = json.loads(own_operator("staff", "invite", *arguments).out)
    assert invited["invitation_url"].startswith("http://localhost:8000/dashboard/invitation/csi_")
    assert own_operator("staff", "invite", *arguments).code == 7
    (listed,) = json.loads(own_operator("staff", "list", "--json").out)
    assert listed == {
        "staff_id": invited["staff_id"],
        "name": "Bo Diaz",
        "email": "bo@acme.example",
        "role": "client_admin",
        "organisation_id": client,
        "joined_at": None,
    }
    again = json.loads(own_operator("staff", "reset", invited["staff_id"], "--json").out)
    assert again["invitation_url"] != invited["invitation_url"]
    assert own_operator("staff", "remove", invited["staff_id"]).code == 0
    assert json.loads(own_operator("staff", "list", "--json").out) == []
    for command in ("reset", "remove"):
        refused = own_operator("staff", command, invited["staff_id"])
        assert (refused.code, "coatcheck staff list" in refused.err) == (6, True)
    wrong = own_operator("staff", "invite", "Bo", "bo@acme.example", "--role", "king")
    assert (wrong.code, "processor_developer" in wrong.err) == (2, True)
