"""The routes of the dashboard: the pages without a session, those of a session, and the dashboard's files."""

from importlib import import_module
from importlib.resources import files
from pathlib import Path

from starlette.routing import BaseRoute

from coatcheck.app import Services
from coatcheck.config import Settings
from coatcheck.dashboard.endpoint import public_routes, session_routes
from coatcheck.dashboard.route import DashboardRoute, checked
from coatcheck.dashboard.routes import account, client, operator, organisation, processor
from coatcheck.dashboard.sign_in import PUBLIC_ROUTES
from coatcheck.http.static_files import StaticFolder

ROUTES = checked(
    [
        *account.OVERVIEW,
        *operator.ORGANISATIONS,
        *operator.INSTITUTIONS,
        *operator.INSTALLATION,
        *client.USERS,
        *client.GRANTS,
        *client.INSTITUTIONS,
        *client.WIDGET,
        *client.AUDIT,
        *client.EXPORTS,
        *processor.PROCESSOR,
        *organisation.API_KEYS,
        *organisation.WEBHOOKS,
        *account.STAFF,
        *account.OWN,
    ]
)
"""Every page that needs a session. The order is that of the menu."""


def routes_of(settings: Settings) -> tuple[DashboardRoute, ...]:
    """The pages that need a session: `ROUTES`, and in a sandbox those of the emulator."""
    if not settings.sandbox:
        return ROUTES
    # Production does not load the emulator.
    sandbox = import_module("coatcheck.dashboard.routes.sandbox").SANDBOX
    return checked([*ROUTES, *sandbox])


def dashboard_routes(services: Services) -> list[BaseRoute]:
    """For the web process, at the root."""
    static = StaticFolder(Path(str(files("coatcheck.dashboard"))) / "static", "/dashboard/static")
    return [
        static.route(),
        *public_routes(services, static.base, PUBLIC_ROUTES),
        *session_routes(services, static.base, routes_of(services.settings)),
    ]
