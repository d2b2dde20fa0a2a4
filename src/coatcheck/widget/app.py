"""What an end user's browser is served: the widget with what it asks, and the return from a bank's sign-in page."""

from starlette.routing import BaseRoute, Route

from coatcheck.app import Services
from coatcheck.widget.endpoint import api_routes
from coatcheck.widget.oauth_return import return_routes
from coatcheck.widget.page import page_routes
from coatcheck.widget.routes import ROUTES
from coatcheck.widget.static_files import LOADER, PREFIX, statics


def widget_routes(services: Services) -> list[BaseRoute]:
    """For the web process to mount at the root."""
    locked = statics()
    return [
        *page_routes(services, locked),
        *api_routes(services, ROUTES),
        Route(f"{PREFIX}/{{hash}}/{{file:path}}", locked.serve),
        Route(f"/{LOADER}", locked.serve_loader),
        *return_routes(services),
    ]
