"""What an end user's browser is served: the widget with what it asks, and the return from a bank's sign-in page."""

from starlette.routing import BaseRoute, Route

from coatcheck.app import Coatcheck
from coatcheck.widget.endpoint import api_routes
from coatcheck.widget.oauth_return import return_routes
from coatcheck.widget.page import page_routes
from coatcheck.widget.routes import ROUTES
from coatcheck.widget.static_files import LOADER, PREFIX, statics


def widget_routes(house: Coatcheck) -> list[BaseRoute]:
    """For the web process to mount at the root."""
    held = statics()
    return [
        *page_routes(house, held),
        *api_routes(house, ROUTES),
        Route(f"{PREFIX}/{{hash}}/{{file:path}}", held.serve),
        Route(f"/{LOADER}", held.serve_loader),
        *return_routes(house),
    ]
