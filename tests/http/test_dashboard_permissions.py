"""Every page of the dashboard for every role: permitted as the table says, else refused."""

import re
from dataclasses import replace

import httpx
import pytest

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.dashboard.app import routes_of
from coatcheck.dashboard.permissions import PERMISSIONS, Permission, may
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.route import DashboardRoute, checked
from coatcheck.dashboard.sign_in import PUBLIC_ROUTES
from coatcheck.staff.roles import CLIENT_ROLES, PROCESSOR_ROLES, Role
from tests.factories import Keyed
from tests.guides import ROOT
from tests.portal_client import text_of
from tests.staff import Window, signed_in

ROUTES = routes_of(Settings(sandbox=True))
"""Every page, also those of a sandbox."""
REFUSED = "Your role does not permit this"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, sandbox=True)


def address(route: DashboardRoute) -> str:
    """The address of the route, with objects that do not exist."""
    return "/dashboard" + re.sub(r"{\w+}", "unknown", route.path)


async def window_of_role(
    services: Services, http: httpx.AsyncClient, role: Role, client: Keyed, processor: Keyed
) -> Window:
    organisation = client if role in CLIENT_ROLES else processor if role in PROCESSOR_ROLES else None
    return await signed_in(services, http, role, organisation)


@pytest.mark.parametrize("role", Role)
async def test_each_page_is_open_to_the_roles_of_its_permission_only(
    services: Services, http: httpx.AsyncClient, client: Keyed, processor: Keyed, role: Role
) -> None:
    wrong = []
    window = await window_of_role(services, http, role, client, processor)
    for route in ROUTES:
        if "coatcheck_staff" not in window.cookies:
            window = await window_of_role(services, http, role, client, processor)
        token = services.staff.sessions.form_token(window.cookies["coatcheck_staff"])
        path = address(route)
        answer = await (window.get(path) if route.method == "GET" else window.send(path, form_token=token))
        is_refused = answer.status_code == 403 and REFUSED in text_of(answer)
        if is_refused is may(role, route.permission) or answer.status_code >= 500:
            wrong.append(f"{route.operation}: {answer.status_code}")
    assert wrong == []


async def test_without_a_session_every_page_leads_to_the_sign_in_page(http: httpx.AsyncClient) -> None:
    for route in ROUTES:
        answer = await http.request(route.method, address(route))
        if route.method == "GET":
            assert answer.status_code == 303, route.operation
            assert answer.headers["location"].startswith("/dashboard/sign-in?next=%2Fdashboard")
        else:
            assert answer.status_code == 403, route.operation


async def test_the_menu_has_the_pages_that_the_role_may_open_each_below_100_kb(
    services: Services, http: httpx.AsyncClient, client: Keyed, processor: Keyed
) -> None:
    for role in Role:
        window = await window_of_role(services, http, role, client, processor)
        menu = (await window.get("/dashboard")).text.partition("<nav")[2].partition("</nav>")[0]
        shown = re.findall(r'href="/dashboard([^"]*)"', menu)
        assert shown == [route.path for route in ROUTES if route.menu and may(role, route.permission)]
        for path in shown:
            page = await window.get(f"/dashboard{path}")
            assert page.status_code == 200, (role, path)
            files = [
                await http.get(file) for file in re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js))"', page.text)
            ]
            assert len(files) == 4
            assert sum(len(each.content) for each in (page, *files)) < 100_000, (role, path)


def test_only_the_pages_for_signing_in_need_no_permission() -> None:
    assert {route.path.split("/")[1] for route in PUBLIC_ROUTES} == {"sign-in", "invitation"}


def test_every_permission_is_in_the_table_and_used() -> None:
    assert PERMISSIONS.keys() == set(Permission)
    assert {route.permission for route in ROUTES} == set(Permission)


async def page(request: DashboardRequest) -> httpx.Response:
    raise NotImplementedError


def test_a_route_without_a_permission_cannot_be_declared() -> None:
    with pytest.raises(TypeError):
        DashboardRoute("GET", "/x", page)  # type: ignore[call-arg, arg-type]
    for permission in (None, "everything"):
        with pytest.raises(TypeError, match="no permission"):
            DashboardRoute("GET", "/x", page, permission)  # type: ignore[arg-type]


def test_a_table_with_a_path_twice_or_without_a_page_to_come_back_to_is_refused() -> None:
    route = DashboardRoute("POST", "/x", page, Permission.USE_DASHBOARD)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="twice"):
        checked([route, route])
    sensitive = DashboardRoute("POST", "/x", page, Permission.USE_DASHBOARD, needs_confirmation=True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="there is no GET /x"):
        checked([sensitive])


def test_the_guide_has_the_table_of_permissions() -> None:
    text = (ROOT / "docs/how-to/dashboard.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]
    assert rows[0] == ["permission", *Role]
    documented = {
        row[0]: {role for role, cell in zip(Role, row[1:], strict=True) if cell} for row in rows[2:]
    }
    assert documented == {str(name): set(roles) for name, roles in PERMISSIONS.items()}
