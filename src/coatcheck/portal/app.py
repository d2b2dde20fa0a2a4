"""The routes of the portal: the page behind a link, the pages of a session, and the portal's files."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from starlette.routing import BaseRoute

from coatcheck.app import Services
from coatcheck.http.static_files import StaticFolder
from coatcheck.portal import apps, downloads, handlers
from coatcheck.portal.endpoint import PortalRoute, opening_routes, session_routes
from coatcheck.portal.sign_in import sign_in_routes
from coatcheck.portal.user_cells import UserCells

ROUTES = (
    PortalRoute("GET", "", handlers.show_overview),
    PortalRoute("GET", "/processors/{processor}", handlers.show_processor),
    PortalRoute("GET", "/grants/{grant}", handlers.show_grant),
    PortalRoute("POST", "/grants/{grant}", handlers.narrow_grant),
    PortalRoute("GET", "/stop", handlers.confirm_stop),
    PortalRoute("POST", "/stop", handlers.stop),
    PortalRoute("GET", "/apps", apps.show_form),
    PortalRoute("POST", "/apps", apps.connect),
    PortalRoute("GET", "/agreements", handlers.show_agreements),
    PortalRoute("GET", "/coatcheck.json", downloads.download_all),
    PortalRoute("GET", "/transactions.csv", downloads.download_transactions),
    PortalRoute("GET", "/reads.csv", downloads.download_reads),
    PortalRoute("GET", "/delete", handlers.confirm_deletion),
    PortalRoute("POST", "/delete", handlers.delete_everything),
    PortalRoute("POST", "/leave", handlers.leave),
)


def portal_routes(services: Services, of_cells: Mapping[str, Services]) -> list[BaseRoute]:
    """For the web process, at the root.

    Args:
        services: of the cell that answers.
        of_cells: those of all cells, by their digits.
    """
    static = StaticFolder(Path(str(files("coatcheck.portal"))) / "static", "/portal/static")
    return [
        static.route(),
        *opening_routes(services, static.base),
        *sign_in_routes(services, UserCells(of_cells)),
        *session_routes(services, static.base, ROUTES),
    ]
