"""What an end user's browser is served: the widget, and the return from a bank's own sign-in page."""

from starlette.routing import BaseRoute

from coatcheck.app import Coatcheck
from coatcheck.widget.oauth_return import return_routes


def widget_routes(house: Coatcheck) -> list[BaseRoute]:
    """For the web process to mount at the root."""
    return [*return_routes(house)]
