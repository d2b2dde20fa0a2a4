"""The routes of the widget: its page and files, its API, and the return from a bank's sign-in page."""

from importlib.resources import files
from pathlib import Path

from starlette.routing import BaseRoute

from coatcheck.app import Services
from coatcheck.http.static_files import StaticFolder, file_route
from coatcheck.widget.endpoint import api_routes
from coatcheck.widget.oauth_return import return_routes
from coatcheck.widget.page import page_routes
from coatcheck.widget.preview import preview_route
from coatcheck.widget.routes import ROUTES

PACKAGE = Path(str(files("coatcheck.widget")))
LOADER_SECONDS = 300


def widget_routes(services: Services) -> list[BaseRoute]:
    """For the web process, at the root."""
    static = StaticFolder(PACKAGE / "static", "/md/static")
    return [
        *page_routes(services, static),
        preview_route(services, static),
        *api_routes(services, ROUTES),
        static.route(),
        file_route("/connect.js", PACKAGE / "connect.js", max_age=LOADER_SECONDS),
        *return_routes(services),
    ]
